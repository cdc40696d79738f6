"""Where a member's checkpoints lie, whose they are, and their removal. Loads no torch."""

from __future__ import annotations

import json
from pathlib import Path

from safetensors import SafetensorError, safe_open

__all__ = ["CHECKPOINT", "PREVIOUS", "checkpoint_fingerprint", "previous_place", "remove_checkpoints"]

CHECKPOINT = "checkpoint.safetensors"
"""Its name in a member's folder."""

PREVIOUS = "checkpoint.previous.safetensors"
"""The one before it."""


def previous_place(path: Path) -> Path:
    """Where the checkpoint before the one at `path` lies."""
    return path.with_name(PREVIOUS if path.name == CHECKPOINT else f"{path.name}.previous")


def checkpoint_fingerprint(path: Path) -> str | None:
    """Whose checkpoint it is, from the header of the last one or the one before; None where there is no usable one."""
    for place in (path, previous_place(path)):
        try:
            with safe_open(place, framework="np") as file:
                return str(json.loads((file.metadata() or {})["progress"])["fingerprint"])
        except (OSError, SafetensorError, KeyError, TypeError, ValueError):
            continue
    return None


def remove_checkpoints(folder: Path) -> None:
    """Remove a member's checkpoints: it is finished."""
    for name in (CHECKPOINT, PREVIOUS):
        (folder / name).unlink(missing_ok=True)
