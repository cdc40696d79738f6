"""Jobs for workers that meet with something; in a module of their own, so that worker processes find them."""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

from backbones.errors import InputError


@dataclass(frozen=True)
class Job:
    """Takes part of a member job's place.

    Attributes:
        name: Of the member.
        fate: What becomes of it.
    """

    name: str
    fate: str = "done"

    @property
    def spec(self) -> Any:
        return SimpleNamespace(name=self.name, batch_size=64)

    def run(self, listen: Any) -> None:
        listen(self.name, "note", "at work")
        match self.fate:
            case "killed":
                os.kill(os.getpid(), signal.SIGKILL)
            case "out of memory":
                raise RuntimeError("[enforce fail at alloc_cpu.cpp:118] err == 0. DefaultCPUAllocator: can't allocate")
            case "NaN":
                raise InputError("Expected a finite training loss")
            case "full disk":
                raise OSError(28, "No space left on device", "x/checkpoint.safetensors")
            case "fault":
                raise RuntimeError("a mistake in the program")
