from __future__ import annotations

import numpy as np
import torch

from backbones.contract import InputShape
from backbones.network import Network, build_network
from ensemble.class_map import ClassMap
from ensemble.spec import InputSpec
from pipelines.explain.map_layer import first_filters, map_layers
from pipelines.explain.subject import ClassScores, on_face_grid
from pipelines.explain.synthesis import ascend_filters, dream_classes, strongest_channels
from pipelines.forward import softmax
from pipelines.input_layer import InputLayer


def small_network(kind: str = "scratch_cnn", head: str = "linear", classes: int = 3) -> Network:
    torch.manual_seed(0)
    parameters = {"blocks": [{"filters": 6}, {"filters": 8}]} if kind == "scratch_cnn" else {}
    network, _ = build_network(
        backbone=(kind, parameters), head=(head, {}), shape=InputShape(channels=1, size=24), classes=classes
    )
    return network.eval()


def inputs(count: int = 4) -> torch.Tensor:
    return torch.randn(count, 1, 24, 24, generator=torch.Generator().manual_seed(1))


def test_ascent_raises_the_filters_activation_and_repeats() -> None:
    network, x = small_network(), inputs()
    for layer in map_layers(network, x):
        channels = strongest_channels(network, layer, x, 4)
        made = ascend_filters(network, layer, channels, x, steps=20, seed=3)
        assert all(after > before for before, after in zip(made.before, made.after, strict=True))
        assert np.mean(made.after) > 1.5 * np.mean(made.before)
        assert made.pictures.shape == (4, 1, 24, 24)
        torch.testing.assert_close(
            ascend_filters(network, layer, channels, x, steps=20, seed=3).pictures, made.pictures
        )
        other = ascend_filters(network, layer, channels, x, steps=20, seed=4)
        assert not torch.equal(other.pictures, made.pictures)
        assert x.min() <= made.pictures.min()
        assert made.pictures.max() <= x.max()


def test_dream_raises_each_class_and_keeps_the_face() -> None:
    network, start = small_network(), inputs(1)
    dream = dream_classes(ClassScores(network), start, 3, steps=12)
    assert all(after > before + 0.1 for before, after in zip(dream.before, dream.after, strict=True))
    np.testing.assert_allclose(dream.before, softmax(network(start).detach().numpy())[0], atol=1e-6)
    assert float((dream.pictures - start).abs().max()) <= 0.8 * float(start.std()) + 1e-6


def test_scores_of_mapped_classes_are_the_maps_probabilities() -> None:
    network = small_network(classes=4)
    mapping = ClassMap.of(("a", "b", "c", "d"), {"d": "a", "c": None}, where="it")
    scores = ClassScores(network, mapping)(inputs()).detach().numpy()
    expected = mapping.probabilities(softmax(network(inputs()).detach().numpy()))
    np.testing.assert_allclose(softmax(scores), expected, atol=1e-6)


def test_pixels_have_a_picture_per_class_and_no_map() -> None:
    network = small_network("pixels")
    filters = first_filters(network)
    assert filters is not None
    torch.testing.assert_close(filters.flatten(1), network.head.logits.weight.detach())
    assert map_layers(network, inputs()) == ()
    assert first_filters(small_network()).shape == (6, 1, 3, 3)  # type: ignore[union-attr]


def test_maps_come_back_to_the_pixels_they_were_cut_from() -> None:
    """A network that sees the central 32 of a face enlarged to 64 sees the face's central half."""
    layer = InputLayer(InputSpec(size=32, channels=1, crop=64), face_size=48, convention=None)
    maps = torch.zeros(1, 4, 4)
    maps[0, 0, 3] = 1.0  # the top right cell of what is seen
    (own,) = on_face_grid(maps, layer, 48)
    assert own.shape == (48, 48)
    seen = np.isfinite(own)
    assert seen[12:36, 12:36].all()
    assert seen.sum() == 24 * 24
    row, column = np.unravel_index(np.nanargmax(own), own.shape)
    assert 12 <= row < 18
    assert 30 <= column < 36


def test_maps_of_a_whole_face_are_stretched_over_it() -> None:
    layer = InputLayer(InputSpec(size=112, channels=1), face_size=48, convention=None)
    ramp = torch.linspace(0, 1, 7).expand(1, 7, 7)
    (own,) = on_face_grid(ramp, layer, 48)
    assert np.isfinite(own).all()
    assert (np.diff(own, axis=1) >= -1e-9).all()
    np.testing.assert_allclose(own, own[:1].repeat(48, axis=0), atol=1e-9)
