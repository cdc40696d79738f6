"""The hybrid of a scratch CNN and HOG features."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from backbones.contract import InputShape
from backbones.errors import InputError
from backbones.layer.hog import Hog
from backbones.net.hog_cnn import HogCNN
from backbones.net.scratch_cnn import ScratchCNN
from backbones.network import build_network

GREY48 = InputShape(channels=1, size=48)
BLOCKS: list[Any] = [{"filters": 4}, {"filters": 6, "pool": "average"}]


@pytest.mark.parametrize("pooling", ["flatten", "average"])
def test_features_are_the_cnns_then_the_images_histograms(pooling: Any) -> None:
    torch.manual_seed(0)
    hybrid = HogCNN(GREY48, blocks=BLOCKS, pooling=pooling, orientations=8, cell=6, cells_per_block=3).eval()
    torch.manual_seed(0)
    plain = ScratchCNN(GREY48, blocks=BLOCKS, pooling=pooling).eval()
    x = torch.randn(2, 1, 48, 48)
    expected = torch.cat([plain(x), Hog(orientations=8, cell=6, block=3)(x)], dim=1)
    torch.testing.assert_close(hybrid(x), expected)
    assert hybrid.num_features == expected.shape[1] == plain.num_features + 6 * 6 * 3 * 3 * 8


def test_dropout_spares_the_histograms() -> None:
    hybrid = HogCNN(GREY48, blocks=BLOCKS, dropout=0.9).train()
    x = torch.randn(2, 1, 48, 48)
    features = hybrid(x)
    assert torch.equal(features[:, -900:], hybrid.hog(x))
    assert (features[:, :-900] == 0).float().mean() > 0.8


def test_it_holds_the_parameters_and_the_state_of_a_scratch_cnn() -> None:
    plain = ScratchCNN(GREY48, blocks=BLOCKS)
    hybrid = HogCNN(GREY48, blocks=BLOCKS)
    hybrid.load_state_dict(plain.state_dict())
    assert list(hybrid.stages()) == ["block1", "block2"]


def test_a_head_on_the_map_sees_the_convolutions_alone() -> None:
    network, _ = build_network(
        backbone=("hog_cnn", {"blocks": BLOCKS}), head=("dal", {"hidden": 8, "attach": "conv"}), shape=GREY48, classes=7
    )
    assert network.features(torch.zeros(1, 1, 48, 48)).shape == (1, 6 * 12 * 12)


def test_an_input_without_room_for_a_block_is_refused() -> None:
    with pytest.raises(InputError, match=r"at least `cell` × `cells_per_block` = 60, but got 48\. Use smaller cells"):
        HogCNN(GREY48, blocks=BLOCKS, cell=20, cells_per_block=3)
