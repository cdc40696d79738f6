"""Logs sheets to the MLflow runs of a committee and its members, if they have any."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from pipelines.tracking_store import open_client, store_uri
from pipelines.workspace import Workspace

__all__ = ["log_sheets"]

_PLACE = "figures/explain"


def log_sheets(
    workspace: Workspace, folder: Path, files: Mapping[str | None, Sequence[Path]], *, note: Callable[[str], None]
) -> None:
    """Store files with runs, under `figures/explain`.

    Args:
        workspace: Where the default store lies.
        folder: The committee's folder, which knows the runs.
        files: Files by member; those of None belong to the committee.
        note: Told one line if there is no such run or the store fails; the files lie on disk all the same.
    """
    try:
        runs = json.loads((folder / "tracking.json").read_text(encoding="utf-8"))
        client = open_client(store_uri(workspace))
        for member, own in files.items():
            run = runs["parent"] if member is None else runs["members"][member]
            for path in own:
                client.log_artifact(run, str(path), _PLACE)
    except FileNotFoundError:
        note("the sheets are not on an MLflow run: the committee has none")
    except Exception as error:  # noqa: BLE001 - a damaged record, or a store that fails
        note(f"the sheets are not on an MLflow run: {(str(error).splitlines() or [type(error).__name__])[0][:200]}")
