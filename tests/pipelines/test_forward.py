"""Inference in batches of one size: a row's result is its own, wherever it stands and whoever stands beside it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from backbones.contract import InputShape
from backbones.registry import BACKBONES
from pipelines.device import forward_rows
from pipelines.forward import forward_all

CPU = torch.device("cpu")
BLOCKS = [{"filters": 8}, {"convs": 2, "filters": 16, "stride": 2, "residual": True}]
NETS = {
    "scratch_cnn": {"blocks": BLOCKS}, "hog_cnn": {"blocks": BLOCKS}, "mobile_facenet": {}, "inception": {},
    "timm": {"model": "resnet10t"},
}  # fmt: skip


@pytest.fixture
def threads():
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


@pytest.mark.parametrize("count", [1, 2, 3, 4, 8])
@pytest.mark.parametrize("features", [64, 300, 2304])
def test_a_row_is_its_own_in_an_affine_map(features: int, count: int, threads) -> None:
    threads(count)
    rows = np.random.default_rng(0).standard_normal((2 * forward_rows(CPU) + 5, features)).astype(np.float32)
    check(nn.Linear(features, 64), rows)


@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("kind", NETS)
def test_a_face_is_its_own_in_a_network(kind: str, count: int, threads) -> None:
    threads(count)
    net = BACKBONES.build(kind, InputShape(channels=1, size=48), **NETS[kind])
    check(net, np.random.default_rng(0).random((forward_rows(CPU) + 5, 1, 48, 48), dtype=np.float32))


def check(model: nn.Module, rows: np.ndarray) -> None:
    """Together, in another order and alone, the bits are the same."""
    together = forward_all(model, rows, device=CPU)
    for shift in (1, 5):
        turned = forward_all(model, np.roll(rows, shift, axis=0), device=CPU)
        np.testing.assert_array_equal(np.roll(turned, -shift, axis=0), together)
    np.testing.assert_array_equal(forward_all(model, rows[3:4], device=CPU), together[3:4])


def test_no_rows_give_no_results() -> None:
    assert forward_all(nn.Linear(3, 2), np.empty((0, 3), np.float32), device=CPU).shape == (0, 0)
