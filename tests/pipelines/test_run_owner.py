from __future__ import annotations

import os
import socket
import subprocess
import sys

import psutil

from pipelines.run_owner import is_gone, this_process


def test_this_process_is_alive() -> None:
    assert not is_gone(this_process())


def test_an_ended_process_is_gone() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        owner = f"{socket.gethostname()} {child.pid} {psutil.Process(child.pid).create_time():.0f}"
        assert not is_gone(owner)
        child.kill()
    assert is_gone(owner)


def test_a_number_that_is_given_again_is_another_process() -> None:
    started = psutil.Process().create_time()
    assert is_gone(f"{socket.gethostname()} {os.getpid()} {started - 100:.0f}")


def test_of_other_machines_nothing_is_known() -> None:
    for owner in ("elsewhere 1 1", "", "nonsense", f"{socket.gethostname()} x y"):
        assert not is_gone(owner)
