"""Bounds what building a network may take in memory, before it is taken: a file can ask for a network of any size."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

from backbones.errors import InputError

__all__ = ["AllocationLimit"]

_MAKERS = {torch.empty, torch.zeros, torch.ones, torch.full, torch.rand, torch.randn, torch.eye}


class AllocationLimit(TorchFunctionMode):
    """Within it, tensors are made as long as their sizes stay below a limit in all.

    Args:
        most: Bytes in all.
        place: What asks for them, for the message.

    Raises:
        InputError: A tensor would go beyond it; it is not made.

    Example:
        >>> with AllocationLimit(1 << 20, place="`x/spec.json`"):
        ...     layer = torch.nn.Linear(64, 64)
        ...     torch.nn.Linear(10**6, 10**6)
        Traceback (most recent call last):
        ...
        backbones.errors.InputError: Expected `x/spec.json` to ask for a network of at most 1,048,576 bytes, but ...
    """

    def __init__(self, most: int, *, place: str) -> None:
        super().__init__()
        self.most, self.place, self.taken = most, place, 0

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Count what a maker of tensors is asked for; everything else passes."""
        kwargs = kwargs or {}
        if func in _MAKERS:
            self.taken += _elements(func, args, kwargs) * _bytes_of(kwargs.get("dtype"))
            if self.taken > self.most:
                raise InputError(
                    f"Expected {self.place} to ask for a network of at most {self.most:,} bytes, but it asks for "
                    f"{self.taken:,} or more. Take the committee from where it was fitted."
                )
        return func(*args, **kwargs)


def _elements(func: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> int:
    size = kwargs.get("size", args)
    if "size" not in kwargs and args and isinstance(args[0], Sequence):
        size = args[0]
    if func is torch.eye:
        return math.prod(args[:2]) if len(args) > 1 else args[0] ** 2
    return math.prod(int(side) for side in size)


def _bytes_of(dtype: torch.dtype | None) -> int:
    return (dtype or torch.get_default_dtype()).itemsize
