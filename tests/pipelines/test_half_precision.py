"""Weights in half precision: what would be lost stays as it is, and sizes are told before anything is written."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from pipelines.half_precision import half_size, in_half_precision


@pytest.mark.parametrize(
    ("name", "tensor", "halved"),
    [
        ("conv.weight", torch.tensor([1.0, -2.0, 1e-7]), True),
        ("norm.running_var", torch.tensor([1.0, 0.0]), True),
        ("norm.running_var", torch.tensor([1.0, 1e-10]), False),
        ("norm.running_mean", torch.tensor([1e-6]), False),
        ("conv.weight", torch.tensor([70000.0]), False),
        ("conv.weight", torch.tensor([float("inf")]), False),
        ("conv.weight", torch.zeros(0), False),
        ("steps", torch.tensor([3]), False),
    ],
)
def test_what_is_halved(name: str, tensor: torch.Tensor, halved: bool) -> None:
    found = in_half_precision(name, tensor)
    assert (found.dtype == torch.float16) == halved
    if not halved:
        assert found is tensor


def test_the_size_is_that_of_the_file_written_afterwards(tmp_path: Path) -> None:
    tensors = {"a": torch.randn(50, 40), "b": torch.randn(30).half(), "n": torch.tensor(3)}
    save_file(tensors, tmp_path / "whole.safetensors")
    halved = {name: in_half_precision(name, tensor) for name, tensor in tensors.items()}
    save_file(halved, tmp_path / "half.safetensors")
    files = [tmp_path / "whole.safetensors", tmp_path / "half.safetensors"]
    assert abs(half_size(files[:1]) - files[1].stat().st_size) <= 16  # the header pads
    assert half_size(files[1:]) == files[1].stat().st_size
