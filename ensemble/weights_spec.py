"""The specification of pretrained weights: which file, and whose work it is.

Where files and committees lie is the pipelines' business; which names there are is the catalogue's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import PurePath
from typing import Annotated, Any, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_serializer, model_validator
from pydantic_core import PydanticCustomError

__all__ = ["RANDOM", "OptionalWeights", "WeightsSpec"]

RANDOM = "random"
"""What stands for no weights: random initialisation."""

_SOURCES = ("name", "file", "run")
_CONTENT = ("minimum", "sha256")
"""What of the weights changes a trained member: their content, not how it is found or whose it is."""
_OF_ONE = ("member", "sha256", "licence", "training_set", "source")
"""What is true of one file only, and not of another that takes its place."""


class WeightsSpec(BaseModel):
    """Pretrained weights of the backbone: one of `name`, `file` and `run`; see docs/weights.md.

    Attributes:
        name: Name in the catalogue, which `ensemble weights list` prints. `weights: NAME` is short for it, and
            `weights: random` means none.
        file: A local file (.safetensors, .pt, .pth, .pth.tar).
        run: An earlier committee (folder, name or MLflow run), the backbone of whose member is taken; its head is not.
        member: Name of the member there; not needed if it has one only.
        optional: Leave the member out, with a note, where the weights are absent; otherwise that is an error.
        minimum: Least share of the backbone's parameters that the file must fill.
        sha256: Digest of the file, filled in when the fit is planned.
        licence: Of the file; filled in from the catalogue or the earlier member.
        training_set: What it was trained on; filled in likewise.
        source: Where it comes from; filled in likewise.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    name: str | None = None
    file: str | None = None
    run: str | None = None
    member: str | None = None
    optional: bool = False
    minimum: Annotated[float, Field(ge=0, le=1)] = 0.9
    sha256: str | None = None
    licence: str | None = None
    training_set: str | None = None
    source: str | None = None

    @model_validator(mode="after")
    def _has_one_source(self) -> Self:
        given = [source for source in _SOURCES if getattr(self, source) is not None]
        if len(given) != 1:
            raise PydanticCustomError("source", "with one of `name`, `file` and `run`")
        if self.member is not None and self.run is None:
            raise PydanticCustomError("source", "without `member`, which belongs to `run`")
        return self

    @model_serializer(mode="wrap")
    def _without_what_is_not_set(self, handler: Callable[[Any], dict[str, Any]]) -> dict[str, Any]:
        return {key: value for key, value in handler(self).items() if value is not None or key in _CONTENT}

    @property
    def label(self) -> str:
        """What they are called, in few words: the catalogue's name, the file's, or `COMMITTEE/MEMBER`."""
        if self.run is not None:
            return f"{PurePath(self.run).name}/{self.member}"
        return self.name or PurePath(str(self.file)).name

    @classmethod
    def besides_content(cls) -> set[str]:
        """The fields that do not change what a member becomes."""
        return set(cls.model_fields) - set(_CONTENT)

    @staticmethod
    def over(base: Any, own: Any) -> Any:
        """A member's own weights over the default ones, as they stand in YAML.

        Weights from elsewhere replace the default ones. Others of the same kind keep how they are to be taken
        (`optional`, `minimum`), and lose what was true of the default ones only.

        Example:
            >>> WeightsSpec.over({"file": "a.pt", "optional": True, "licence": "MIT"}, {"file": "b.pt"})
            {'file': 'b.pt', 'optional': True}
            >>> WeightsSpec.over("mobilefacenet", {"optional": True})
            {'name': 'mobilefacenet', 'optional': True}
        """
        default, given = _expanded(base), _expanded(own)
        if not (isinstance(default, Mapping) and isinstance(given, Mapping)):
            return own
        sources = {source for source in _SOURCES if source in given}
        if sources and sources != {source for source in _SOURCES if source in default}:
            return own
        other = any(given[key] != default.get(key) for key in (*_SOURCES, "member") if key in given)
        kept = {key: value for key, value in default.items() if not (other and key in _OF_ONE)}
        return {**kept, **given}


def _expanded(value: Any) -> Any:
    """`random`, or the name of the catalogue that a bare name is."""
    if value == RANDOM or (isinstance(value, Mapping) and value.get("name") == RANDOM):
        return None
    return {"name": value} if isinstance(value, str) else value


OptionalWeights = Annotated[WeightsSpec | None, BeforeValidator(_expanded)]
"""The weights of a member; a bare name stands for those of the catalogue."""
