"""The device and its arithmetic."""

from __future__ import annotations

import pytest
import torch

from pipelines.device import autocast, resolve_precision

CPU = torch.device("cpu")
INSTRUCTIONS = "_is_amx_tile_supported", "_is_avx512_bf16_supported"


@pytest.fixture
def plain_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    for test in INSTRUCTIONS:
        monkeypatch.setattr(torch.cpu, test, lambda: False, raising=False)


@pytest.mark.usefixtures("plain_processor")
def test_auto_is_float32_where_bfloat16_would_be_emulated() -> None:
    assert resolve_precision("auto", CPU) == "float32"


@pytest.mark.usefixtures("plain_processor")
@pytest.mark.parametrize("instruction", INSTRUCTIONS)
def test_auto_is_bfloat16_where_the_processor_multiplies_it(instruction: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cpu, instruction, lambda: True, raising=False)
    assert resolve_precision("auto", CPU) == "bfloat16"


def test_auto_is_float32_under_a_torch_without_the_tests(monkeypatch: pytest.MonkeyPatch) -> None:
    for test in INSTRUCTIONS:
        monkeypatch.delattr(torch.cpu, test, raising=False)
    assert resolve_precision("auto", CPU) == "float32"


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_precision_that_was_asked_for_stays(precision: str) -> None:
    assert resolve_precision(precision, CPU) == precision
    product = torch.ones(2, 2)
    with autocast(precision, CPU):
        assert (product @ product).dtype == getattr(torch, precision)
