"""Notes on what works, but not as well as it could: input, alignment, and an unfreezing that ends too early."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from support import Outcome

from backbones.contract import InputShape
from backbones.net.light_cnn import LightCNN
from ensemble.align_spec import AlignSpec
from ensemble.expression import EXPRESSIONS
from ensemble.spec import MemberSpec
from pipelines.member import Member
from pipelines.member_notes import member_notes, training_note

WEIGHTS = {"file": "x.pt"}
MOBILE = {"kind": "mobile_facenet"}
RIGHT = {"size": 112, "channels": 3, "normalize": "backbone"}
ARCFACE = AlignSpec(template="arcface")


def notes(align: AlignSpec | None = ARCFACE, **fields: Any) -> list[str]:
    spec = MemberSpec.model_validate({"name": "m", "backbone": MOBILE, "input": RIGHT, **fields})
    member = Member.build(spec, classes=EXPRESSIONS, face_size=48, device=torch.device("cpu"), pretrained=False)
    return member_notes(member, align)


@pytest.mark.parametrize(
    ("align", "fields", "expected"),
    [
        (ARCFACE, {"weights": WEIGHTS}, []),
        (ARCFACE, {"weights": WEIGHTS, "input": {**RIGHT, "channels": 1}}, []),
        (None, {}, []),  # trained from nothing
        (None, {"input": {"size": 48}}, []),
        (None, {"weights": {"run": "earlier", "member": "a"}, "input": {"size": 48}}, []),
        (
            ARCFACE,
            {"weights": WEIGHTS, "input": {**RIGHT, "size": 48}},
            ["sees 48×48 pixels, while its weights were trained on 112×112. Set `input: {size: 112}`"],
        ),
        (
            ARCFACE,
            {"weights": WEIGHTS, "input": {"size": 112, "channels": 3}},
            ["`normalize: mean_std`, while its weights were trained on ImageNet's mean and deviation"],
        ),
        (
            AlignSpec(template="lightcnn"),
            {"weights": WEIGHTS},
            ["faces are aligned to `lightcnn`, while its weights were trained on `arcface`"],
        ),
        (
            None,
            {"weights": WEIGHTS},
            ["its weights were trained on faces aligned to `arcface`, and faces are taken as"],
        ),
        (
            None,
            {"weights": WEIGHTS, "backbone": {"kind": "light_cnn"}, "input": {"channels": 3}},
            ["sees 48×48 pixels", "trained on x / 255", "aligned to `lightcnn`"],
        ),
        (
            None,
            {"backbone": {"kind": "timm", "model": "test_resnet", "pretrained": True}, "input": {"size": 64}},
            ["sees 64×64 pixels, while its weights were trained on 160×160", "the model's own mean and deviation"],
        ),
        (None, {"backbone": {"kind": "timm", "model": "test_resnet"}, "input": {"size": 64}}, []),
        (
            None,
            {"weights": WEIGHTS, "backbone": {"kind": "vgg16"}, "input": {"size": 192, "normalize": "backbone"}},
            [],  # close enough where faces need not lie at one place
        ),
        (
            ARCFACE,
            {"unfreeze": "gradual", "epochs": 6},
            ["`unfreeze` reaches only 5 of 9 stages in 6 epochs; all of them take at least 10"],
        ),
        (ARCFACE, {"unfreeze": "gradual", "epochs": 6, "freeze": {"until": "bottleneck2"}}, []),
        (ARCFACE, {"unfreeze": "gradual", "epochs": 10}, []),
        (ARCFACE, {"unfreeze": "gradual", "epochs": 9}, ["`unfreeze` reaches only 8 of 9 stages in 9 epochs"]),
        (ARCFACE, {"unfreeze": "probe", "epochs": 2}, []),
    ],
)
def test_table_of_notes(align: AlignSpec | None, fields: dict[str, Any], expected: list[str]) -> None:
    if isinstance(fields.get("unfreeze"), str):
        fields = {**fields, "unfreeze": {"kind": fields["unfreeze"]}}
    found = notes(align, **fields)
    assert len(found) == len(expected), found
    assert all(start in note for start, note in zip(expected, found, strict=True)), found


def _history(*epochs: tuple[float, float, float]) -> list[dict[str, float]]:
    names = ("train_loss", "validation_nll", "validation_accuracy")
    return [dict(zip(names, epoch, strict=True)) for epoch in epochs]


def test_a_member_that_collapses_on_unseen_faces_is_told_of() -> None:
    note = training_note(_history((1.63, 1.42, 0.496), (1.33, 19.6, 0.016)))
    assert note is not None
    assert "from 0.496 to 0.016" in note
    assert "freeze: {batch_norm: true}" in note


@pytest.mark.parametrize(
    "epochs",
    [
        [(1.6, 1.4, 0.5), (0.1, 4.2, 0.48)],  # overfits
        [(1.6, 1.4, 0.5), (1.7, 9.0, 0.1)],  # diverges, which the training loss shows as well
        [(1.9, 1.95, 0.22), (1.8, 1.96, 0.11)],  # few faces: chance
        [(1.9, 9.0, 0.1), (1.5, 1.4, 0.5)],  # only began so
    ],
)
def test_other_ends_are_not(epochs: list[tuple[float, float, float]]) -> None:
    assert training_note(_history(*epochs)) is None


COMMITTEE = """
name: noted
data: {source: synthetic, count: 210}
defaults: {epochs: 2, freeze: backbone, backbone: {kind: light_cnn}, weights: {file: net_b.pt}, input: {size: 16}}
members:
  - {name: first}
  - {name: second, head: {kind: mlp, hidden: [8]}}
  - {name: third, input: {normalize: backbone}, freeze: none, unfreeze: gradual}
committee: {rule: mean}
"""


def test_check_and_fit_tell_each_note_once(cli: Callable[..., Outcome]) -> None:
    torch.manual_seed(0)
    torch.save(LightCNN(InputShape(channels=1, size=16)).state_dict(), "net_b.pt")
    Path("noted.yaml").write_text(COMMITTEE)
    for arguments, place in ((("members", "check"), "noted.yaml: "), (("fit", "--no-track", "--jobs", "1", "-m"), "")):
        done = cli(*arguments, "noted.yaml")
        assert done.code == 0
        text = " ".join((done.out + done.err).split())
        for names, note in (
            ("first, second, third", "sees 16×16 pixels, while its weights were trained on 128×128"),
            ("first, second", "`normalize: mean_std`, while its weights were trained on x / 255"),
            ("third", "`unfreeze` reaches only 1 of 6 stages in 2 epochs"),
        ):
            where = ", ".join(f"{place}{name}" for name in names.split(", "))
            assert text.count(f"{where}: {note}") == 1, text
