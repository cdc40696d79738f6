"""Weights files of every format, what is refused, and the report on what fitted."""

from __future__ import annotations

import pickle
import random
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from backbones.contract import InputShape
from backbones.errors import InputError
from backbones.net.light_cnn import LightCNN
from backbones.net.pixels import Pixels
from backbones.net.scratch_cnn import ScratchCNN
from backbones.network import Network, build_network
from backbones.weights import load_weights, read_state_dict

STATE = {"a.weight": torch.arange(6.0).reshape(2, 3), "a.bias": torch.ones(2)}
GREY = InputShape(channels=1, size=32)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("plain.pt", STATE),
        ("plain.pth", STATE),
        ("wrapped.pth.tar", {"epoch": 3, "state_dict": STATE, "best": 0.5}),
        ("parallel.pth.tar", {"state_dict": {f"module.{key}": value for key, value in STATE.items()}}),
        ("nested.pt", {"model": {"state_dict": STATE}}),
    ],
)
@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
def test_formats(tmp_path: Path, name: str, content: Any, zipped: bool) -> None:
    torch.save(content, tmp_path / name, _use_new_zipfile_serialization=zipped)
    state = read_state_dict(tmp_path / name)
    assert state.keys() == STATE.keys()
    assert all(torch.equal(state[key], STATE[key]) for key in STATE)


def test_safetensors(tmp_path: Path) -> None:
    save_file(STATE, tmp_path / "a.safetensors")
    assert torch.equal(read_state_dict(tmp_path / "a.safetensors")["a.weight"], STATE["a.weight"])


class _Trap:
    """Unpickling it would create a file."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> Any:
        return (Path.touch, (self.file,))


def test_a_pickle_with_code_is_refused_and_not_run(tmp_path: Path) -> None:
    torch.save({"state_dict": STATE, "trap": _Trap(tmp_path / "run")}, tmp_path / "trap.pt")
    with pytest.raises(InputError, match="holds code, which is not run"):
        read_state_dict(tmp_path / "trap.pt")
    (tmp_path / "bare.pt").write_bytes(pickle.dumps(_Trap(tmp_path / "run")))
    with pytest.raises(InputError, match="holds code, which is not run"):
        read_state_dict(tmp_path / "bare.pt")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("name", ["bad.pt", "bad.pth.tar", "bad.safetensors"])
@pytest.mark.parametrize("content", [b"", b"no weights at all", b"PK\x03\x04 half a zip"])
def test_damaged_files_are_refused(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match="damaged"):
        read_state_dict(tmp_path / name)


def test_truncated_files_are_refused(tmp_path: Path) -> None:
    torch.save(STATE, tmp_path / "cut.pt")
    whole = (tmp_path / "cut.pt").read_bytes()
    (tmp_path / "cut.pt").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match="damaged"):
        read_state_dict(tmp_path / "cut.pt")


def test_missing_and_empty_files_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"Expected a weights file at `.*absent\.pt`, but there is none"):
        read_state_dict(tmp_path / "absent.pt")
    torch.save({"epoch": 3}, tmp_path / "empty.pt")
    with pytest.raises(InputError, match="but got no named tensors"):
        read_state_dict(tmp_path / "empty.pt")


def test_report_says_what_was_loaded_adapted_missing_and_unexpected(tmp_path: Path) -> None:
    source = LightCNN(GREY).state_dict()
    del source["features.7.conv.filter.bias"]
    source |= {"fc2.weight": torch.zeros(5, 256), "extra": torch.zeros(1)}
    torch.save(source, tmp_path / "b.pt")
    target = LightCNN(InputShape(channels=3, size=32))
    report = load_weights(target, tmp_path / "b.pt")
    assert report.adapted == ("features.0.filter.weight",)
    assert report.missing == ("features.7.conv.filter.bias",)
    assert report.unexpected == ("extra",)
    assert "fc1.filter.weight" in report.loaded
    total = sum(p.numel() for p in target.parameters())
    assert report.share == pytest.approx((total - 256) / total)
    assert torch.equal(target.state_dict()["fc1.filter.weight"], source["fc1.filter.weight"])


def test_too_little_is_refused_and_changes_nothing(tmp_path: Path) -> None:
    torch.save(LightCNN(InputShape(channels=1, size=64)).state_dict(), tmp_path / "b.pt")
    target = LightCNN(GREY)
    before = {name: tensor.clone() for name, tensor in target.state_dict().items()}
    message = (
        r"at least 90% .* LightCNN, but got \d\d%: `fc1.filter.weight` has shape \(512, 2048\) instead of \(512, 512\)"
    )
    with pytest.raises(InputError, match=message):
        load_weights(target, tmp_path / "b.pt")
    assert all(torch.equal(tensor, before[name]) for name, tensor in target.state_dict().items())
    assert load_weights(target, tmp_path / "b.pt", minimum=0.5).missing == ("fc1.filter.weight",)


def test_a_backbone_without_parameters_takes_no_weights(tmp_path: Path) -> None:
    torch.save({"weight": torch.zeros(1)}, tmp_path / "b.pt")
    with pytest.raises(InputError, match=r"Expected no weights for Pixels, .* but got `.*b\.pt`\. Remove `weights`\."):
        load_weights(Pixels(GREY), tmp_path / "b.pt")


def test_a_whole_network_of_this_product_fills_the_backbone(tmp_path: Path) -> None:
    blocks: Any = [{"filters": 4}]
    trained, _ = build_network(backbone=("scratch_cnn", {"blocks": blocks}), head=("linear", {}), shape=GREY, classes=3)
    assert isinstance(trained, Network)
    save_file(trained.state_dict(), tmp_path / "member.safetensors")
    target = ScratchCNN(GREY, blocks=blocks)
    report = load_weights(target, tmp_path / "member.safetensors")
    assert (report.share, report.missing, report.unexpected) == (1.0, (), ())
    assert torch.equal(target.blocks.block1[0][0].weight, trained.backbone.blocks.block1[0][0].weight)


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
def test_flipped_bytes_are_told_whatever_torch_raises(tmp_path: Path, zipped: bool) -> None:
    torch.save({"state_dict": STATE, "epoch": 3}, tmp_path / "whole.pt", _use_new_zipfile_serialization=zipped)
    whole, chance, refused = (tmp_path / "whole.pt").read_bytes(), random.Random(0), 0
    for _ in range(150):
        damaged = bytearray(whole)
        for _ in range(chance.choice((1, 2, 20))):
            damaged[chance.randrange(min(len(damaged), 900))] = chance.randrange(256)
        (tmp_path / "damaged.pt").write_bytes(damaged[: chance.choice((len(damaged), chance.randrange(len(damaged))))])
        try:
            read_state_dict(tmp_path / "damaged.pt")
        except InputError:
            refused += 1
    assert refused > 75


def test_a_file_on_its_way_is_read_as_what_it_will_be(tmp_path: Path) -> None:
    save_file(STATE, tmp_path / "net.safetensors.part")
    assert read_state_dict(tmp_path / "net.safetensors.part", ".safetensors").keys() == STATE.keys()
    with pytest.raises(InputError, match=r"damaged|code"):
        read_state_dict(tmp_path / "net.safetensors.part")


def test_what_is_dropped_on_purpose_is_counted(tmp_path: Path) -> None:
    state = LightCNN(GREY).state_dict()
    torch.save(state, tmp_path / "bare.pt")
    assert load_weights(LightCNN(GREY), tmp_path / "bare.pt").dropped == 0
    torch.save(state | {"fc2.weight": torch.zeros(5, 256), "fc2.bias": torch.zeros(5)}, tmp_path / "headed.pt")
    assert load_weights(LightCNN(GREY), tmp_path / "headed.pt").dropped == 2
    trained, _ = build_network(backbone=("light_cnn", {}), head=("mlp", {"hidden": [4]}), shape=GREY, classes=3)
    torch.save(trained.state_dict(), tmp_path / "network.pt")
    assert load_weights(LightCNN(GREY), tmp_path / "network.pt").dropped == len(trained.head.state_dict())


@pytest.mark.parametrize("head", [("dal", {"hidden": 8, "attach": "conv"}), ("linear", {})], ids=["map", "vector"])
def test_layers_that_the_head_replaces_need_no_weights(tmp_path: Path, head: tuple[str, dict[str, Any]]) -> None:
    """A network whose head attaches to the map has no fully connected layer to give to another such network."""
    given: dict[str, Any] = {"backbone": ("light_cnn", {}), "shape": GREY, "weights": tmp_path / "earlier.pt"}
    earlier, _ = build_network(
        backbone=("light_cnn", {}), head=("dal", {"hidden": 8, "attach": "conv"}), shape=GREY, classes=3
    )
    torch.save(earlier.state_dict(), tmp_path / "earlier.pt")
    if head[0] == "linear":
        with pytest.raises(InputError, match=r"at least 90% .*`fc1\.filter\.weight` is absent"):
            build_network(head=head, classes=7, **given)
        return
    later, report = build_network(head=head, classes=7, **given)
    assert report is not None
    assert (report.share, report.missing) == (1.0, ("fc1.filter.weight", "fc1.filter.bias"))
    assert all(torch.equal(t, earlier.backbone.state_dict()[n]) for n, t in later.backbone.state_dict().items())


@pytest.mark.parametrize(
    ("backbone", "state"),
    [
        (("vgg16", {}), {"features.conv0.weight": torch.ones(64, 3, 7, 7)}),
        (("light_cnn", {}), {"features.0.filter.weight": torch.ones(96)}),
    ],
    ids=["names", "shapes"],
)
def test_a_strangers_file_is_told_not_raised(
    tmp_path: Path, backbone: tuple[str, dict[str, Any]], state: dict[str, torch.Tensor]
) -> None:
    torch.save(state, tmp_path / "other.pt")
    with pytest.raises(InputError, match="of this architecture"):
        build_network(
            backbone=backbone, head=("linear", {}), shape=InputShape(channels=3, size=32), classes=7,
            weights=tmp_path / "other.pt",
        )  # fmt: skip


def test_batch_normalisation_without_its_statistics_is_refused(tmp_path: Path) -> None:
    net = ScratchCNN(GREY, blocks=[{"filters": 4}, {"filters": 4}])
    torch.save(dict(net.named_parameters()), tmp_path / "parameters.pt")
    with pytest.raises(InputError, match=r"statistics of batch normalisation, too, but 4 of them are absent"):
        load_weights(ScratchCNN(GREY, blocks=[{"filters": 4}, {"filters": 4}]), tmp_path / "parameters.pt")
    torch.save(net.state_dict(), tmp_path / "state.pt")
    assert load_weights(ScratchCNN(GREY, blocks=[{"filters": 4}, {"filters": 4}]), tmp_path / "state.pt").missing == ()
