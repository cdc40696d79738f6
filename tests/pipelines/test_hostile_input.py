"""Every bad input ends with code 2 and a message that names the file and the reason; nothing is left behind."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hostile.archives import ARCHIVES
from hostile.case import Case
from hostile.committees import COMMITTEES, POSTERIORS
from hostile.documents import DOCUMENTS
from hostile.folders import FOLDERS
from hostile.photos import PHOTOS
from hostile.tables import TABLES
from support import ROOT, Outcome

Cli = Callable[..., Outcome]

WITHOUT_COMMITTEE = (*TABLES, *ARCHIVES, *FOLDERS)
CHECKED = (*DOCUMENTS, *POSTERIORS)
WITH_COMMITTEE = (*PHOTOS, *COMMITTEES)
ALL = (*WITHOUT_COMMITTEE, *CHECKED, *WITH_COMMITTEE)
_PEAK = 1 << 30
_SECONDS = 10
"""Of the processor, which do not depend on what else the machine does."""

HEAVY = (
    "csv line of 500 MB", "gz bomb of rows", "zip bomb", "zip of a million files", "tar name of gigabytes",
    "folder with a pixel bomb", "weights bomb", "npz bomb",
)  # fmt: skip
"""Those that would fill memory: each meets the command only in a process of its own, and its peak is measured."""


def _ids(case: Case) -> str:
    return case.name.replace(" ", "-")


def _files(folder: Path) -> dict[str, int]:
    return {
        str(path.relative_to(folder)): path.lstat().st_mtime_ns
        for path in folder.rglob("*")
        if not path.is_dir() and "facts" not in path.parts
    }


def _check(case: Case, folder: Path, before: dict[str, int], outcome: Outcome, seconds: float) -> None:
    assert outcome.code == 2, outcome.err or outcome.out
    assert outcome.err.count("ensemble: ") >= 1
    for word in case.words:
        assert word in outcome.err, outcome.err
    assert "Traceback" not in outcome.err
    assert _files(folder) == before
    assert seconds < _SECONDS


def test_there_are_enough_of_every_kind() -> None:
    names = [case.name for case in ALL]
    assert len(names) == len(set(names)) >= 200
    assert set(HEAVY) <= set(names)


@pytest.mark.parametrize("case", [case for case in WITHOUT_COMMITTEE if case.name not in HEAVY], ids=_ids)
def test_bad_data_is_refused(case: Case, tmp_path: Path, cli: Cli) -> None:
    _run(case, tmp_path, cli)


@pytest.fixture(scope="session")
def painted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the synthetic faces that members are checked on lie, drawn once."""
    return tmp_path_factory.mktemp("painted")


@pytest.mark.parametrize("case", [case for case in CHECKED if case.name not in HEAVY], ids=_ids)
def test_bad_documents_are_refused(
    case: Case, tmp_path: Path, painted: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ENSEMBLE_RUNS", str(painted))
    _run(case, tmp_path, cli)


@pytest.mark.parametrize("case", WITH_COMMITTEE, ids=_ids)
def test_bad_photos_and_committees_are_refused(case: Case, tiny: Path, cli: Cli) -> None:
    _run(case, tiny, cli)


def _run(case: Case, folder: Path, cli: Cli) -> None:
    args = case.make(folder)
    before, start = _files(folder), time.process_time()
    outcome = cli(*args)
    _check(case, folder, before, outcome, time.process_time() - start)


@pytest.mark.parametrize("name", HEAVY, ids=lambda name: name.replace(" ", "-"))
def test_bombs_stay_small(name: str, tmp_path: Path, painted: Path) -> None:
    case = next(case for case in ALL if case.name == name)
    args = case.make(tmp_path)
    before = _files(tmp_path)
    code = (
        "import time\nfrom pathlib import Path\nfrom pipelines.cli import main\n"
        "try:\n    main()\nfinally:\n"
        # Not `ru_maxrss`, which begins with the memory of the process that this one was forked from.
        "    peak = Path('/proc/self/status').read_text().partition('VmHWM:')[2].split()[0]\n"
        "    print('USED', time.process_time(), peak)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *args], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT), "ENSEMBLE_RUNS": str(painted)}, preexec_fn=_no_core,
    )  # fmt: skip
    seconds, peak = done.stdout.rpartition("USED ")[2].split()
    _check(case, tmp_path, before, Outcome(done.returncode, done.stdout, done.stderr), float(seconds))
    assert int(peak) * 1024 < _PEAK


def _no_core() -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
