"""What a prediction costs: milliseconds per face and view of every member, on the machine at hand."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import torch

from pipelines.device import choose_device
from pipelines.folded_member import load_member

__all__ = ["member_cost"]

_FACES = 128
_REPEATS = 3


def member_cost(folder: Path, *, device: str | None = None) -> float:
    """Milliseconds per face and view of a finished member, input layer included; the best of a few runs.

    Args:
        folder: The member's folder.
        device: Torch device.
    """
    member = load_member(folder, device=choose_device(device))
    shape = (_FACES, member.face_size, member.face_size) + ((3,) if member.face_channels == 3 else ())
    faces = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    member.probabilities(faces[:8])  # the first call sets things up
    seconds = []
    for _ in range(_REPEATS):
        started = time.perf_counter()
        member.probabilities(faces)
        if member.device.type == "cuda":
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - started)
    return 1000.0 * min(seconds) / _FACES
