"""Workers: a job that cannot be finished does not keep the others from their end."""

from __future__ import annotations

from typing import Any

import pytest
from faults.jobs import Job

from backbones.errors import InputError
from pipelines.workforce import run_jobs


class Told:
    def __init__(self) -> None:
        self.events: list[tuple[str, str]] = []

    def __call__(self, member: str, event: str, payload: Any) -> None:
        self.events.append((member, event))

    def ended(self, event: str) -> list[str]:
        return sorted(member for member, what in self.events if what == event)


def test_in_one_process_the_others_go_on() -> None:
    told = Told()
    jobs: Any = [Job("a", "NaN"), Job("b"), Job("c", "out of memory"), Job("d")]
    with pytest.raises(InputError) as caught:
        run_jobs(jobs, processes=1, listen=told)
    assert told.ended("done") == ["b", "d"]
    assert told.ended("lost") == ["a", "c"]
    first, second = str(caught.value).splitlines()
    assert first == "Expected a finite training loss"
    assert second.startswith("Expected member `c` to fit into memory, but got: [enforce fail")
    assert "Lower its `batch_size` (now 64)" in second


def test_a_full_disk_or_a_mistake_ends_all() -> None:
    for fate, kind in (("full disk", OSError), ("fault", RuntimeError)):
        told = Told()
        jobs: Any = [Job("a", fate), Job("b")]
        with pytest.raises(kind):
            run_jobs(jobs, processes=1, listen=told)
        assert told.ended("done") == []


def test_killed_workers_are_named_and_the_others_go_on() -> None:
    told = Told()
    jobs: Any = [Job("a", "killed"), Job("b", "out of memory"), Job("c")]
    with pytest.raises(InputError) as caught:
        run_jobs(jobs, processes=3, listen=told)
    assert told.ended("note") == ["a", "b", "c"]
    assert told.ended("done") == ["c"]
    assert told.ended("lost") == ["a", "b"]
    lines = sorted(str(caught.value).splitlines())
    assert lines[0].startswith("Expected member `b` to fit into memory")
    assert lines[1].startswith("Expected the process that trained member `a` to reach its end")
    assert "code -9" in lines[1]


def test_a_full_disk_in_a_worker_is_one_message() -> None:
    jobs: Any = [Job("a", "full disk")]
    with pytest.raises(InputError, match=r"read and write `x/checkpoint.safetensors`, but got: No space left"):
        run_jobs(jobs, processes=2, listen=Told())
