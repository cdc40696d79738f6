"""The catalogue says of every file what the backbone it is for says of itself."""

from __future__ import annotations

import re

import pytest
import torch

from backbones.contract import InputShape
from backbones.errors import InputError
from backbones.registry import BACKBONES
from backbones.timm_parts import CATALOGUED
from ensemble.weights_catalogue import CATALOGUE, entry_named, entry_of_digest, entry_of_file

ENTRIES = list(CATALOGUE.values())
each = pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)


def shapes(kind: str, parameters: dict[str, object], *, size: int, channels: int) -> dict[str, torch.Size]:
    with torch.device("meta"):
        net = BACKBONES.build(kind, InputShape(channels=channels, size=size), **parameters)
    return {name: tensor.shape for name, tensor in net.state_dict().items()}


def test_names() -> None:
    assert set(CATALOGUE) == {"vgg16", "vgg16_bn", "vggface2", "casia-webface", "lightcnn9", "mobilefacenet"}
    assert len({entry.file for entry in ENTRIES}) == len(ENTRIES)
    assert set(CATALOGUED) <= set(CATALOGUE)


@each
def test_facts_are_stated_or_known_not_to_be(entry) -> None:
    assert entry.sha256 is None or re.fullmatch(r"[0-9a-f]{64}", entry.sha256)
    assert entry.url.startswith("https://")
    assert entry.by_hand or entry.url.endswith(entry.file) or entry.url.endswith(".safetensors")
    assert entry.file.endswith((".safetensors", ".pt", ".pth", ".pth.tar"))
    assert entry.licence
    assert entry.training_set
    assert (entry.megabytes == "not known") == (entry.size is None)


@each
def test_the_backbone_has_the_parameters(entry) -> None:
    assert set(entry.parameters) | set(entry.other_sizes) <= set(BACKBONES.describe(entry.backbone).parameters)
    channels, size = entry.shape
    assert shapes(entry.backbone, dict(entry.parameters), size=size, channels=channels)


@each
def test_other_sizes_fit_the_same_file_with_the_parameters_that_it_says(entry) -> None:
    channels, own = entry.shape
    parameters = dict(entry.parameters)
    wanted = shapes(entry.backbone, parameters, size=own, channels=channels)
    assert (shapes(entry.backbone, parameters, size=96, channels=channels) == wanted) == (not entry.other_sizes)
    parameters |= entry.other_sizes
    assert shapes(entry.backbone, parameters, size=96, channels=channels) == wanted


def test_look_ups() -> None:
    entry = CATALOGUE["mobilefacenet"]
    found = (entry_named("mobilefacenet"), entry_of_file("mobilefacenet.pt"), entry_of_digest(str(entry.sha256)))
    assert found == (entry, entry, entry)
    assert entry_of_file("other.pt") is None
    assert entry_of_digest("0" * 64) is None
    with pytest.raises(InputError, match=r"weights of the catalogue, but got 'casia'\. Did you mean `casia-web"):
        entry_named("casia")
