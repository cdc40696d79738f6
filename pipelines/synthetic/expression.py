"""What each expression does to a face, in action units of the Facial Action Coding System.

Every expression has a few prototypes, each a mapping from action unit to intensity in 0..1. A face takes one prototype,
an overall strength, and a jitter per action unit. How an action unit moves skin is the business of the drawing modules.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray

from pipelines.synthetic.parameter import Plane

__all__ = ["ACTION_UNITS", "EXPRESSIONS", "ActionUnits", "draw_action_units"]

EXPRESSIONS: Final = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
"""Class names in label order, the order of FER2013."""

ACTION_UNITS: Final[Mapping[int, str]] = {
    1: "inner brow raiser",
    2: "outer brow raiser",
    4: "brow lowerer",
    5: "upper lid raiser",
    6: "cheek raiser",
    7: "lid tightener",
    9: "nose wrinkler",
    10: "upper lip raiser",
    12: "lip corner puller",
    15: "lip corner depressor",
    17: "chin raiser",
    20: "lip stretcher",
    23: "lip tightener",
    25: "lips part",
    26: "jaw drop",
}

ActionUnits = Mapping[int, Plane]
"""Intensity of every action unit, `(faces, 1, 1)` each, keyed by its number in `ACTION_UNITS`."""

PROTOTYPES: Final[Mapping[str, tuple[Mapping[int, float], ...]]] = {
    "angry": (
        {4: 1.0, 5: 0.5, 7: 0.6, 17: 0.4, 23: 1.0},
        {4: 1.0, 7: 0.8, 23: 0.7},
        {4: 1.0, 5: 0.4, 7: 0.6, 10: 0.4, 25: 0.8, 26: 0.4},
    ),
    "disgust": (
        {4: 0.4, 7: 0.5, 9: 1.0, 10: 0.8, 15: 0.3, 17: 0.4},
        {4: 0.3, 6: 0.3, 7: 0.6, 9: 0.9, 10: 1.0, 25: 0.6, 26: 0.15},
    ),
    "fear": (
        {1: 1.0, 2: 0.4, 4: 0.6, 5: 0.9, 20: 1.0, 25: 0.6, 26: 0.2},
        {1: 0.9, 2: 0.5, 4: 0.5, 5: 0.8, 20: 0.8, 25: 0.8, 26: 0.4},
    ),
    "happy": (
        {6: 0.8, 12: 1.0, 25: 0.8},
        {6: 0.6, 12: 0.9},
        {6: 1.0, 7: 0.3, 12: 1.0, 25: 1.0, 26: 0.4},
    ),
    "sad": (
        {1: 1.0, 4: 0.5, 15: 0.9, 17: 0.5},
        {1: 0.8, 4: 0.4, 7: 0.3, 15: 1.0},
    ),
    "surprise": (
        {1: 1.0, 2: 1.0, 5: 0.8, 25: 0.8, 26: 1.0},
        {1: 0.9, 2: 1.0, 5: 0.6, 25: 0.6, 26: 0.6},
    ),
    "neutral": ({}, {25: 0.25}, {5: 0.15}, {7: 0.15}),
}


def _prototype_table() -> tuple[Plane, NDArray[np.int64]]:
    """Prototypes as an array `(expressions, variants, units)`, and how many variants each expression has."""
    variants = np.array([len(PROTOTYPES[name]) for name in EXPRESSIONS], dtype=np.int64)
    table = np.zeros((len(EXPRESSIONS), int(variants.max()), len(ACTION_UNITS)), dtype=np.float32)
    for row, name in enumerate(EXPRESSIONS):
        for column, prototype in enumerate(PROTOTYPES[name]):
            table[row, column] = [prototype.get(unit, 0.0) for unit in ACTION_UNITS]
    return table, variants


def draw_action_units(labels: NDArray[np.int64], rng: np.random.Generator) -> ActionUnits:
    """Draw how strongly every action unit is contracted in faces of the given expressions.

    Args:
        labels: Positions in `EXPRESSIONS`, shape `(faces,)`.
        rng: Where the randomness comes from.

    Returns:
        For every action unit the intensities `(faces, 1, 1)`, never negative and about 1 at most.
    """
    count = len(labels)
    table, variants = _prototype_table()
    variant = (rng.random(count) * variants[labels]).astype(np.int64)
    strength = 0.60 + 0.40 * rng.random((count, 1))
    jitter = 0.75 + 0.5 * rng.random((count, len(ACTION_UNITS)))
    # No face is ever quite at rest: every muscle has a little tone of its own.
    tone = np.maximum(0.0, 0.06 * rng.standard_normal((count, len(ACTION_UNITS))))
    intensity = (table[labels, variant] * strength * jitter + tone).astype(np.float32)  # (N, U)
    return {unit: intensity[:, column, None, None] for column, unit in enumerate(ACTION_UNITS)}
