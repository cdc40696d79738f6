"""The sanity check: members learn a few faces by heart, and one that cannot is told."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from support import Outcome

from ensemble.expression import EXPRESSIONS
from ensemble.faces import Faces
from ensemble.spec import MemberSpec
from pipelines.member import Member
from pipelines.overfit import few_faces, overfit
from pipelines.synthetic import synthetic_faces


@pytest.fixture(scope="module")
def faces() -> Faces:
    images, labels, _ = synthetic_faces(140, seed=2)
    ids = np.array([f"f{i}" for i in range(140)])
    return Faces.of(split="train", classes=EXPRESSIONS, ids=ids, images=images, labels=labels)


def test_few_faces_are_spread_over_the_classes(faces: Faces) -> None:
    few = few_faces(faces, 23)
    assert len(few) == 23
    assert set(few.class_counts) == {3, 4}
    assert set(few.ids) < set(faces.ids)
    assert few.digest == few_faces(faces, 23).digest


@pytest.mark.parametrize(
    "fields",
    [
        {"backbone": {"kind": "scratch_cnn", "blocks": [{"filters": 8}, {"filters": 16}], "dropout": 0.5}},
        {"backbone": {"kind": "pixels"}, "head": {"kind": "linear_svm", "c": 1.0e-6}},
        {"backbone": {"kind": "mobile_facenet"}, "freeze": {"until": "backbone"}, "input": {"size": 48, "channels": 3}},
    ],
    ids=["trained", "fitted", "frozen"],
)
def test_members_learn_faces_by_heart(faces: Faces, fields: dict[str, object]) -> None:
    spec = MemberSpec.model_validate({"name": "m", **fields})
    member = Member.build(spec, classes=EXPRESSIONS, face_size=48, device=torch.device("cpu"))
    assert overfit(member, few_faces(faces, 28)) >= 0.98


YAML = """
name: c
members:
  - name: fine
    backbone: {kind: scratch_cnn, blocks: [{filters: 8}, {filters: 16}]}
  - name: blind
    input: {size: 8, normalize: equalize, interpolation: nearest}
    freeze: backbone
    backbone: {kind: scratch_cnn, pooling: average, blocks: [{filters: 1}]}
"""


def test_the_command_names_the_member_that_cannot(cli: Callable[..., Outcome]) -> None:
    Path("members.yaml").write_text(YAML)
    done = cli("members", "check", "--overfit", "--faces", "28", "members.yaml")
    assert done.code == 2
    assert "28 faces" in done.out
    assert "Expected every member to learn 28 faces by heart" in done.err
    assert "`blind`" in done.err
    assert "`fine`" not in done.err


def test_no_faces_are_searched_for_in_the_whole_data_set(
    cli: Callable[..., Outcome], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipelines.landmarks.search", lambda *_: pytest.fail("faces are searched for"))
    Path("members.yaml").write_text(
        "name: c\ndata: {source: photos, align: {size: 48, template: lightcnn}}\nmembers:\n"
        "  - {name: fine, backbone: {kind: scratch_cnn, blocks: [{filters: 8}, {filters: 16}]}}\n"
    )
    for split, count in (("train", 4), ("test", 2)):
        for emotion in ("happy", "sad"):
            Path("photos", split, emotion).mkdir(parents=True)
            for i in range(count):
                pixels = np.random.default_rng([i, len(emotion)]).integers(0, 256, (60, 50), dtype=np.uint8)
                Image.fromarray(pixels).save(Path("photos", split, emotion, f"{i}.png"))
    done = cli("members", "check", "--overfit", "--faces", "4", "--data", "photos", "members.yaml")
    assert done.code == 0, done.err
