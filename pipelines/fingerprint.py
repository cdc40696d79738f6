"""Fingerprints of sources: what changes them, and what was already computed for an unchanged file.

Hashing a large file takes longer than opening its decoded faces, so a file's sha256 is remembered beside its path,
size and time of change, as version-control systems do.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from backbones.errors import InputError
from ensemble.canonical import digest_of
from pipelines.atomic import CHECKSUM, write_checked_json

__all__ = ["FileFacts", "checked_digest", "digest_file", "digest_folder", "digest_text"]

_SETTLED_NS = 2_000_000_000


def digest_text(parts: Iterable[object]) -> str:
    """sha256 over the parts' text, one a line.

    Example:
        >>> digest_text(["a", 1])[:8]
        '4f395a2e'
    """
    return hashlib.sha256("\n".join(map(str, parts)).encode(errors="surrogatepass")).hexdigest()


def digest_file(path: Path) -> str:
    """sha256 of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def checked_digest(path: Path, expected: str | None, digest: Callable[[Path], str | None] = digest_file) -> str | None:
    """sha256 of a file, which is the one expected if there is one.

    Args:
        path: The file.
        expected: Its sha256, or None if any will do.
        digest: Reads the sha256 of a file, or gives None without reading: then the file only has to be there.

    Raises:
        InputError: The file is missing, or has another sha256.
    """
    if not path.is_file():
        raise InputError(f"Expected the file `{path}`, but it is missing.")
    found = digest(path)
    if found is not None and expected not in (None, found):
        raise InputError(f"Expected sha256 {expected}, but `{path}` has {found}. Is it the right file, and whole?")
    return found


def digest_folder(folder: Path, names: Iterable[str]) -> str:
    """sha256 over names, sizes and times of change of a folder's files: reading them all would take too long."""
    lines = []
    for name in names:
        stat = (folder / name).stat()
        lines.append(f"{name}\t{stat.st_size}\t{stat.st_mtime_ns}")
    return digest_text(lines)


class FileFacts:
    """Remembers what was found out about files that have not changed since, such as their sha256.

    Args:
        folder: Where the facts are kept, one note per file, so that processes do not overwrite one another's.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def recall(self, path: Path, fact: str) -> str | None:
        """What is remembered of the file as it is now, or None."""
        return self._facts(path).get(fact)

    def remember(self, path: Path, fact: str, value: str) -> None:
        """Keep a fact, unless the file changed so recently that another change might bear the same time."""
        state = _state(path)
        if time.time_ns() - state[1] > _SETTLED_NS:
            facts = self._facts(path) | {fact: value}
            write_checked_json(self._note(path), {"path": str(path.resolve()), "state": state, "facts": facts})

    def digest(self, path: Path) -> str:
        """sha256 of the file's content, remembered if it is unchanged."""
        known = self.recall(path, "sha256")
        if known is None:
            known = digest_file(path)
            self.remember(path, "sha256", known)
        return known

    def _facts(self, path: Path) -> dict[str, str]:
        try:
            note = json.loads(self._note(path).read_text(encoding="utf-8"))
            whole = note.pop(CHECKSUM) == digest_of(note)
            return dict(note["facts"]) if whole and note["state"] == _state(path) else {}
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return {}

    def _note(self, path: Path) -> Path:
        return self.folder / f"{digest_text([path.resolve()])[:32]}.json"


def _state(path: Path) -> list[int]:
    stat = path.stat()
    return [stat.st_size, stat.st_mtime_ns]
