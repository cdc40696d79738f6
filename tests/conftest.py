"""What several test files share: a tiny committee, the command line in this process, and quiet threads."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from unittest import mock

import pytest
from support import TINY, Outcome, copy_workspace, made_once, make_empty_store

from pipelines.environment import prepare_environment

prepare_environment()

STORE = Path("empty-store/mlflow.db")
SETTINGS = ("ENSEMBLE_RUNS", "ENSEMBLE_WEIGHTS", "MLFLOW_TRACKING_URI")


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


@pytest.fixture(scope="module", autouse=True)
def _own_environment() -> Iterator[None]:
    """What a file leaves in the environment, as `mlflow.set_tracking_uri` does, does not reach the fits of the next."""
    with mock.patch.dict(os.environ):
        for name in SETTINGS:
            os.environ.pop(name, None)
        yield


@pytest.fixture(autouse=True)
def _own_workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test writes into the project, looks at its runs, or keeps all cores busy with tiny networks."""
    monkeypatch.chdir(tmp_path)
    for name in SETTINGS:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of this run, which all its processes share; what `support.made_once` makes lies in it."""
    own = tmp_path_factory.getbasetemp()
    return own.parent if "PYTEST_XDIST_WORKER" in os.environ else own


@pytest.fixture(scope="session")
def empty_store(shared: Path) -> Path:
    """An MLflow store without an experiment, for commands in processes of their own: a copy of it is ready at once."""
    return made_once(shared / STORE.parent, make_empty_store) / STORE.name


@pytest.fixture(scope="session", autouse=True)
def _copied_stores(shared: Path) -> Iterator[None]:
    """Every store that this process opens anew is a copy of the empty one, which the first to open one makes."""

    def copy(path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists() and path != shared / STORE:
            with suppress(OSError):  # a place that cannot be written to is MLflow's to tell
                shutil.copyfile(made_once(shared / STORE.parent, make_empty_store) / STORE.name, path)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pipelines.tracking_store.make_place", copy)
        yield


@pytest.fixture(scope="session")
def tiny_workspace(shared: Path) -> Path:
    """A working directory with `tiny.yaml`, fitted once with tracking. Copy it before changing anything in it."""
    return made_once(shared / "tiny", _fit_tiny)


def _fit_tiny(folder: Path) -> None:
    import pipelines

    (folder / "tiny.yaml").write_text(TINY)
    before = Path.cwd()
    os.chdir(folder)
    try:
        pipelines.fit("tiny.yaml", jobs=1, quiet=True)
    finally:
        os.chdir(before)


@pytest.fixture
def tiny(tiny_workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the fitted workspace, as the working directory."""
    copy = tmp_path / "work"
    copy_workspace(tiny_workspace, copy)
    monkeypatch.chdir(copy)
    return copy
