"""Which part of a network learns in which epoch, and from what.

What an epoch does follows from its number alone, so that a fit resumed in the middle of an unfreezing does the same as
one that was never interrupted.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor, nn

from backbones.freeze import release, trained_stages
from backbones.network import Network
from ensemble.unfreeze_spec import UnfreezeSpec
from pipelines.batches import Batches

__all__ = ["Lesson", "Unfreezing"]


@dataclass(frozen=True, kw_only=True)
class Lesson:
    """What an epoch runs, and on what.

    Attributes:
        part: The model, or the part of it that is run because what lies below it gives the same as before.
        prepare: Turns a batch of inputs into what the part takes, on the device.
        batches: The training batches.
        validate: Gives (NLL, accuracy) of a model, always the whole one, on the validation faces.
    """

    part: nn.Module
    prepare: Callable[[Tensor], Tensor]
    batches: Batches
    validate: Callable[[nn.Module], tuple[float, float]]


class Unfreezing:
    """Lets the stages of a backbone learn one after the other, or all at once.

    Args:
        network: As built: what requires a gradient now is what learns in the end.
        spec: When.
        head_lesson: Makes what the epochs of the head alone run, when the first of them begins; None where they run
            the whole network like all others.
    """

    def __init__(self, network: Network, spec: UnfreezeSpec, *, head_lesson: Callable[[], Lesson] | None) -> None:
        self.spec = spec
        self.stages = trained_stages(network.backbone)
        self._make = head_lesson
        self._made: Lesson | None = None

    @property
    def settled(self) -> int:
        """Number of epochs after which every stage learns that ever will."""
        return self.spec.settled(len(self.stages))

    def begin(self, epoch: int) -> Lesson | None:
        """Let learn what learns in an epoch, counted from 0.

        Returns:
            What the epoch runs, if that is not the whole network.
        """
        released = self.spec.released(epoch, stages=len(self.stages))
        release(self.stages, released)
        if released or self._make is None:
            return None
        if self._made is None:
            self._made = self._make()
        return self._made
