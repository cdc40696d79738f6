"""Weights in half precision: which tensors keep their values in it, and how large a file of them gets."""

from __future__ import annotations

from collections.abc import Iterable
from math import prod
from pathlib import Path

import torch
from safetensors import safe_open

__all__ = ["half_size", "in_half_precision"]

_LARGEST, _LEAST = 65504.0, 6.2e-5
"""Largest value of half precision; below the other it has fewer digits, and soon none."""


def in_half_precision(name: str, tensor: torch.Tensor) -> torch.Tensor:
    """The tensor in half precision, unless that would change it beyond rounding.

    Running statistics are divided by: of them no value may lose its digits, as one of 1e-10 would that becomes zero.
    """
    if tensor.dtype != torch.float32 or not tensor.numel() or not bool(torch.isfinite(tensor).all()):
        return tensor
    sizes = tensor.abs()
    tiny = bool(((sizes > 0) & (sizes < _LEAST)).any()) and name.rpartition(".")[2].startswith("running_")
    return tensor if tiny or float(sizes.max()) > _LARGEST else tensor.half()


def half_size(files: Iterable[Path]) -> int:
    """Bytes of some safetensors files once their float32 tensors are in half precision."""
    total = 0
    for path in files:
        total += path.stat().st_size
        with safe_open(path, framework="pt") as file:
            parts = [file.get_slice(key) for key in file.keys()]  # noqa: SIM118
            total -= sum(2 * prod(part.get_shape()) for part in parts if part.get_dtype() == "F32")
    return total
