"""Where things lie: `mlruns/` with its database, artifacts, cache and committees."""

from __future__ import annotations

import os
from pathlib import Path

from backbones.errors import InputError, nearest

__all__ = ["MANIFEST", "Workspace"]

MANIFEST = "manifest.json"
"""Written last into a committee's folder: a folder with it is finished."""


class Workspace:
    """The folder that holds everything a fit makes.

    Args:
        root: Its path; default `$ENSEMBLE_RUNS`, else `mlruns` in the working directory.
    """

    def __init__(self, root: str | Path | None = None) -> None:
        self.root = Path(root or os.environ.get("ENSEMBLE_RUNS") or "mlruns")

    @property
    def cache(self) -> Path:
        """Decoded faces and frozen features: may be deleted at any time."""
        return self.root / "cache"

    @property
    def committees(self) -> Path:
        """One folder per committee."""
        return self.root / "committees"

    @property
    def searches(self) -> Path:
        """One folder per search for hyper-parameters."""
        return self.root / "tune"

    def find(self, committee: str | Path | None) -> Path:
        """The folder of a finished committee.

        Args:
            committee: A folder, a name under `committees`, or None for the newest finished one.

        Raises:
            InputError: There is none, or it is unfinished.
        """
        if committee is None:
            return self._newest()
        for folder in (Path(committee), self.committees / str(committee)):
            if (folder / MANIFEST).is_file():
                return folder
            if folder.is_dir() and (folder / "committee.yaml").exists():
                raise InputError(
                    f"Expected `{folder}` to be a finished committee, but its fit has not ended. "
                    f"Run the same `ensemble fit` again: it resumes."
                )
        names = [m.parent.name for m in self.committees.glob(f"*/{MANIFEST}")]
        raise InputError(
            f"Expected `--committee` to be the folder or the name of a finished committee, but got "
            f"{str(committee)!r}. {nearest(str(committee), names) or 'None has been fitted: run `ensemble fit`.'}"
        )

    def _newest(self) -> Path:
        found = sorted(self.committees.glob(f"*/{MANIFEST}"), key=lambda m: (m.stat().st_mtime_ns, m.parent.name))
        if not found:
            raise InputError(
                f"Expected a finished committee under `{self.committees}`, but there is none. "
                f"Fit one first: `ensemble fit --members members.yaml`."
            )
        return found[-1].parent
