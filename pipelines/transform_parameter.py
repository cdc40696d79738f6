"""Checks of a transform's parameters, where it is applied to whole batches."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["UnableError", "number", "rising", "whole_rising"]


class UnableError(Exception):
    """A parameter is none that the batched transform knows; albumentations may, or says what is wrong with it."""


def number(value: Any, low: float, high: float) -> float:
    """A number between two others.

    Raises:
        UnableError: It is none.
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise UnableError(value)
    return float(value)


def rising(value: Any, *, low: float = -np.inf) -> tuple[float, float]:
    """A pair of rising numbers.

    Raises:
        UnableError: It is none.
    """
    if not isinstance(value, list | tuple) or len(value) != 2:
        raise UnableError(value)
    first, last = (number(end, low, np.inf) for end in value)
    if first > last:
        raise UnableError(value)
    return first, last


def whole_rising(value: Any, *, low: float = -np.inf) -> tuple[int, int]:
    """A pair of rising whole numbers.

    Raises:
        UnableError: It is none.
    """
    first, last = rising(value, low=low)
    if first != int(first) or last != int(last):
        raise UnableError(value)
    return int(first), int(last)
