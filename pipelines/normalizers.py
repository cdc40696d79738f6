"""The registry of input normalisers and their contract."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from backbones.registry import Registry

if TYPE_CHECKING:
    from collections.abc import Iterable

    from torch import Tensor

    from backbones.contract import Normalization

__all__ = ["NORMALIZERS", "Normalizer"]


class Normalizer:
    """Base class: pixel values 0..255 in, network input out.

    Args:
        convention: The backbone's own normalisation, if it has one.
    """

    def __init__(self, convention: Normalization | None) -> None:
        self.convention = convention

    def fit(self, batches: Iterable[Tensor]) -> None:
        """Learn from the training faces, given as (B, C, H, W) float tensors; nothing to learn by default."""

    def state(self) -> dict[str, Any]:
        """What was learned, as JSON."""
        return {}

    def load_state(self, state: dict[str, Any], shape: tuple[int, int, int]) -> None:
        """Restore what `state` gave.

        Args:
            state: What was learned.
            shape: (C, H, W) of the faces that it was learned from.

        Raises:
            InputError: It is of faces of another shape, or of none.
        """

    def __call__(self, x: Tensor) -> Tensor:
        """(B, C, H, W) float pixel values 0..255 at the faces' own size, to the same shape; they may be overwritten."""
        raise NotImplementedError


NORMALIZERS: Registry[Normalizer] = Registry("normaliser", "pipelines.normalizer")
