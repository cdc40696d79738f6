"""What is known of an installed weights file: its record, and whether its content is what was published or recorded.

The record lies beside the file as `FILE.json`: where it came from, its sha256, its size and the day. For files whose
publisher states no digest it is what a later look is held against.
"""

from __future__ import annotations

import json
import shlex
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from backbones.errors import InputError
from ensemble.weights_catalogue import PretrainedWeights
from pipelines.atomic import write_json

__all__ = ["check_published", "read_record", "record_path", "write_record"]


def record_path(file: Path) -> Path:
    """Where the record of a weights file lies."""
    return file.with_name(f"{file.name}.json")


def read_record(file: Path) -> dict[str, Any]:
    """The record of a weights file; empty if there is none."""
    try:
        content = json.loads(record_path(file).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def write_record(file: Path, entry: PretrainedWeights, *, url: str | None, sha256: str) -> None:
    """Record an installed file.

    Args:
        file: The file.
        entry: What it is.
        url: Where it came from; None if it was found here.
        sha256: Of its content.
    """
    write_json(record_path(file), {
        "name": entry.name,
        "url": url,
        "sha256": sha256,
        "size": file.stat().st_size,
        "date": datetime.now(UTC).date().isoformat(),
        "licence": entry.licence,
        "training_set": entry.training_set,
    })  # fmt: skip


def check_published(entry: PretrainedWeights, file: Path, sha256: str) -> None:
    """Refuse a file whose content is neither what was published nor, where no digest is, what was recorded.

    Args:
        entry: What the file should be.
        file: The file.
        sha256: Of its content.

    Raises:
        InputError: It is damaged, or another file.
    """
    recorded = read_record(file).get("sha256")
    expected = entry.sha256 or recorded
    if expected not in (None, sha256):
        since = "published sha256" if entry.sha256 else f"sha256 recorded in {record_path(file).name}"
        fetch = f"ensemble weights fetch {entry.name} --to {shlex.quote(str(file.parent))}"
        raise InputError(
            f"Expected `{file}` to be the weights `{entry.name}`, whose {since} is {expected}, but got "
            f"{sha256}: it is damaged or another file. Run `{fetch}` to replace it; "
            f"if it is what you want, name it: `weights: {{file: …}}`."
        )
