"""Worker processes: forked from one server where that can be, started anew where not, and gone with their parent."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from backbones.errors import InputError
from pipelines.worker_process import run_aside, worker_context

ROOT = Path(__file__).parents[2]
FORKS = sys.platform == "linux"


def test_what_is_called_aside_returns_and_raises() -> None:
    assert run_aside(int, "7") == 7
    assert run_aside(os.getpid) != os.getpid()
    with pytest.raises(ValueError, match="invalid literal"):
        run_aside(int, "x")


def test_a_call_aside_that_is_killed_is_told() -> None:
    with pytest.raises(InputError, match="ended from outside with code 3"):
        run_aside(os._exit, 3)


@pytest.mark.parametrize("seconds", [0.0, 0.5])
def test_an_interrupted_call_aside_ends_without_a_word(tmp_path: Path, seconds: float) -> None:
    code = """
import os, sys, threading, time
from pipelines import worker_process
from pipelines.termination import terminable

if __name__ == "__main__":
    worker_process._LOADED_ONCE = []
    worker_process.worker_context()
    try:
        with terminable():
            threading.Timer(float(sys.argv[1]), lambda: os.kill(os.getpid(), 15)).start()
            worker_process.run_aside(time.sleep, 60)
    except KeyboardInterrupt:
        print("interrupted")
"""
    (tmp_path / "program.py").write_text(code)
    result = subprocess.run(
        [sys.executable, tmp_path / "program.py", str(seconds)],
        env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert (result.stdout, result.stderr, result.returncode) == ("interrupted\n", "", 0)


@pytest.mark.skipif(not FORKS, reason="workers are forked on Linux only")
def test_where_a_socket_cannot_lie_workers_are_started_anew(tmp_path: Path) -> None:
    far = tmp_path / ("x" * 100)
    far.mkdir()
    code = """
from pipelines.worker_process import run_aside, worker_context
if __name__ == "__main__":
    print(worker_context().get_start_method(), run_aside(int, "7"))
"""
    (tmp_path / "program.py").write_text(code)
    for folder, method in ((far, "spawn"), (Path("/tmp"), "forkserver")):
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(folder)}
        result = subprocess.run(
            [sys.executable, tmp_path / "program.py"], env=environment, capture_output=True, text=True
        )
        assert result.stdout.split() == [method, "7"], result.stderr


def test_no_worker_outlives_a_killed_parent(tmp_path: Path) -> None:
    code = """
import os, sys, time
from pipelines.worker_process import end_with_parent, worker_context

def work():
    end_with_parent()
    print(os.getpid(), flush=True)
    time.sleep(600)

if __name__ == "__main__":
    worker_context().Process(target=work, daemon=True).start()
    time.sleep(600)
"""
    (tmp_path / "program.py").write_text(code)
    with subprocess.Popen(
        [sys.executable, tmp_path / "program.py"], env={**os.environ, "PYTHONPATH": str(ROOT)}, stdout=subprocess.PIPE,
        text=True,
    ) as parent:  # fmt: skip
        assert parent.stdout is not None
        worker = psutil.Process(int(parent.stdout.readline()))
        others = [*psutil.Process(parent.pid).children(recursive=True), worker]
        parent.send_signal(signal.SIGKILL)
        parent.wait()
    _, alive = psutil.wait_procs(others, timeout=20)
    assert alive == []


def test_the_context_is_one_that_this_system_has() -> None:
    assert worker_context().get_start_method() == ("forkserver" if FORKS else "spawn")
