"""What all specs are made of: the frozen base, and the registered component that a name stands for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, ClassVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_serializer

__all__ = ["ComponentSpec", "MemberName", "Named", "Spec"]


class Spec(BaseModel):
    """Base of all specs: frozen, keyword-only, no unknown fields.

    Attributes:
        _later: Fields that are written only where they are set, so that the fingerprints of specs without them stay
            what they were before there were such fields.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    _later: ClassVar[tuple[str, ...]] = ()

    @model_serializer(mode="wrap")
    def _without_unset_later_fields(self, handler: Callable[[Any], dict[str, Any]]) -> dict[str, Any]:
        return {key: value for key, value in handler(self).items() if key not in self._later or value}


class ComponentSpec(BaseModel):
    """A registered component: its name `kind` and its keyword parameters.

    Example:
        >>> ComponentSpec(kind="dal", hidden=256).parameters
        {'hidden': 256}
    """

    model_config = ConfigDict(frozen=True, extra="allow")

    kind: str

    @property
    def parameters(self) -> dict[str, Any]:
        """The parameters without the name."""
        return dict(self.model_extra or {})


def _named(value: Any) -> Any:
    """A bare name stands for the component without parameters: `normalize: mean_std`."""
    return {"kind": value} if isinstance(value, str) else value


Named = Annotated[ComponentSpec, BeforeValidator(_named)]
MemberName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")]
