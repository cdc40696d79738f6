"""The specification of the data: where the faces come from, and what is done to them before any member sees them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from ensemble.align_spec import AlignSpec

__all__ = ["Classes", "DataSpec", "OnBad"]


def _with_text_keys(value: Any) -> Any:
    """Classes that go by numbers are names, too: `{1: surprise}`."""
    if not isinstance(value, Mapping):
        return value
    return {str(key) if isinstance(key, int) and not isinstance(key, bool) else key: v for key, v in value.items()}


Classes = Annotated[dict[str, Annotated[str, Field(min_length=1)] | None], BeforeValidator(_with_text_keys)]
"""Classes of a source, and what becomes of them: another class, or None to leave them out."""

OnBad = Literal["error", "skip"]
"""What becomes of images and rows that cannot be read."""


class DataSpec(BaseModel):
    """Where the faces come from; other fields are options of the reader.

    Attributes:
        source: A path (csv, csv.gz, tar.gz, zip, folder) or `synthetic`.
        votes: FER+ votes file, in the working directory, beside the YAML or beside the source; gives every face a label
            distribution.
        reader: Name of the reader; None lets the source's layout decide.
        align: Finds and aligns the face in every image, leaving out images without one; None takes them as they are.
        dedupe: Leave training faces out that are the same picture as a validation face.
        classes: Other names for classes of the source, as in `{joy: happy, contempt: null}`; null leaves a class out.
        on_bad: An image or row that cannot be read is an `error`, or it is left out and reported: `skip`.
    """

    model_config = ConfigDict(frozen=True, extra="allow")

    source: str
    votes: str | None = None
    reader: str | None = None
    align: AlignSpec | None = None
    dedupe: bool = False
    classes: Classes | None = None
    on_bad: OnBad = "error"

    @classmethod
    def redirected(cls, given: Mapping[str, Any], source: str) -> dict[str, Any]:
        """What a YAML says of its data, with another source.

        Reader, its options, class names and votes go if that is of another kind, drawn and not read or vice versa.

        Example:
            >>> DataSpec.redirected({"source": "synthetic", "count": 300, "dedupe": True}, "faces.zip")
            {'source': 'faces.zip', 'dedupe': True}
        """
        if (given.get("source") == "synthetic") == (source == "synthetic"):
            return {**given, "source": source}
        kept = set(cls.model_fields) - {"reader", "classes", "votes"}
        return {**{key: value for key, value in given.items() if key in kept}, "source": source}

    @property
    def options(self) -> dict[str, Any]:
        """Options of the reader."""
        return dict(self.model_extra or {})
