"""A member that learns from a committee's answers as well: which targets that makes, and what is refused."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from support import Outcome

import pipelines
from backbones.errors import InputError
from ensemble.faces import Faces
from ensemble.spec import MemberSpec
from pipelines.committee_fit import fit_committee
from pipelines.face_loading import load_faces
from pipelines.plan import make_plan
from pipelines.predictor import Predictor
from pipelines.teacher import taught_targets

Cli = Callable[..., Outcome]

CPU = torch.device("cpu")
COMMITTEE = Path("mlruns/committees/teachers")
NET = "backbone: {kind: scratch_cnn, blocks: [{filters: 4}]}"
FILE = """
name: NAME
data: {source: synthetic, count: COUNT}
defaults: {epochs: 2, batch_size: 64, select: last, input: {size: 24}}
members:
  - {name: net, seed: SEED, TEACHER BACKBONE}
"""


def recipe(name: str = "taught", *, teacher: str = "", count: int = 210, seed: int = 1, net: str = NET) -> Path:
    path = Path(f"{name}.yaml")
    text = FILE.replace("NAME", name).replace("COUNT", str(count)).replace("SEED", str(seed))
    path.write_text(text.replace("TEACHER", teacher and f"teacher: {teacher},").replace("BACKBONE", net))
    return path


@pytest.fixture
def fit(cli: Cli) -> Callable[..., Outcome]:
    def run(path: Path, *more: str) -> Outcome:
        return cli("fit", "--members", str(path), "--jobs", "1", "--no-track", *more)

    return run


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("fitted"))
        return fit_committee(make_plan(recipe("teachers", seed=0)), track=False, jobs=1, quiet=True).resolve()


@pytest.fixture
def teachers(fitted: Path) -> Path:
    """A finished committee of that name."""
    shutil.copytree(fitted, COMMITTEE)
    return COMMITTEE.resolve()


def faces(split: str = "train") -> Faces:
    return load_faces("synthetic", options={"count": 210}, cache=Path("mlruns/cache")).split(split)


def planned(teacher: str) -> MemberSpec:
    return make_plan(recipe(teacher=teacher)).members[0]


def weights(committee: str) -> dict[str, torch.Tensor]:
    return load_file(f"mlruns/committees/{committee}/members/net/weights.safetensors")


def same(one: str, other: str) -> bool:
    return all(torch.equal(tensor, weights(other)[name]) for name, tensor in weights(one).items())


def test_targets_are_the_labels_and_the_committees_answers(teachers: Path) -> None:
    spec, train, told = planned("{committee: teachers, share: 0.25, views: 3}"), faces(), []
    found = taught_targets(spec, train, cache=Path("cache"), device=CPU, advance=lambda *a: told.append(a))
    answers = pipelines.load(teachers).predict(np.array(train.images), ids=[str(i) for i in train.ids], tta=3).probs
    np.testing.assert_allclose(found, 0.75 * train.targets() + 0.25 * answers, atol=1e-6)
    np.testing.assert_allclose(found.sum(axis=1), 1.0, atol=1e-6)
    assert found.dtype == np.float32
    assert told == [(len(train), len(train))]


def test_a_face_is_answered_once(teachers: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec, train = planned("teachers"), faces()
    monkeypatch.setattr("pipelines.teacher._BLOCK", 64)
    asked: list[int] = []
    predict = Predictor.predict

    def noted(self: Predictor, images: Any, **options: Any) -> Any:
        asked.append(len(images))
        return predict(self, images, **options)

    def stop(done: int, total: int) -> None:
        if done > 64:
            raise KeyboardInterrupt

    monkeypatch.setattr(Predictor, "predict", noted)
    with pytest.raises(KeyboardInterrupt):
        taught_targets(spec, train, cache=Path("cache"), device=CPU, advance=stop)
    assert asked == [64, 64]
    first = taught_targets(spec, train, cache=Path("cache"), device=CPU)
    assert sum(asked) == len(train)  # the rest of them
    second = taught_targets(spec, train, cache=Path("cache"), device=CPU)
    assert sum(asked) == len(train)
    np.testing.assert_array_equal(first, second)
    taught_targets(planned("{committee: teachers, views: 2}"), train, cache=Path("cache"), device=CPU)
    assert sum(asked) == 2 * len(train)


def test_answers_follow_the_order_of_the_datas_classes(teachers: Path) -> None:
    spec, train = planned("{committee: teachers, share: 1}"), faces()
    usual = taught_targets(spec, train, cache=Path("usual"), device=CPU)
    turned = tuple(reversed(train.classes))
    other = Faces(**{**vars(train), "classes": turned, "labels": len(turned) - 1 - train.labels})
    np.testing.assert_array_equal(taught_targets(spec, other, cache=Path("other"), device=CPU), usual[:, ::-1])


def test_a_fit_learns_from_it(teachers: Path, fit: Callable[..., Outcome]) -> None:
    first = fit(recipe(teacher="{committee: teachers, share: 0.9}"))
    assert first.code == 0
    assert "other data" not in first.err
    assert fit(recipe("alone"), "-q").code == 0
    assert fit(recipe("again", teacher="{committee: teachers, share: 0.9}"), "-q").code == 0
    assert same("taught", "again")
    assert not same("taught", "alone")


def test_it_may_move(teachers: Path, fit: Callable[..., Outcome]) -> None:
    assert fit(recipe(teacher="teachers"), "-q").code == 0
    shutil.move(teachers, "elsewhere")
    outcome = fit(recipe(teacher="elsewhere"))
    assert outcome.code == 0
    assert "net: finished before, kept" in outcome.err


def test_another_one_gives_another_key(teachers: Path) -> None:
    plain = MemberSpec.model_validate({"name": "net", "backbone": {"kind": "pixels"}})
    assert "teacher" not in plain.model_dump(mode="json")
    keys = {planned(teacher).fingerprint("x") for teacher in ("none", "teachers", "{committee: teachers, share: 0.1}")}
    assert len(keys) == 3
    moved = planned("teachers").model_dump(mode="json")
    moved["teacher"]["committee"] = "/somewhere/else"
    assert MemberSpec.model_validate(moved).fingerprint("x") == planned("teachers").fingerprint("x")
    moved["teacher"]["sha256"] = "0" * 64
    assert MemberSpec.model_validate(moved).fingerprint("x") != planned("teachers").fingerprint("x")


def test_one_of_other_data_is_told(teachers: Path, fit: Callable[..., Outcome]) -> None:
    outcome = fit(recipe(teacher="teachers", count=280))
    assert outcome.code == 0
    assert f"net: its teacher `{teachers}` was fitted on other data" in outcome.err.replace("\n", " ")


def test_a_pack_does_not_say_where_it_lay(teachers: Path, fit: Callable[..., Outcome], cli: Cli) -> None:
    assert fit(recipe(teacher="teachers"), "-q").code == 0
    assert cli("pack", "taught", "--out", "small").code == 0
    written = [path.read_text() for path in Path("small").rglob("*") if path.suffix in (".json", ".yaml", ".md")]
    assert written
    assert not any(str(teachers.parent) in text for text in written)
    assert "taught by teachers" in Path("small/MODEL_CARD.md").read_text()


def test_one_that_changed_meanwhile_is_refused(teachers: Path) -> None:
    spec = planned("teachers")
    manifest = json.loads((teachers / "manifest.json").read_text())
    manifest.pop("checksum", None)
    manifest["files"]["members/net/weights.safetensors"] = "0" * 64
    (teachers / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(InputError, match="to stay as it was when the fit began, but its content has changed"):
        taught_targets(spec, faces(), cache=Path("cache"), device=CPU)


def test_one_with_other_classes_is_refused(teachers: Path, fit: Callable[..., Outcome]) -> None:
    path = recipe(teacher="teachers")
    path.write_text(path.read_text().replace("count: 210", "count: 210, classes: {disgust: null}"))
    outcome = fit(path)
    assert outcome.code == 2
    assert "Expected a teacher that knows the classes" in outcome.err


@pytest.mark.parametrize(
    ("teacher", "said"),
    [
        ("nobody", r"members\.net\.teacher: .*nobody"),
        ("{committee: teachers, share: 0}", r"members\[0\]\.teacher\.share: Expected"),
        ("{committee: teachers, shar: 0.5}", r"members\[0\]\.teacher\.shar: Expected"),
        ("{share: 0.5}", r"members\[0\]\.teacher\.committee"),
        ("{committee: teachers, sha256: abc}", r"members\.net\.teacher: Expected a committee with sha256 abc"),
        ("teachers, folds: 3", r"members\[0\]\.teacher: Expected none beside `folds`"),
    ],
)
def test_mistakes_are_told_before_anything_is_read(teachers: Path, teacher: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        planned(teacher)


def test_a_head_that_is_fitted_on_labels_has_none(teachers: Path, fit: Callable[..., Outcome]) -> None:
    outcome = fit(recipe(teacher="teachers", net="backbone: {kind: pixels}, head: {kind: linear_svm}"))
    assert outcome.code == 2
    assert "Expected no `teacher` for the head `linear_svm`" in outcome.err


def test_a_search_in_folds_has_none(teachers: Path) -> None:
    path = recipe(teacher="teachers")
    search = "\ntune: {folds: 3, search: {optimizer.lr: {low: 1.0e-3, high: 1.0e-2}}}\n"
    path.write_text(path.read_text() + search)
    with pytest.raises(InputError, match=r"tune\.folds: Expected 1, since `net` has a teacher"):
        make_plan(path)


def test_one_without_a_network_is_refused(teachers: Path, fit: Callable[..., Outcome]) -> None:
    answers = faces("validation")
    probs = np.full((len(answers), len(answers.classes)), 1 / len(answers.classes))
    np.savez("theirs.npz", ids=answers.ids, probs=probs, classes=np.array(answers.classes))
    path = recipe("mixed")
    path.write_text(path.read_text() + "  - {name: theirs, posteriors: {file: theirs.npz}}\n")
    assert fit(path, "-q").code == 0
    with pytest.raises(InputError, match=r"with a network for every member, but those of .*mixed` have none: theirs"):
        planned("mixed")
