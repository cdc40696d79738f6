"""Where things lie: `mlruns/` with its database, artifacts, cache and committees."""

from __future__ import annotations

import json
import os
from pathlib import Path

from backbones.errors import InputError, nearest

__all__ = ["MANIFEST", "PACK", "PRUNED", "SHIPPED", "Workspace", "is_shipped", "next_number"]

MANIFEST = "manifest.json"
"""Written last into a committee's folder: a folder with it is finished."""

PACK = "pack.json"
"""Says which committee a pack is of; its members have no posteriors."""

PRUNED = "pruned.json"
"""Says which committee a smaller one is out of; a fit into its folder removes it."""

SHIPPED = Path(__file__).parent / "shipped"
"""Committees that come inside the package, a folder each."""


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
            committee: A folder, a name under `committees` or inside the package, or None for the newest finished one
                that is no pack, if there is one.

        Raises:
            InputError: There is none, or it is unfinished.
        """
        if committee is None:
            return self._newest()
        for folder in (Path(committee), self.committees / str(committee), SHIPPED / str(committee)):
            if (folder / MANIFEST).is_file():
                return folder
            if folder.is_dir() and (folder / "committee.yaml").exists():
                raise InputError(f"Expected `{folder}` to be a finished committee, but {_unfinished(folder)}")
        names = [m.parent.name for place in (self.committees, SHIPPED) for m in place.glob(f"*/{MANIFEST}")]
        raise InputError(
            f"Expected `--committee` to be the folder or the name of a finished committee, but got "
            f"{str(committee)!r}. {nearest(str(committee), names) or 'None has been fitted: run `ensemble fit`.'}"
        )

    def find_ready(self, committee: str | Path | None) -> Path:
        """As `find`, but one inside the package for None where none has been fitted: to predict with."""
        if committee is not None:
            return self.find(committee)
        found = self._finished()[-1:] or sorted(SHIPPED.glob(f"*/{MANIFEST}"))[:1]
        return found[0].parent if found else self._newest()

    def _newest(self) -> Path:
        found = self._finished()
        if not found:
            raise InputError(
                f"Expected a finished committee under `{self.committees}`, but there is none. "
                f"Fit one first: `ensemble fit --members members.yaml`."
            )
        return found[-1].parent

    def _finished(self) -> list[Path]:
        """Manifests of the finished committees, the newest last: packs, made to be handed on, before all others."""
        return sorted(self.committees.glob(f"*/{MANIFEST}"), key=lambda m: (not (m.parent / PACK).is_file(), *_age(m)))


def is_shipped(folder: Path) -> bool:
    """Whether a committee's folder is one inside the package."""
    return folder.parent == SHIPPED


def next_number(committees: Path) -> int:
    """The number of the next committee to be finished in a folder of committees.

    Numbers tell which one is the newest; clocks that were set back or forward do not.
    """
    return 1 + max((_number(manifest) for manifest in committees.glob(f"*/{MANIFEST}")), default=0)


def _unfinished(folder: Path) -> str:
    """What has not ended, and what ends it."""
    if (folder / PACK).exists():
        return "it was not packed to the end. Run the same `ensemble pack` again."
    if (folder / PRUNED).exists():
        return "it was not pruned to the end. Run the same `ensemble fuse` again."
    return "its fit has not ended. Run the same `ensemble fit` again: it resumes."


def _age(manifest: Path) -> tuple[int, int, str]:
    return _number(manifest), manifest.stat().st_mtime_ns, manifest.parent.name


def _number(manifest: Path) -> int:
    """The number that a manifest holds; 0 if it has none or is damaged."""
    try:
        number = json.loads(manifest.read_text(encoding="utf-8")).get("number", 0)
    except (OSError, ValueError, AttributeError):
        return 0
    return number if isinstance(number, int) else 0
