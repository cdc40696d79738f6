"""The specification of mixing: training on blends and collages of two faces and their labels."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

__all__ = ["MixSpec"]


class MixSpec(BaseModel):
    """How batches are mixed; see `pipelines/mixing.py`.

    Attributes:
        mixup: Blend two faces; the share of each is drawn from Beta(mixup, mixup). 0 blends none.
        cutmix: Paste a box of one face into another; its area is drawn likewise. 0 pastes none.
        share: Share of the batches that are mixed. Where both ways are on, each takes half of them.
        until: Share of the epochs after which nothing is mixed any more, so that the last ones see whole faces.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    mixup: Annotated[float, Field(ge=0)] = 0.0
    cutmix: Annotated[float, Field(ge=0)] = 0.0
    share: Annotated[float, Field(gt=0, le=1)] = 1.0
    until: Annotated[float, Field(gt=0, le=1)] = 1.0

    @model_validator(mode="after")
    def _mixes_something(self) -> Self:
        if not self.mixup and not self.cutmix:
            raise PydanticCustomError("mix", "`mixup` or `cutmix` above 0")
        return self
