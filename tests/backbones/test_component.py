"""What the registries read from source equals what Python knows of the imported class."""

from __future__ import annotations

import inspect
import typing

import pytest

from backbones.registry import BACKBONES, HEADS, LOSSES, Registry
from backbones.signature import REQUIRED

ALL = [(registry, name) for registry in (BACKBONES, HEADS, LOSSES) for name in registry.names()]


def test_registries_list_their_files() -> None:
    assert BACKBONES.names() == [
        "facenet", "hog_cnn", "inception", "light_cnn", "mobile_facenet", "pixels", "scratch_cnn", "timm", "vgg16",
    ]  # fmt: skip
    assert HEADS.names() == ["dal", "linear", "linear_svm", "mlp"]
    assert LOSSES.names() == ["brier", "ce_expected_mse", "cross_entropy", "softmax_mse"]


@pytest.mark.parametrize(("registry", "name"), ALL, ids=lambda value: value if isinstance(value, str) else value.kind)
def test_description_equals_signature(registry: Registry[object], name: str) -> None:
    cls = registry.get(name)
    component = registry.describe(name)
    hints = typing.get_type_hints(cls.__init__, include_extras=True)
    keyword_only = {
        key: parameter
        for key, parameter in inspect.signature(cls).parameters.items()
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY
    }
    assert list(component.parameters) == list(keyword_only)
    for key, parameter in component.parameters.items():
        default = keyword_only[key].default
        assert parameter.default == (REQUIRED if default is inspect.Parameter.empty else default)
        assert parameter.annotation == hints[key]
    assert component.summary == (inspect.getdoc(cls) or "").partition("\n")[0]


@pytest.mark.parametrize(("registry", "name"), ALL, ids=lambda value: value if isinstance(value, str) else value.kind)
def test_every_parameter_is_documented(registry: Registry[object], name: str) -> None:
    documented = inspect.getdoc(registry.get(name)) or ""
    for key in registry.describe(name).parameters:
        assert f"    {key}: " in documented
