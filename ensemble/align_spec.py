"""The specification of an alignment: how a data set's faces are found and brought to one position."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["AlignSpec"]


class AlignSpec(BaseModel):
    """How the faces of a data set are found and brought to one position; see docs/photos.md.

    Attributes:
        size: Side of the aligned faces in pixels; None takes the template's own: arcface 112, lightcnn 144, facenet
            160.
        template: Where eyes, nose and mouth come to lie.
        detector: Who finds them.
        channels: 1 grey, 3 RGB; None keeps the images' own.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    size: Annotated[int, Field(ge=16, le=1024)] | None = None
    template: Literal["arcface", "lightcnn", "facenet"] = "arcface"
    detector: Literal["mtcnn"] = "mtcnn"
    channels: Literal[1, 3] | None = None
