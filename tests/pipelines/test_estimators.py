"""Members whose head scikit-learn fits: the same answers as scikit-learn's own, stored like any network."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.calibration import CalibratedClassifierCV
from sklearn.model_selection import StratifiedKFold
from sklearn.svm import LinearSVC

from backbones.errors import InputError
from backbones.head.linear_svm import LinearSVM
from backbones.registry import HEADS
from ensemble.expression import EXPRESSIONS
from ensemble.faces import Faces
from ensemble.spec import MemberSpec
from pipelines.estimators import ESTIMATORS
from pipelines.fit_data import FitData
from pipelines.forward import forward_all, softmax
from pipelines.member import Member
from pipelines.member_fit import fit_member
from pipelines.synthetic import synthetic_faces
from pipelines.trainer import Watcher

CPU = torch.device("cpu")


def features(classes: int, count: int = 240) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    labels = np.arange(count) % classes
    centres = rng.normal(size=(classes, 12))
    return (centres[labels] + rng.normal(size=(count, 12))).astype(np.float32), labels


@pytest.mark.parametrize("classes", [2, 7])
def test_probabilities_are_scikit_learns(classes: int) -> None:
    x, y = features(classes)
    head = LinearSVM(12, classes, c=0.05)
    ESTIMATORS.build("linear_svm").fit(head, x, y, seed=3)
    parts = StratifiedKFold(n_splits=3, shuffle=True, random_state=3)
    machine = LinearSVC(C=0.05, dual=False, max_iter=2000, random_state=3)
    reference = CalibratedClassifierCV(machine, method="sigmoid", cv=parts, ensemble=False).fit(x, y)
    ours = softmax(forward_all(head, x, device=CPU))
    np.testing.assert_allclose(ours, reference.predict_proba(x), atol=1e-5)


def test_a_class_without_enough_faces_is_refused() -> None:
    x, y = features(7)
    with pytest.raises(
        InputError, match=r"at least 3 training faces of every class for `linear_svm`, but class 0 has 1"
    ):
        keep = np.flatnonzero((y != 0) | (np.arange(len(y)) < 7))
        ESTIMATORS.build("linear_svm").fit(LinearSVM(12, 7), x[keep], y[keep], seed=0)


def test_every_head_that_names_an_estimator_has_one() -> None:
    named = {HEADS.get(name).estimator for name in HEADS.names()} - {None}
    assert named == set(ESTIMATORS.names())


def _data(count: int = 900) -> FitData:
    images, labels, _ = synthetic_faces(count, seed=1)
    parts = []
    for split, rows in (("train", slice(0, 700)), ("validation", slice(700, None))):
        ids = np.array([f"{split}{i}" for i in range(len(labels[rows]))])
        parts.append(
            Faces.of(
                split=split, classes=EXPRESSIONS, ids=ids, images=images[rows], labels=labels[rows]
            )
        )  # fmt: skip
    return FitData(train=parts[0], validation=parts[1])


def _member(**fields: object) -> Member:
    spec = MemberSpec.model_validate(
        {"name": "svm", "backbone": {"kind": "pixels"}, "head": {"kind": "linear_svm", "c": 1e-3}, **fields}
    )
    return Member.build(spec, classes=EXPRESSIONS, face_size=48, device=CPU)


def test_a_member_is_fitted_once_and_loads_to_the_same_answers(tmp_path: Path) -> None:
    data, member = _data(), _member()
    progress = fit_member(member, data, folder=tmp_path / "svm", cache=tmp_path, watcher=Watcher())
    assert progress.epoch == 1
    assert progress.history[0]["validation_accuracy"] > 0.3  # seven classes; chance is 0.14
    loaded = Member.load(tmp_path / "svm", device=CPU)
    images = np.asarray(data.validation.images)
    np.testing.assert_array_equal(loaded.probabilities(images), member.probabilities(images))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (
            {"backbone": {"kind": "scratch_cnn", "blocks": [{"filters": 4}]}},
            "Expected a frozen backbone under the head",
        ),
        ({"augment": "strong"}, "Expected `augment` to be `none` or `flip`"),
        ({"targets": "votes"}, "Expected `targets: labels`"),
    ],
)
def test_what_such_a_head_cannot_do_is_refused(fields: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        _member(**fields)
