"""Whether an exported program says what the product says, and how fast either says it."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pipelines.export.exportable import Answers
from pipelines.export.session import Session

__all__ = ["TOLERANCE", "Parity", "Speed", "channels_first", "compare", "edge_faces", "measure"]

TOLERANCE = 1e-4
"""Largest difference of a probability; float32 explains a hundredth of it."""

_FIRST, _SECOND, _REST = 1, 17, 64
_NOISE = 14
_REPEATS = 7
_BLOCK = 16


@dataclass(frozen=True, kw_only=True)
class Parity:
    """The outcome of a comparison.

    Attributes:
        faces: How many faces were compared.
        source: What they are.
        batches: Sizes of the batches.
        largest: Largest difference of a probability by output; NaN where one is no number.
        same_label: Share of the faces that get the same label.
    """

    faces: int
    source: str
    batches: tuple[int, ...]
    largest: Mapping[str, float]
    same_label: float

    @property
    def holds(self) -> bool:
        """Whether all differences are tolerable."""
        return all(value <= TOLERANCE for value in self.largest.values())

    def describe(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "faces": self.faces, "source": self.source, "batches": list(self.batches), "tolerance": TOLERANCE,
            "largest_difference": dict(self.largest), "same_label": self.same_label,
        }  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Speed:
    """Milliseconds per face, in batches of 16 and so many threads; medians."""

    torch: float
    onnxruntime: float
    threads: int


def edge_faces(size: int, channels: int) -> npt.NDArray[np.uint8]:
    """Faces that no camera takes, (N, S, S) or (N, S, S, 3): black, white, a board, a slope, a dot, noise."""
    rng = np.random.default_rng(0)
    row, column = np.mgrid[:size, :size]
    slope = (255 * column / max(1, size - 1)).astype(np.uint8)
    board = (255 * ((row + column) % 2)).astype(np.uint8)
    dot = np.zeros((size, size), np.uint8)
    dot[size // 2, size // 2] = 255
    noise = rng.integers(0, 256, (_NOISE, size, size, 3), dtype=np.uint8)
    if channels == 1:
        noise = noise[..., 0]
    plain = np.stack([np.zeros_like(dot), np.full_like(dot, 255), board, slope, dot])
    plain = np.repeat(plain[..., None], 3, axis=3) if channels == 3 else plain
    return np.concatenate([plain, noise])


def channels_first(faces: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """(N, S, S) or (N, S, S, 3) to what an exported program takes, (N, C, S, S)."""
    return faces[:, None] if faces.ndim == 3 else np.ascontiguousarray(faces.transpose(0, 3, 1, 2))


def compare(
    session: Session, answers: Callable[[npt.NDArray[np.uint8]], Answers], faces: npt.NDArray[np.uint8], *, source: str
) -> Parity:
    """Ask both about the same faces, in batches of 1, 17 and more.

    Args:
        session: The exported program.
        answers: The product's own.
        faces: (N, S, S) or (N, S, S, 3) uint8.
        source: What they are.
    """
    expected, given = answers(faces), channels_first(faces)
    parts = list(_batches(len(faces)))
    found = [session(given[part]) for part in parts]
    actual = {name: np.concatenate([batch[name] for batch in found]) for name in session.outputs}
    first = session.outputs[0]
    return Parity(
        faces=len(faces), source=source, batches=tuple(sorted({part.stop - part.start for part in parts})),
        largest={name: _largest(actual[name], expected[name]) for name in session.outputs},
        same_label=float((actual[first].argmax(axis=1) == expected[first].argmax(axis=1)).mean()),
    )  # fmt: skip


def measure(
    session: Session,
    answers: Callable[[npt.NDArray[np.uint8]], Answers],
    faces: npt.NDArray[np.uint8],
    *,
    threads: int,
) -> Speed:
    """Time both on one batch, in turns.

    Args:
        session: The exported program.
        answers: The product's own.
        faces: (N, S, S) or (N, S, S, 3) uint8, 16 at least.
        threads: How many both use.
    """
    block = faces[:_BLOCK]
    given = channels_first(block)
    own, other = [], []
    for _ in range(_REPEATS):
        own.append(_seconds(lambda: answers(block)))
        other.append(_seconds(lambda: session(given)))
    per_face = 1000.0 / len(block)
    return Speed(
        torch=per_face * statistics.median(own), onnxruntime=per_face * statistics.median(other), threads=threads
    )


def _seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def _batches(count: int) -> Iterator[slice]:
    start = 0
    for size in (_FIRST, _SECOND, *[_REST] * count):
        if start >= count:
            return
        yield slice(start, min(start + size, count))
        start += size


def _largest(actual: npt.NDArray[np.floating[Any]], expected: npt.NDArray[np.floating[Any]]) -> float:
    return float(np.abs(actual.astype(np.float64) - expected).max())
