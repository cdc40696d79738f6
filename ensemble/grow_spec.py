"""The specification of growing faces: smaller ones in the first epochs, which train faster."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["GrowSpec"]


class GrowSpec(BaseModel):
    """How faces grow; see `pipelines/growth.py`.

    Attributes:
        size: Side in pixels to which the network's input is reduced at first.
        until: Share of the epochs, in whole ones, after which it has its full size.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    size: Annotated[int, Field(ge=8, le=1024)]
    until: Annotated[float, Field(gt=0, lt=1)] = 0.5
