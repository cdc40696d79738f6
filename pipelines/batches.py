"""Where training batches come from: augmented faces, or cached features of a frozen backbone.

Every epoch's order and augmentation follow from (seed, epoch) alone, so a fit resumed at an epoch sees exactly what
the uninterrupted one saw.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Protocol, TypeVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from pipelines.augmentation import Augmentation
from pipelines.seed import derived_seed

__all__ = ["Batches", "FaceBatches", "FeatureBatches"]

In = TypeVar("In")
Out = TypeVar("Out")

_AHEAD = 2
_TOGETHER = 32
_BYTES_TOGETHER = 16 * 2**20
"""Batches are augmented so many in one go, or as many as that holds: in between, the network's work drives all that it
takes out of a processor's caches, and a GPU is told once for all of them."""


class Batches(Protocol):
    """Training batches, epoch by epoch."""

    def __len__(self) -> int:
        """Batches per epoch."""
        ...

    def epoch(self, number: int) -> Iterator[tuple[Tensor, Tensor]]:
        """(inputs, target distributions) of one epoch; `number` counts from 0."""
        ...


def _schedule(count: int, batch_size: int, seed: int, epoch: int) -> list[npt.NDArray[np.int64]]:
    """Rows of every batch. A last, smaller batch is left out: batch norm needs several faces, and order is redrawn."""
    order = np.random.default_rng(derived_seed(seed, "order", epoch)).permutation(count)
    size = min(batch_size, count)
    return [order[start : start + size] for start in range(0, count - size + 1, size)]


class FaceBatches:
    """Augmented faces (B, H, W[, 3]) uint8.

    Args:
        images: (N, H, W) or (N, H, W, 3) uint8, may be memory-mapped.
        targets: (N, K) float32 label distributions.
        augmentation: What is done to each face.
        batch_size: Faces per batch.
        seed: The member's seed.
        device: Where the faces are augmented. Unless it is the CPU itself, a thread prepares the next batches while it
            works; a thread more than there are cores would stall the network's own threads.
    """

    def __init__(
        self,
        images: npt.NDArray[np.uint8],
        targets: npt.NDArray[np.float32],
        *,
        augmentation: Augmentation,
        batch_size: int,
        seed: int,
        device: torch.device,
    ) -> None:
        self.device, self.ahead = device, device.type != "cpu"
        self.images, self.targets = images, torch.from_numpy(np.ascontiguousarray(targets))
        self.augmentation, self.batch_size, self.seed = augmentation, batch_size, seed

    def __len__(self) -> int:
        return max(1, len(self.images) // min(self.batch_size, len(self.images)))

    def epoch(self, number: int) -> Iterator[tuple[Tensor, Tensor]]:
        """The batches of one epoch, in order."""
        self.augmentation.seed(derived_seed(self.seed, "augment", number))
        batches = _schedule(len(self.images), self.batch_size, self.seed, number)
        size = len(batches[0])
        several = max(1, min(_TOGETHER, _BYTES_TOGETHER // (size * self.images[0].nbytes)))
        goes = [np.concatenate(batches[start : start + several]) for start in range(0, len(batches), several)]
        for faces, targets in prefetched(self._augmented, goes) if self.ahead else map(self._augmented, goes):
            for start in range(0, len(faces), size):
                yield faces[start : start + size], targets[start : start + size]

    def _augmented(self, rows: npt.NDArray[np.int64]) -> tuple[Tensor, Tensor]:
        return self.augmentation(torch.from_numpy(self.images[rows]).to(self.device)), self.targets[rows]


class FeatureBatches:
    """Cached features (B, F); with several views of each face one is drawn at random.

    Args:
        features: (V, N, F) float32, may be memory-mapped.
        targets: (N, K) float32 label distributions.
        batch_size: Faces per batch.
        seed: The member's seed.
        places: (N,) where the faces stand in `features`, if these are of more faces.
    """

    def __init__(
        self,
        features: npt.NDArray[np.float32],
        targets: npt.NDArray[np.float32],
        *,
        batch_size: int,
        seed: int,
        places: npt.NDArray[np.int64] | None = None,
    ) -> None:
        self.features, self.targets = features, torch.from_numpy(np.ascontiguousarray(targets))
        self.batch_size, self.seed = batch_size, seed
        self.places = np.arange(features.shape[1]) if places is None else places

    def __len__(self) -> int:
        count = len(self.places)
        return max(1, count // min(self.batch_size, count))

    def epoch(self, number: int) -> Iterator[tuple[Tensor, Tensor]]:
        """The batches of one epoch."""
        views, count = len(self.features), len(self.places)
        draw = np.random.default_rng(derived_seed(self.seed, "view", number))
        view = np.asarray(draw.integers(views, size=count))  # (N,)
        for rows in _schedule(count, self.batch_size, self.seed, number):
            yield torch.from_numpy(np.array(self.features[view[rows], self.places[rows]])), self.targets[rows]


def prefetched(make: Callable[[In], Out], items: list[In]) -> Iterator[Out]:
    """Yield `make(item)` for every item in order, made an item or two ahead by one thread.

    An exception in `make` is raised here; leaving the iterator early ends the thread.
    """
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="prefetch") as worker:
        waiting: deque[Future[Out]] = deque()
        try:
            for item in items:
                waiting.append(worker.submit(make, item))
                if len(waiting) > _AHEAD:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()
