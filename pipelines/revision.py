"""Which git revision a folder is at, read from git's own files: git itself may not be installed."""

from __future__ import annotations

import re
from pathlib import Path

__all__ = ["git_revision"]

_SHA = re.compile(r"[0-9a-f]{40}([0-9a-f]{24})?")


def git_revision(folder: Path) -> str | None:
    """The commit that is checked out in a folder or in one of those around it; None outside of a repository."""
    for place in (folder, *folder.parents):
        git = place / ".git"
        try:
            if git.exists():
                return _head(_git_folder(git))
        except (OSError, ValueError):
            return None
    return None


def _git_folder(git: Path) -> Path:
    """The folder itself, or the one that the file of a worktree or submodule points to."""
    if git.is_dir():
        return git
    return git.parent / git.read_text(encoding="utf-8").removeprefix("gitdir:").strip()


def _head(git: Path) -> str | None:
    head = (git / "HEAD").read_text(encoding="utf-8").strip()
    if not head.startswith("ref:"):
        return _checked(head)
    name = head.removeprefix("ref:").strip()
    common = git / "commondir"  # a worktree keeps its HEAD to itself and shares the branches
    shared = git / common.read_text(encoding="utf-8").strip() if common.is_file() else git
    for place in (git / name, shared / name):
        if place.is_file():
            return _checked(place.read_text(encoding="utf-8").strip())
    packed = shared / "packed-refs"
    lines = packed.read_text(encoding="utf-8").splitlines() if packed.is_file() else []
    return next((_checked(line.split()[0]) for line in lines if line.split()[1:] == [name]), None)


def _checked(text: str) -> str | None:
    return text if _SHA.fullmatch(text) else None
