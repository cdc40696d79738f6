from __future__ import annotations

from pathlib import Path

import pytest

from pipelines.revision import git_revision

SHA = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def git(tmp_path: Path) -> Path:
    git = tmp_path / "work" / ".git"
    git.mkdir(parents=True)
    return git


def test_a_branch_has_a_file_or_a_line(git: Path) -> None:
    (git / "HEAD").write_text("ref: refs/heads/main\n")
    (git / "packed-refs").write_text(f"# pack-refs\n{'f' * 40} refs/heads/other\n{SHA} refs/heads/main\n^{'e' * 40}\n")
    assert git_revision(git.parent) == SHA
    (git / "refs" / "heads").mkdir(parents=True)
    (git / "refs" / "heads" / "main").write_text("a" * 40 + "\n")
    assert git_revision(git.parent) == "a" * 40


def test_a_commit_that_is_no_branch_and_a_folder_deep_inside(git: Path) -> None:
    (git / "HEAD").write_text(SHA + "\n")
    inside = git.parent / "a" / "b"
    inside.mkdir(parents=True)
    assert git_revision(inside) == SHA


def test_a_worktree_shares_the_branches(git: Path) -> None:
    own = git / "worktrees" / "second"
    own.mkdir(parents=True)
    (own / "HEAD").write_text("ref: refs/heads/second\n")
    (own / "commondir").write_text("../..\n")
    (git / "refs" / "heads").mkdir(parents=True)
    (git / "refs" / "heads" / "second").write_text(SHA + "\n")
    second = git.parents[1] / "second"
    second.mkdir()
    (second / ".git").write_text(f"gitdir: {own}\n")
    assert git_revision(second) == SHA


@pytest.mark.parametrize("head", ["", "ref: refs/heads/unborn\n", "nonsense\n"])
def test_what_is_no_revision_is_none(git: Path, head: str) -> None:
    (git / "HEAD").write_text(head)
    assert git_revision(git.parent) is None


def test_no_repository_is_none(tmp_path: Path) -> None:
    assert git_revision(tmp_path) is None
