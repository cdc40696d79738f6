"""The machine and the libraries that a result was computed with: what makes it repeat bit for bit."""

from __future__ import annotations

import platform
from typing import Any

import cv2
import numpy as np
import torch

from pipelines.device import forward_rows

__all__ = ["machine_facts"]


def machine_facts() -> dict[str, Any]:
    """Versions, processor, threads and rows of a batch, as plain values."""
    return {
        "python": platform.python_version(),
        "torch": str(torch.__version__),  # it has a type of its own, which only torch can read
        "numpy": np.__version__,
        "opencv": cv2.__version__,
        "platform": platform.platform(terse=True),
        "machine": platform.machine(),
        "processor": _processor(),
        "capability": torch.backends.cpu.get_cpu_capability(),
        "threads": torch.get_num_threads(),
        "rows": forward_rows(torch.device("cpu")),
    }


def _processor() -> str:
    """The processor's name, where the system tells."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as file:  # noqa: PTH123 - no file of the user
            lines = [line.partition(":")[2].strip() for line in file if line.startswith("model name")]
    except OSError:
        return platform.processor()
    return lines[0] if lines else platform.processor()
