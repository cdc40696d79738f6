"""What every member promises, asked of every backbone with every head in grey and RGB: train, freeze, save, load."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from network_grid import CASES, CLASSES, Case

from backbones import facenet_parts
from backbones.freeze import frozen_stages
from backbones.registry import HEADS
from ensemble.faces import Faces
from ensemble.spec import MemberSpec
from pipelines.fit_data import FitData
from pipelines.member import Member
from pipelines.member_fit import fit_member
from pipelines.trainer import Watcher

COUNT = 28  # four faces of each class: two updates of fourteen
DEVICE = torch.device("cpu")


@pytest.fixture(autouse=True)
def _small_and_single_threaded(monkeypatch: pytest.MonkeyPatch) -> Any:
    """FaceNet with one block of each kind, and one thread, since more only wait for each other here."""
    whole = facenet_parts.inception_resnet_v1

    def reduced(*, dropout: float) -> Any:
        net: Any = whole(dropout=dropout)
        for name in ("repeat_1", "repeat_2", "repeat_3"):
            setattr(net, name, getattr(net, name)[:1])
        return net

    monkeypatch.setattr("backbones.net.facenet.inception_resnet_v1", reduced)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def make_faces(split: str, case: Case) -> Faces:
    rng = np.random.default_rng(len(split))
    size = (case.shape.size,) * 2 + ((3,) if case.shape.channels == 3 else ())
    images, labels = rng.integers(0, 256, (COUNT, *size), dtype=np.uint8), np.arange(COUNT) % CLASSES
    ids = np.array([f"{split}{i}" for i in range(COUNT)])
    return Faces.of(split=split, classes=tuple(f"c{i}" for i in range(CLASSES)), ids=ids, images=images, labels=labels)


def make_member(case: Case, **fields: Any) -> Member:
    backbone, parameters = case.backbone
    if backbone == "vgg16":
        parameters = {**parameters, "depth": 2}
    content = {
        "name": "m", "backbone": {"kind": backbone, **parameters}, "head": {"kind": case.head[0], **case.head[1]},
        "input": {"size": case.shape.size, "channels": case.shape.channels}, "epochs": 1, "batch_size": COUNT // 2,
        **fields,
    }  # fmt: skip
    spec = MemberSpec.model_validate(content)
    classes = tuple(f"c{i}" for i in range(CLASSES))
    return Member.build(
        spec, classes=classes, face_size=case.shape.size, face_channels=case.shape.channels, device=DEVICE
    )


def half_frozen(case: Case) -> Member:
    """The member with the first half of its stages frozen; all of them under a head that is fitted at once."""
    if HEADS.get(case.head[0]).estimator is not None:
        return make_member(case, freeze={"until": "backbone"})
    names = list(make_member(case).network.backbone.stages())
    return make_member(case, freeze={"until": names[len(names) // 2 - 1]}) if names else make_member(case)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_member_trains_what_is_not_frozen_and_comes_back_bit_for_bit(case: Case, tmp_path: Path) -> None:
    data = FitData(train=make_faces("train", case), validation=make_faces("validation", case))
    member, fitted_at_once = half_frozen(case), HEADS.get(case.head[0]).estimator is not None
    network, frozen = member.network, set(frozen_stages(member.network.backbone))
    stages = network.backbone.stages()
    assert not stages or fitted_at_once or 0 < len(frozen) < len(stages)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}

    (tmp_path / "m").mkdir()
    progress = fit_member(member, data, folder=tmp_path / "m", cache=tmp_path, watcher=Watcher())
    assert progress.updates == (0 if fitted_at_once else 2)

    held = {id(p) for name in frozen for p in stages[name].parameters()}
    for name, parameter in network.named_parameters():
        if id(parameter) in held or fitted_at_once:
            assert parameter.grad is None, name
        else:
            assert parameter.grad is not None, name
            assert parameter.grad.isfinite().all(), name
    after = network.state_dict()
    for name in (name for name, parameter in network.named_parameters() if id(parameter) in held):
        assert torch.equal(before[name], after[name]), name
    assert any(not torch.equal(before[name], after[name]) for name in after if name.startswith("head."))

    loaded = Member.load(tmp_path / "m", device=DEVICE)
    state = loaded.network.state_dict()
    assert list(state) == list(after)
    assert all(torch.equal(state[name], after[name]) for name in after)
    np.testing.assert_array_equal(
        loaded.probabilities(data.validation.images), member.probabilities(data.validation.images)
    )
