"""The device, its arithmetic, and the settings that make results repeat."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import cv2
import torch

from backbones.errors import InputError, reason_of

__all__ = ["autocast", "choose_device", "cpu_threads", "describe_device", "forward_rows", "resolve_precision"]

_BFLOAT16_ON_CPU = "_is_amx_tile_supported", "_is_avx512_bf16_supported"
"""torch's tests for instructions that multiply bfloat16; a processor whose test torch lacks counts as without them."""


def choose_device(name: str | None = None) -> torch.device:
    """The torch device of that name; default CUDA where there is one. Also sets the process up for repeatable speed.

    Raises:
        InputError: There is no such device here.
    """
    torch.set_flush_denormal(True)  # denormal weights slow CPU training down several times
    cv2.setNumThreads(1)  # faces are small: handing them to threads costs more than the work
    torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.allow_tf32 = False  # float32 means float32, on a GPU as well
    torch.backends.cudnn.deterministic = True
    try:
        device = torch.device(name or ("cuda" if torch.cuda.is_available() else "cpu"))
        torch.zeros(1, device=device).cpu()  # `meta` holds no numbers
    except (RuntimeError, AssertionError) as error:
        raise InputError(
            f"Expected `--device` to be a device of this machine, but got {name!r}: {reason_of(error)}"
        ) from None
    return device


@contextlib.contextmanager
def cpu_threads(count: int) -> Iterator[None]:
    """Let torch use that many threads of the CPU; whoever called has as many as before afterwards."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def forward_rows(device: torch.device) -> int:
    """Rows of every inference batch.

    Matrix kernels round differently for different batch sizes. Inference therefore always runs batches of this one
    size, the last one padded: then a face's probabilities do not depend on which other faces are asked for. Twelve
    rows hold the ten views of one face and fill the kernels' tiles, however many threads share them, so that the place
    in the batch does not matter either; of ten rows the last two differ.
    """
    return 12 if device.type == "cpu" else 512


def resolve_precision(precision: str, device: torch.device) -> str:
    """`auto` becomes bfloat16 where the device multiplies it in hardware, float32 elsewhere."""
    if precision != "auto":
        return precision
    if device.type == "cuda":
        fast = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        fast = any(bool(getattr(torch.cpu, test, lambda: False)()) for test in _BFLOAT16_ON_CPU)
    return "bfloat16" if fast else "float32"


def autocast(precision: str, device: torch.device) -> contextlib.AbstractContextManager[Any]:
    """Mixed precision for the forward pass of training; nothing for float32."""
    if precision == "float32":
        return contextlib.nullcontext()
    return torch.autocast(device.type, dtype=torch.bfloat16)


def describe_device(device: torch.device) -> str:
    """The device in a few words, for reports."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"CPU, {torch.get_num_threads()} threads"
