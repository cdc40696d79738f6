"""What several test files share: a tiny committee, the command line in this process, and quiet threads."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from support import TINY, Outcome

from pipelines.environment import prepare_environment

prepare_environment()


@pytest.fixture
def cli(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Outcome]:
    """Run the command line in this process."""
    from pipelines.cli import main

    def run(*args: str) -> Outcome:
        monkeypatch.setattr(sys, "argv", ["ensemble", *args])
        capsys.readouterr()
        try:
            main()
            code = 0
        except SystemExit as ending:
            code = int(ending.code or 0)
        captured = capsys.readouterr()
        return Outcome(code, captured.out, captured.err)

    return run


@pytest.fixture(autouse=True)
def _own_workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test writes into the project, looks at its runs, or keeps all cores busy with tiny networks."""
    monkeypatch.chdir(tmp_path)
    for name in ("ENSEMBLE_RUNS", "ENSEMBLE_WEIGHTS", "MLFLOW_TRACKING_URI"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="session")
def tiny_workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A working directory with `tiny.yaml`, fitted once with tracking. Copy it before changing anything in it."""
    import pipelines

    folder = tmp_path_factory.mktemp("tiny")
    (folder / "tiny.yaml").write_text(TINY)
    before = Path.cwd()
    os.chdir(folder)
    try:
        pipelines.fit("tiny.yaml", jobs=1, quiet=True)
    finally:
        os.chdir(before)
    return folder


@pytest.fixture
def tiny(tiny_workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the fitted workspace, as the working directory."""
    copy = tmp_path / "work"
    shutil.copytree(tiny_workspace, copy, symlinks=True)
    monkeypatch.chdir(copy)
    return copy
