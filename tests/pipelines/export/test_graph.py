"""Networks, normalisers and class maps as graphs, against the product's own answers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from backbones.contract import Normalization
from backbones.layer.fractional_pool import FractionalMaxPool2d
from ensemble.class_map import ClassMap
from ensemble.expression import EXPRESSIONS
from ensemble.spec import InputSpec, MemberSpec
from pipelines.export.graph import MemberGraph
from pipelines.export.parity import channels_first, edge_faces
from pipelines.export.program import OPSET, GraphError, make_program
from pipelines.export.session import Session
from pipelines.folded_member import FoldedMember
from pipelines.input_layer import InputLayer
from pipelines.member import Member
from pipelines.normalizers import NORMALIZERS

CONVENTION = Normalization(mean=(120.0, 110.0, 100.0), std=(60.0, 61.0, 62.0))
SIZE = 20


class _Several(nn.Module):
    """Several graphs in one program: the exporter takes seconds to start."""

    def __init__(self, parts: Sequence[nn.Module], *, channels_last: bool) -> None:
        super().__init__()
        self.parts, self.channels_last = nn.ModuleList(parts), channels_last

    def forward(self, faces: Tensor) -> tuple[Tensor, ...]:
        if self.channels_last:
            faces = faces[:, 0] if faces.shape[1] == 1 else faces.permute(0, 2, 3, 1)
        return tuple(part(faces) for part in self.parts)


def _session(parts: dict[str, nn.Module], *, channels: int, size: int, channels_last: bool = False) -> Session:
    graph = _Several(list(parts.values()), channels_last=channels_last)
    program = make_program(graph, channels=channels, size=size, outputs=list(parts))
    assert [opset.version for opset in program.opset_import if not opset.domain] == [OPSET]
    return Session(program.SerializeToString(), threads=1)


def _layers(channels: int) -> dict[str, nn.Module]:
    specs: dict[str, dict[str, Any]] = {kind: {"normalize": kind} for kind in NORMALIZERS.names()}
    specs |= {
        "per_pixel": {"normalize": {"kind": "mean_std", "per": "pixel"}},
        "nearest": {"size": 13, "interpolation": "nearest"},
        "smaller": {"size": 12},
        "smaller_bicubic": {"size": 12, "interpolation": "bicubic"},
        "larger_window": {"size": 24, "crop": 30, "interpolation": "bicubic"},
        "larger": {"size": 32, "normalize": "intensity"},
    }
    layers = {}
    for name, given in specs.items():
        for seen in (1, 3) if name in NORMALIZERS.names() else (channels,):
            layer = InputLayer(InputSpec(**given, channels=seen), face_size=SIZE, convention=CONVENTION).eval()
            layer.fit(edge_faces(SIZE, channels))
            layers[f"{name}_{seen}"] = layer
    return layers


@pytest.mark.parametrize("channels", [1, 3])
def test_every_normaliser_and_every_resampling_survives(channels: int) -> None:
    layers = _layers(channels)
    assert {f"{kind}_{seen}" for kind in NORMALIZERS.names() for seen in (1, 3)} <= set(layers)
    session = _session(layers, channels=channels, size=SIZE, channels_last=True)
    faces = edge_faces(SIZE, channels)
    for batch in (faces[:1], faces[1:18]):
        found = session(channels_first(batch))
        for name, layer in layers.items():
            expected = layer(torch.from_numpy(batch)).numpy()
            np.testing.assert_allclose(found[name], expected, rtol=1e-4, atol=2e-4, err_msg=name)


def _member(backbone: dict[str, Any], *, size: int = 24, head: dict[str, Any] | None = None, seed: int = 0) -> Member:
    spec = MemberSpec.model_validate({
        "name": f"m{seed}", "backbone": backbone, "head": head or {"kind": "linear"}, "seed": seed,
        "input": {"size": size, "channels": 1, "normalize": "intensity"}, "augment": "none",
    })  # fmt: skip
    member = Member.build(spec, classes=EXPRESSIONS, face_size=24, device=torch.device("cpu"), pretrained=False)
    torch.manual_seed(seed)
    for module in member.network.modules():  # statistics that matter
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.uniform_(-0.3, 0.3)
            module.running_var.uniform_(0.5, 2.0)
    return member


NETS: dict[str, dict[str, Any]] = {
    "pools": {"backbone": {"kind": "scratch_cnn", "blocks": [
        {"filters": 4, "pool": "fractional"}, {"filters": 6, "pool": "fractional", "ratio": 1.3, "overlapping": False},
        {"filters": 6, "pool": "stochastic"}, {"filters": 8, "pool": "average"},
    ]}},
    "residual": {"backbone": {"kind": "scratch_cnn", "blocks": [
        {"filters": 4}, {"filters": 8, "residual": True, "stride": 2},
    ]}},
    "dal": {
        "backbone": {"kind": "scratch_cnn", "blocks": [{"filters": 4}]},
        "head": {"kind": "dal", "hidden": 8, "attach": "conv"},
    },
    "inception": {"backbone": {"kind": "inception", "width": 0.1}},
    "timm": {"backbone": {"kind": "timm", "model": "test_resnet", "pretrained": False}, "size": 32},
    "pixels": {"backbone": {"kind": "pixels"}, "head": {"kind": "linear"}},
}  # fmt: skip


def test_networks_say_in_onnx_what_they_say_here() -> None:
    members = {name: _member(**given) for name, given in NETS.items()}
    faces = edge_faces(24, 1)
    before = {name: member.probabilities(faces) for name, member in members.items()}
    session = _session({name: MemberGraph(member) for name, member in members.items()}, channels=1, size=24)
    for batch in (slice(0, 1), slice(1, 18)):
        found = session(channels_first(faces[batch]))
        for name, expected in before.items():
            np.testing.assert_allclose(found[name], expected[batch], atol=1e-4, err_msg=name)
    for name, member in members.items():  # the members themselves are as they were
        np.testing.assert_array_equal(member.probabilities(faces), before[name], err_msg=name)
    assert any(isinstance(module, FractionalMaxPool2d) for module in members["pools"].network.modules())


def test_copies_and_class_maps() -> None:
    faces = edge_faces(24, 1)
    copies = tuple(_member({"kind": "pixels"}, seed=seed) for seed in (1, 2, 3))
    folded = FoldedMember(spec=copies[0].spec, copies=copies)
    found = MemberGraph(folded)(torch.from_numpy(channels_first(faces))).detach().numpy()
    np.testing.assert_allclose(found, folded.probabilities(faces), atol=1e-6)

    member = copies[0]
    member.class_map = ClassMap.of(EXPRESSIONS, {"fear": "surprise", "disgust": None}, where="it")
    found = MemberGraph(member)(torch.from_numpy(channels_first(faces))).detach().numpy()
    assert found.shape == (len(faces), 5)
    np.testing.assert_allclose(found, member.probabilities(faces), atol=1e-6)


def test_a_source_that_says_nothing_of_the_classes_wanted() -> None:
    member = _member({"kind": "pixels"})
    with torch.no_grad():
        for parameter in member.network.parameters():
            parameter.zero_()
        member.network.head.logits.bias[EXPRESSIONS.index("disgust")] = 90.0
    member.class_map = ClassMap.of(EXPRESSIONS, {"disgust": None}, where="it")
    faces = edge_faces(24, 1)[:2]
    found = MemberGraph(member)(torch.from_numpy(channels_first(faces))).detach().numpy()
    np.testing.assert_allclose(found, np.full((2, 6), 1 / 6), atol=1e-7)
    np.testing.assert_allclose(found, member.probabilities(faces), atol=1e-7)


def test_what_torch_cannot_write_is_told_in_a_line() -> None:
    member = _member({"kind": "hog_cnn", "blocks": [{"filters": 4}], "cell": 4})
    with pytest.raises(GraphError, match="hypot") as caught:
        make_program(MemberGraph(member), channels=1, size=24, outputs=["probs"])
    assert "\n" not in str(caught.value)
