"""What a process is given: cores, and streams that can say everything."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from pipelines.environment import core_count
from pipelines.workforce import worker_count


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="cores cannot be bound here")
def test_a_process_bound_to_one_core_counts_one() -> None:
    code = """
import os
from pipelines.environment import core_count
os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
print(core_count())
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "1"


def test_cores_are_those_of_the_machine_where_none_are_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 3)
    assert core_count() == worker_count(None) == 3
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert core_count() == 1


def test_what_the_encoding_cannot_show_is_escaped() -> None:
    code = "from pipelines.environment import prepare_environment; prepare_environment(); print('1×48 Zoë')"
    environment = {**os.environ, "PYTHONIOENCODING": "ascii:strict"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert done.stdout.strip() == r"1\xd748 Zo\xeb"
