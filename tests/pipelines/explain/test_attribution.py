from __future__ import annotations

import copy
from collections.abc import Callable

import numpy as np
import pytest
import torch
from network_grid import BODIES, Case
from torch import Tensor, nn

from backbones.contract import InputShape
from backbones.freeze import freeze_all
from backbones.network import Network, build_network
from pipelines.explain.agreement import rank_correlation
from pipelines.explain.attribution import grad_cam, occlude, occlusion_window
from pipelines.explain.map_layer import map_layers


def corner_network() -> Network:
    """Class 1 is what is bright in the top left quarter of the map; nothing else decides."""
    torch.manual_seed(0)
    network, _ = build_network(
        backbone=("scratch_cnn", {"blocks": [{"filters": 4}, {"filters": 6}]}), head=("linear", {}),
        shape=InputShape(channels=1, size=32), classes=2,
    )  # fmt: skip
    network.eval()
    with torch.no_grad():
        for module in network.backbone.modules():
            if isinstance(module, nn.Conv2d):
                module.weight.zero_()
                module.weight[:, 0, 1, 1] = 1.0  # hands brightness on
        weights = torch.zeros(2, 6, 8, 8)
        weights[1, :, :2, :2] = 1.0
        network.head.logits.weight.copy_(weights.flatten(1))
        network.head.logits.bias.zero_()
    return network


def bright(count: int = 3) -> np.ndarray:
    return np.random.default_rng(0).integers(120, 200, (count, 32, 32)).astype(np.uint8)


def answers_of(network: Network) -> Callable[[np.ndarray], np.ndarray]:
    def answers(faces: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            logits = network(torch.from_numpy(faces).float().unsqueeze(1) / 1000)
        return logits.softmax(dim=1).double().numpy()

    return answers


def test_occlusion_points_at_the_only_corner_that_decides() -> None:
    network, faces = corner_network(), bright()
    hidden = occlude(answers_of(network), faces, np.ones(3, np.int64), window=6, stride=3)
    for own in hidden:
        row, column = np.unravel_index(own.argmax(), own.shape)
        assert row < 9
        assert column < 9
        np.testing.assert_allclose(own[16:, 16:], 0, atol=1e-12)
        assert own.max() > 1e-3


def test_grad_cam_peaks_where_the_evidence_lies() -> None:
    """A network that averages its map: class 1 is brightness anywhere, and only one corner is bright."""
    torch.manual_seed(0)
    network, _ = build_network(
        backbone=("scratch_cnn", {"blocks": [{"filters": 4}, {"filters": 6}], "pooling": "average"}),
        head=("linear", {}), shape=InputShape(channels=1, size=32), classes=2,
    )  # fmt: skip
    network.eval()
    with torch.no_grad():
        for module in network.backbone.modules():
            if isinstance(module, nn.Conv2d):
                module.weight.zero_()
                module.weight[:, 0, 1, 1] = 1.0
        network.head.logits.weight.copy_(torch.tensor([[0.0] * 6, [1.0] * 6]))
    x = torch.zeros(1, 1, 32, 32)
    x[:, :, 20:30, 2:12] = 1.0
    layer = map_layers(network, x)[-1]
    (cam,) = grad_cam(network, layer, x, torch.tensor([1]))
    inside = torch.zeros(8, 8, dtype=torch.bool)
    inside[5:8, 0:3] = True
    assert cam[inside].min() > 0
    assert cam[~inside].max() < cam[inside].max() / 100
    # Selvaraju et al., eq. 1 and 2, by hand: gradient of the score by each cell is 1 / 64 for all six channels.
    with torch.no_grad():
        feature_map = network.backbone.forward_map(x)
    torch.testing.assert_close(cam, feature_map[0].sum(dim=0) / 64)
    (against,) = grad_cam(network, layer, x, torch.tensor([0]))
    assert not against.abs().sum()


def test_occlusion_is_that_of_brute_force() -> None:
    faces = bright(2)[:, :7, :7]
    weights = np.random.default_rng(1).random((7, 7))

    def answers(batch: np.ndarray) -> np.ndarray:
        p = (batch * weights).sum(axis=(1, 2)) / (255 * weights.sum())
        return np.stack([1 - p, p], axis=1)

    window, stride, target = 3, 2, np.array([1, 0])
    own = occlude(answers, faces, target, window=window, stride=stride, rows=5)
    for face, k, found in zip(faces, target, own, strict=True):
        total, covered = np.zeros((7, 7)), np.zeros((7, 7))
        for top in range(0, 7 - window + 1, stride):
            for left in range(0, 7 - window + 1, stride):
                hidden = face.copy()
                hidden[top : top + window, left : left + window] = round(float(face.mean()))
                change = answers(face[None])[0, k] - answers(hidden[None])[0, k]
                total[top : top + window, left : left + window] += change
                covered[top : top + window, left : left + window] += 1
        np.testing.assert_allclose(found, total / covered, atol=1e-12)


def test_occlusion_of_colour_hides_all_channels() -> None:
    faces = np.random.default_rng(0).integers(0, 255, (2, 8, 8, 3)).astype(np.uint8)

    def answers(batch: np.ndarray) -> np.ndarray:
        p = batch[:, :3, :3].mean(axis=(1, 2, 3)) / 255
        return np.stack([1 - p, p], axis=1)

    own = occlude(answers, faces, np.array([1, 1]), window=3, stride=1)
    assert own.shape == (2, 8, 8)
    assert np.abs(own[:, :3, :3]).max() > 0
    np.testing.assert_allclose(own[:, 6:, 6:], 0, atol=1e-12)


@pytest.mark.parametrize("size", [3, 8, 24, 48, 100, 144])
def test_windows_fit_the_face(size: int) -> None:
    window, stride = occlusion_window(size)
    assert 1 <= stride <= window <= size


@pytest.mark.parametrize("case", BODIES, ids=str)
def test_every_backbone_has_a_map_or_none_at_all(case: Case) -> None:
    network = case.build().eval()
    freeze_all(network.backbone)
    x = case.images()
    layers = map_layers(network, x)
    if not network.backbone.stages():
        assert not layers
        return
    before = network(x)
    target = torch.tensor([0, 3])
    cams = [grad_cam(network, layer, x, target) for layer in layers[-2:]]
    assert all(cam.shape == (2, *layer.shape[1:]) for cam, layer in zip(cams, layers[-2:], strict=True))
    assert any(bool(cam.abs().sum() > 0) for cam in cams)
    torch.testing.assert_close(network(x), before)  # no hook is left behind
    assert not any(m._forward_hooks for m in network.modules())


@pytest.mark.parametrize("model", ["test_vit", "test_convnext"])
def test_tokens_and_channels_last_are_maps(model: str) -> None:
    case = Case(backbone=("timm", {"model": model}), head=("linear", {}), shape=InputShape(channels=3, size=160))
    network, x = case.build().eval(), case.images()
    layers = map_layers(network, x)
    cams = [grad_cam(network, layer, x, torch.tensor([0, 1])) for layer in layers]
    assert len(layers) > 1
    assert min(cams[0].shape[1:]) > 1
    assert any(bool(cam.abs().sum() > 0) for cam in cams)


def randomised(network: nn.Module) -> nn.Module:
    other = copy.deepcopy(network)
    generator = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for p in other.parameters():
            p.copy_(p.std(correction=0).clamp_min(0.05) * torch.randn(p.shape, generator=generator))
    return other


def test_randomised_weights_change_the_map() -> None:
    """Adebayo et al., 2018, Sanity Checks for Saliency Maps: what survives random weights explains nothing."""
    torch.manual_seed(0)
    network, x = trained_network()
    target = network(x).argmax(dim=1)
    layer = map_layers(network, x)[-1]
    own = grad_cam(network, layer, x, target)
    torch.testing.assert_close(grad_cam(network, layer, x, target), own, rtol=0, atol=0)
    other = randomised(network)
    strange = grad_cam(other, map_layers(other, x)[-1], x, target)
    same = [rank_correlation(a.numpy(), b.numpy()) for a, b in zip(own, own.clone(), strict=True)]
    far = [rank_correlation(a.numpy(), b.numpy()) for a, b in zip(own, strange, strict=True)]
    assert min(same) == pytest.approx(1)
    assert np.nanmean(np.abs(far)) < 0.5
    assert bool((own.abs().amax(dim=(1, 2)) > 0).all())


def trained_network() -> tuple[Network, Tensor]:
    """Tells a bright square at the left from one at the right."""
    network, _ = build_network(
        backbone=("scratch_cnn", {"blocks": [{"filters": 8}, {"filters": 8}]}), head=("linear", {}),
        shape=InputShape(channels=1, size=32), classes=2,
    )  # fmt: skip
    generator = torch.Generator().manual_seed(0)
    x = 0.3 * torch.randn(64, 1, 32, 32, generator=generator)
    y = torch.arange(64) % 2
    for i in range(64):
        left = 18 if y[i] else 4
        x[i, 0, 12:22, left : left + 10] += 2
    optimizer = torch.optim.Adam(network.parameters(), lr=3e-3)
    network.train()
    for _ in range(30):
        optimizer.zero_grad()
        nn.functional.cross_entropy(network(x), y).backward()
        optimizer.step()
    network.eval()
    assert (network(x).argmax(dim=1) == y).float().mean() > 0.95
    return network, x[:8]
