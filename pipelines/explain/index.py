"""What was made in a folder of explanations: `index.json` for programs, `index.md` for people.

Both are rewritten after each sheet, so an interrupted call leaves a true list of whole sheets.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from pipelines.atomic import replacing, write_json, write_text
from pipelines.explain.case import Sheet
from pipelines.output_place import check_own

__all__ = ["INDEX", "SheetFolder", "check_folder"]

INDEX = "index.json"
_FORMAT = "ensemble explain 1"


def check_folder(folder: Path) -> None:
    """Refuse a folder in which other files than earlier sheets lie.

    Raises:
        InputError: There are such files, or it is a file.
    """
    check_own(folder, mark=INDEX, kind=_FORMAT)


class SheetFolder:
    """The folder of one call; the sheets of the call before are removed, files of others are left alone.

    Args:
        folder: Where it lies.
        about: Committee and faces, as JSON.
    """

    def __init__(self, folder: Path, about: Mapping[str, Any]) -> None:
        self.folder, self.about = folder, about
        self.sheets: list[dict[str, Any]] = []
        self.skipped: list[dict[str, Any]] = []
        self.files: dict[str | None, list[Path]] = {}
        self._clear()

    def _clear(self) -> None:
        with suppress(OSError, ValueError, TypeError, KeyError):
            content = json.loads((self.folder / INDEX).read_text(encoding="utf-8"))
            if content["format"] == _FORMAT:
                for sheet in content["sheets"]:
                    (self.folder / Path(sheet["file"]).name).unlink(missing_ok=True)

    def add(self, sheet: Sheet) -> None:
        """Write a sheet, or why there is none, and the index."""
        entry = {"method": sheet.method, "member": sheet.member}
        if sheet.figure is None:
            self.skipped.append({**entry, **sheet.facts})
        else:
            path = self.folder / sheet.file
            with replacing(path) as temporary:
                sheet.figure.savefig(temporary, format="png", dpi=130)
            self.sheets.append({"file": sheet.file, **entry, **sheet.facts})
            self.files.setdefault(sheet.member, []).append(path)
        self.write()

    def write(self) -> None:
        """Write the index."""
        content = {"format": _FORMAT, **self.about, "sheets": self.sheets, "skipped": self.skipped}
        write_json(self.folder / INDEX, content)
        write_text(self.folder / "index.md", _markdown(content))

    @property
    def index_files(self) -> list[Path]:
        """The index in both forms."""
        return [self.folder / INDEX, self.folder / "index.md"]


def _markdown(content: Mapping[str, Any]) -> str:
    lines = [f"# What {content['name']} looks at", ""]
    lines += ["| face | true | predicted | probability | explained |", "|---|---|---|--:|---|"]
    lines += [
        f"| {f['id']} | {f['true'] or ''} | {f['predicted']} | {f['probability']:.3f} | {f['explained']} |"
        for f in content["faces"]
    ]
    for sheet in content["sheets"]:
        title = sheet["method"] if sheet["member"] is None else f"{sheet['method']}, {sheet['member']}"
        lines += ["", f"## {title}", "", f"![{title}]({sheet['file']})"]
        for method, own in sheet.get("rank_correlation", {}).items():
            lines += ["", *_matrix(method, own["names"], own["matrix"])]
        if sheet.get("weights"):
            lines += ["", "Weights: " + ", ".join(f"{name} {w:.2f}" for name, w in sheet["weights"].items()) + "."]
    if content["skipped"]:
        lines += ["", "## Not made", ""]
        lines += [
            f"- {', '.join(filter(None, (s['method'], s['member'])))}: {s['reason']}." for s in content["skipped"]
        ]
    return "\n".join(lines) + "\n"


def _matrix(method: str, names: list[str], matrix: list[list[float | None]]) -> list[str]:
    header = [f"| {method} | " + " | ".join(names) + " |", "|---|" + "--:|" * len(names)]
    rows = [
        f"| {name} | " + " | ".join("–" if value is None else f"{value:.2f}" for value in row) + " |"
        for name, row in zip(names, matrix, strict=True)
    ]
    return header + rows
