"""The specification of an unfreezing: which epochs train the head alone, and when the backbone's stages follow."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

__all__ = ["UnfreezeSpec"]

_OWNERS = {"epochs": "probe", "every": "gradual"}


class UnfreezeSpec(BaseModel):
    """When the backbone's stages begin to learn; what `freeze` holds never does. See docs/transfer.md.

    Attributes:
        kind: `probe` trains the head alone at first, then everything; `gradual` trains the head, then one more stage
            at a time, from the last to the first.
        epochs: For `probe`: epochs of the head alone; 1 if not given.
        every: For `gradual`: epochs of the head alone, and from one stage to the next; 1 if not given.

    Example:
        >>> probe = UnfreezeSpec(kind="probe", epochs=2)
        >>> [probe.released(epoch, stages=5) for epoch in range(4)]
        [0, 0, 5, 5]
        >>> gradual = UnfreezeSpec(kind="gradual", every=2)
        >>> [gradual.released(epoch, stages=2) for epoch in range(7)]
        [0, 0, 1, 1, 2, 2, 2]
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["probe", "gradual"]
    epochs: Annotated[int, Field(ge=1)] | None = None
    every: Annotated[int, Field(ge=1)] | None = None

    @field_validator("epochs", "every")
    @classmethod
    def _of_its_kind(cls, value: int | None, info: ValidationInfo) -> int | None:
        field, kind = str(info.field_name), info.data.get("kind")  # a wrong kind is absent, and a mistake of its own
        if value is not None and kind is not None and kind != _OWNERS[field]:
            raise PydanticCustomError("owner", "left out: it belongs to `kind: {owner}`", {"owner": _OWNERS[field]})
        return value

    @property
    def head_epochs(self) -> int:
        """Epochs at the start in which the head learns alone."""
        return (self.epochs if self.kind == "probe" else self.every) or 1

    def released(self, epoch: int, *, stages: int) -> int:
        """How many stages, counted from the last, learn in an epoch.

        Args:
            epoch: Counted from 0.
            stages: Stages that learn in the end.
        """
        if self.kind == "probe":
            return stages if epoch >= self.head_epochs else 0
        return min(stages, epoch // self.head_epochs)

    def settled(self, stages: int) -> int:
        """Number of epochs after which every stage learns that ever will.

        Args:
            stages: Stages that learn in the end.
        """
        return self.head_epochs * (1 if self.kind == "probe" else stages)
