"""A member trained in folds: who sees which face, what becomes of it, and that interruptions change nothing."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from backbones.errors import InputError
from ensemble.bank import load_posteriors
from ensemble.metric import accuracy, nll
from ensemble.spec import MemberSpec
from ensemble.spec_check import check_spec
from pipelines.face_loading import load_faces
from pipelines.face_store import FaceStore
from pipelines.fingerprint import digest_file
from pipelines.fit_data import FitData
from pipelines.folded_job import FoldedJob
from pipelines.folded_member import FoldedMember, load_member
from pipelines.member import Member
from pipelines.member_fit import fit_member, member_fingerprint
from pipelines.member_folder import make_room
from pipelines.member_job import MemberJob
from pipelines.trainer import Watcher

CPU = torch.device("cpu")
NET = {
    "name": "net", "backbone": {"kind": "scratch_cnn", "blocks": [{"filters": 4}], "pooling": "average"},
    "input": {"size": 24}, "epochs": 2, "batch_size": 32, "augment": "flip", "folds": 3,
}  # fmt: skip
PIXELS = {
    "name": "net", "backbone": {"kind": "pixels"}, "head": {"kind": "linear_svm"},
    "input": {"size": 16, "normalize": "equalize"}, "folds": 3,
}  # fmt: skip


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> FaceStore:
    return load_faces("synthetic", options={"count": 210}, cache=tmp_path_factory.mktemp("cache"))


def make_job(store: FaceStore, root: Path, *, views: int = 2, kind: type[MemberJob] = FoldedJob, **fields: Any) -> Any:
    spec = MemberSpec.model_validate({**NET, **fields})
    return kind(
        spec=spec, weights=Path(spec.weights.file) if spec.weights else None, store=store,
        folder=root / "members" / spec.name, cache=root / "cache", device="cpu", threads=1, views=views, seed=7,
    )  # fmt: skip


def run(job: MemberJob, listen: Any = lambda *event: None) -> MemberJob:
    """As a fit does it."""
    make_room(job.folder, job.fingerprint(job.data()))
    job.run(listen)
    return job


@pytest.fixture(scope="module")
def finished(store: FaceStore, tmp_path_factory: pytest.TempPathFactory) -> FoldedJob:
    job = run(make_job(store, tmp_path_factory.mktemp("finished")))
    assert isinstance(job, FoldedJob)
    return job


def digests(folder: Path) -> dict[str, str]:
    """sha256 of what has to be equal; `spec.json` and `history.json` hold times."""
    paths = [*folder.rglob("*.safetensors"), *folder.rglob("*.npz"), *folder.rglob("plan.json")]
    return {str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(paths)}


def test_every_training_face_is_held_out_once_with_all_of_its_person(store: FaceStore, finished: FoldedJob) -> None:
    train, groups = store.split("train"), store.groups("train")
    assert groups is not None
    fold = finished.fold(train)
    held = [copy.held_out for copy in finished.copies(fold)]
    np.testing.assert_array_equal(np.sum(held, axis=0), np.ones(len(train)))
    for person in np.unique(groups):
        assert len(set(fold[groups == person].tolist())) == 1
    for label in range(7):
        counts = np.bincount(fold[train.labels == label], minlength=3)
        assert np.ptp(counts) <= 5, "a person has up to several faces of an expression"


def test_a_copy_is_trained_on_the_faces_outside_its_fold_alone(
    store: FaceStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[FitData] = []

    def spy(member: Member, data: FitData, **options: Any) -> Any:
        seen.append(data)
        return fit_member(member, data, **options)

    monkeypatch.setattr("pipelines.member_fit.fit_member", spy)
    job = run(make_job(store, tmp_path, epochs=1))
    train, whole = store.split("train"), load_posteriors(job.folder / "posteriors.npz").splits["train"]
    assert whole.ids.tolist() == train.ids.tolist()
    assert whole.labels is not None
    assert whole.labels.tolist() == train.labels.tolist()
    judged: list[str] = []
    for number, data in enumerate(seen):
        folder = job.folder / "folds" / str(number)
        held_out = load_posteriors(folder / "posteriors.npz").splits["held_out"]
        assert not set(data.train.ids) & set(held_out.ids)
        assert set(data.train.ids) | set(held_out.ids) == set(train.ids)
        assert data.validation.ids.tolist() == store.split("validation").ids.tolist()
        # The images, not their names alone: those of the copy are the training split's without the fold.
        rows = np.flatnonzero(np.isin(train.ids, data.train.ids))
        np.testing.assert_array_equal(data.train.images, np.asarray(train.images)[rows])
        content = json.loads((folder / "spec.json").read_text())
        assert content["fingerprint"] == member_fingerprint(MemberSpec.model_validate(content["spec"]), data)
        rows = np.flatnonzero(np.isin(train.ids, held_out.ids))
        np.testing.assert_array_equal(whole.probs[:, rows], held_out.probs)
        own = load_member(folder, device=CPU).probabilities(np.asarray(train.images)[rows])
        np.testing.assert_array_equal(whole.probs[0][rows], own)
        judged += held_out.ids.tolist()
    assert sorted(judged) == sorted(train.ids.tolist())


def test_copies_differ_in_their_seeds_and_weights(finished: FoldedJob) -> None:
    content = json.loads((finished.folder / "spec.json").read_text())
    seeds = [copy["seed"] for copy in content["copies"]]
    assert len(set(seeds)) == 3
    assert all(0 <= seed < 2**31 for seed in seeds)
    assert len({copy["weights_sha256"] for copy in content["copies"]}) == 3


def test_the_folder_says_what_the_copies_came_to(store: FaceStore, finished: FoldedJob) -> None:
    assert {path.name for path in finished.folder.iterdir()} == {"folds", "history.json", "posteriors.npz", "spec.json"}
    content = json.loads((finished.folder / "spec.json").read_text())
    copies = [json.loads((finished.folder / "folds" / str(k) / "spec.json").read_text()) for k in range(3)]
    assert (content["kind"], content["spec"]["folds"]) == ("folded", 3)
    assert content["parameters"] == sum(copy["parameters"] for copy in copies)
    assert content["epochs"] == 6
    assert content["seconds"] == pytest.approx(sum(copy["seconds"] for copy in copies), abs=0.05)
    splits = load_posteriors(finished.folder / "posteriors.npz").splits
    for name, split in (("out_of_fold", "train"), ("validation", "validation")):
        probs, labels = splits[split].probs.mean(axis=0), store.split(split).labels
        assert content[f"{name}_accuracy"] == accuracy(probs, labels)
        assert content[f"{name}_nll"] == pytest.approx(nll(probs, labels))
    histories = [json.loads((finished.folder / "folds" / str(k) / "history.json").read_text()) for k in range(3)]
    mean = json.loads((finished.folder / "history.json").read_text())
    assert [record["epoch"] for record in mean] == [1, 2]
    assert mean[1]["train_loss"] == pytest.approx(np.mean([history[1]["train_loss"] for history in histories]))


def test_the_member_is_the_mean_of_its_copies(store: FaceStore, finished: FoldedJob) -> None:
    faces = np.asarray(store.split("validation").images)
    copies = [Member.load(finished.folder / "folds" / str(k), device=CPU) for k in range(3)]
    expected = np.mean([copy.probabilities(faces) for copy in copies], axis=0)
    member = load_member(finished.folder, device=CPU)
    assert isinstance(member, FoldedMember)
    np.testing.assert_allclose(member.probabilities(faces), expected, atol=1e-15)
    assert not np.allclose(expected, copies[0].probabilities(faces), atol=1e-3)
    stored = load_posteriors(finished.folder / "posteriors.npz").splits["validation"]
    banks = [load_posteriors(finished.folder / "folds" / str(k) / "posteriors.npz").splits for k in range(3)]
    np.testing.assert_allclose(stored.probs, np.mean([bank["validation"].probs for bank in banks], axis=0), atol=1e-15)
    np.testing.assert_array_equal(stored.probs[0], member.probabilities(faces))
    # A face's answer does not depend on its neighbours.
    np.testing.assert_array_equal(member.probabilities(faces[3:4]), member.probabilities(faces)[3:4])


class StopError(Exception):
    pass


def stop_at(wanted: tuple[Any, ...]) -> Any:
    """Raises in the middle of the work: ("copy", 1, 1) after the second copy's first epoch, ("work", TEXT) at such."""

    def listen(_member: str, event: str, payload: Any) -> None:
        reached = ("copy", payload[0], payload[2].epoch) if event == "copy" else (event, payload[0])
        if reached == wanted:
            raise StopError

    return listen


STOPS: dict[str, tuple[Any, ...]] = {
    "within the first copy": ("copy", 0, 1),
    "before the first copy's weights are kept": ("copy", 0, 2),
    "while the first copy judges": ("work", "copy 1 of 3, held_out faces"),
    "between copies": ("work", "copy 2 of 3, epochs"),
    "within the last copy": ("copy", 2, 1),
}


@pytest.mark.parametrize("stop", STOPS.values(), ids=STOPS.keys())
def test_an_interrupted_member_ends_with_the_same_bytes(
    store: FaceStore, finished: FoldedJob, tmp_path: Path, stop: tuple[Any, ...]
) -> None:
    job = make_job(store, tmp_path)
    with pytest.raises(StopError):
        run(job, stop_at(stop))
    assert not job.is_done()
    copies = {path.parent.name: path.stat().st_mtime_ns for path in job.folder.glob("folds/*/spec.json")}
    run(make_job(store, tmp_path))
    assert job.is_done()
    assert digests(job.folder) == digests(finished.folder)
    kept = {path.parent.name: path.stat().st_mtime_ns for path in job.folder.glob("folds/*/spec.json")}
    assert {name: kept[name] for name in copies} == copies, "finished copies are not touched"


def test_killed_between_posteriors_and_spec_it_is_put_together_again(
    store: FaceStore, finished: FoldedJob, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = make_job(store, tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(FoldedJob, "_content", lambda *_: (_ for _ in ()).throw(StopError))
        with pytest.raises(StopError):
            run(job)
    assert not job.is_done()
    run(job, lambda *event: pytest.fail(f"{event}: all copies are finished"))
    assert digests(job.folder) == digests(finished.folder)


def test_other_views_are_judged_anew_without_training(store: FaceStore, tmp_path: Path) -> None:
    run(make_job(store, tmp_path, epochs=1, views=1))
    job = make_job(store, tmp_path, epochs=1, views=3)
    assert not job.is_done()
    run(job, lambda _member, event, payload: pytest.fail("trained again") if event == "copy" else None)
    assert job.is_done()
    assert {split.views for split in load_posteriors(job.folder / "posteriors.npz").splits.values()} == {3}


CHANGES: dict[str, dict[str, Any]] = {
    "another rate": {"optimizer": {"lr": 0.01}}, "more folds": {"folds": 4}, "fewer folds": {"folds": 2},
    "no folds": {"folds": None, "kind": MemberJob},
}  # fmt: skip


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_copies_of_another_spec_are_put_aside_and_taken_back(
    store: FaceStore, finished: FoldedJob, tmp_path: Path, change: dict[str, Any]
) -> None:
    with pytest.raises(StopError):
        run(make_job(store, tmp_path), stop_at(("copy", 1, 1)))  # one copy finished, one under way
    started = (tmp_path / "members/net/folds/0/weights.safetensors").read_bytes()
    other = run(make_job(store, tmp_path, **change))
    assert other.is_done()
    folders = sorted(path.name for path in other.folder.glob("folds/[0-9]*"))
    assert folders == [str(number) for number in range(other.spec.folds or 0)]
    (aside,) = (tmp_path / "replaced").iterdir()
    assert (aside / "folds/0/weights.safetensors").read_bytes() == started
    job = run(make_job(store, tmp_path))
    assert digests(job.folder) == digests(finished.folder)


def test_a_checkpoint_without_folds_leaves_nothing_behind(
    store: FaceStore, finished: FoldedJob, tmp_path: Path
) -> None:
    def listen(_member: str, event: str, _payload: Any) -> None:
        if event == "epoch":
            raise StopError

    with pytest.raises(StopError):
        run(make_job(store, tmp_path, kind=MemberJob, folds=None), listen)
    job = run(make_job(store, tmp_path))
    assert digests(job.folder) == digests(finished.folder)


def test_the_fingerprint_holds_folds_and_groups_and_is_the_old_one_without(
    store: FaceStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = make_job(store, tmp_path).data()

    def fingerprint(folds: int | None = 3, store: FaceStore = store, **fields: Any) -> str:
        kind = MemberJob if folds is None else FoldedJob
        job: MemberJob = make_job(store, tmp_path, kind=kind, folds=folds, **fields)
        return job.fingerprint(data)

    class Strangers(FaceStore):
        def groups(self, name: str) -> None:
            return None

    others = Strangers(**vars(store))
    keys = [fingerprint(), fingerprint(4), fingerprint(None), fingerprint(seed=1), fingerprint(store=others)]
    assert len(set(keys)) == 5
    plain = MemberSpec.model_validate({key: value for key, value in NET.items() if key != "folds"})
    assert "folds" not in plain.model_dump(mode="json")
    assert fingerprint(None) == member_fingerprint(plain, data)
    monkeypatch.setattr("ensemble.spec._FINGERPRINT_VERSION", 2)  # that of specs written before there were folds
    assert plain.fingerprint("d") == "6ae4fc7461f2c6b47b2450ec2040d6e60d6d526de5eb7ee0f0c984fc51fbb0c5"


@pytest.mark.parametrize(
    ("folds", "message"),
    [
        (1, "Expected `folds` to be at least 2, but got 1."),
        (21, "Expected `folds` to be at most 20, but got 21."),
        ("five", "Expected `folds` to be a whole number, but got 'five'."),
    ],
)
def test_wrong_folds_are_one_clear_message(folds: Any, message: str) -> None:
    _, problems = check_spec(MemberSpec, {**NET, "folds": folds}, "members[0]")
    (problem,) = problems
    assert message in problem


def test_more_folds_than_people_are_refused_before_training(store: FaceStore, tmp_path: Path) -> None:
    few = load_faces("synthetic", options={"count": 30}, cache=tmp_path / "cache")
    with pytest.raises(
        InputError, match=r"member `net`: Expected at most \d+ folds for as many groups of faces, but got"
    ):
        make_job(few, tmp_path, folds=20).build()


def test_folds_that_leave_too_few_faces_for_the_head_are_refused_before_training(
    store: FaceStore, tmp_path: Path
) -> None:
    def job(least: int) -> Any:
        fields: dict[str, Any] = {**PIXELS, "head": {"kind": "linear_svm", "folds": least}, "folds": 2}
        return make_job(store, tmp_path, **fields)

    train = store.split("train")
    outside = [np.bincount(train.labels[job(20).fold(train) != number], minlength=7) for number in range(2)]
    few = next(counts for counts in outside if counts.min() < 20)
    name, total = train.classes[int(few.argmin())], int((train.labels == few.argmin()).sum())
    with pytest.raises(InputError) as caught:
        job(20).build()
    assert str(caught.value) == (
        f"member `net`: Expected at least 20 training faces of every class outside each of its 2 folds for the head "
        f"`linear_svm`, but class `{name}` has {few.min()} of {total} there. "
        f"Leave out its `folds` or take more of them, lower `head.folds`, or add faces."
    )
    job(int(np.min(outside))).build()


def test_a_head_fitted_at_once_on_features_computed_once(store: FaceStore, tmp_path: Path) -> None:
    job = run(make_job(store, tmp_path, **PIXELS))
    assert len(list((tmp_path / "cache" / "features").glob("*.npy"))) == 2, "one for training, one for validation"
    for copy in job.copies(job.fold(store.split("train"))):  # type: ignore[attr-defined]
        data = replace(copy.data(), whole=None, places=None)  # features of the copy's own faces
        fit_member(copy.build(), data, folder=tmp_path / "alone", cache=tmp_path / "other", watcher=Watcher())
        ours, alone = (load_file(folder / "weights.safetensors") for folder in (copy.folder, tmp_path / "alone"))
        assert all(torch.equal(ours[name], alone[name]) for name in alone)


def test_copies_of_one_pretrained_backbone_share_its_features(store: FaceStore, tmp_path: Path) -> None:
    fields = {"freeze": {"until": "backbone"}, "input": {"size": 24, "normalize": "equalize"}, "folds": None}
    pretrained = make_job(store, tmp_path, kind=MemberJob, **fields).build()
    save_file(pretrained.network.backbone.state_dict(), tmp_path / "weights.safetensors")
    weights = {"file": str(tmp_path / "weights.safetensors"), "sha256": digest_file(tmp_path / "weights.safetensors")}
    job = run(make_job(store, tmp_path, **{**fields, "weights": weights, "folds": 3}))
    assert len(list((tmp_path / "cache" / "features").glob("*.npy"))) == 2
    for copy in job.copies(job.fold(store.split("train"))):  # type: ignore[attr-defined]
        data = replace(copy.data(), whole=None, places=None)
        (tmp_path / "alone").mkdir(exist_ok=True)
        fit_member(copy.build(), data, folder=tmp_path / "alone", cache=tmp_path / "other", watcher=Watcher())
        ours, alone = (load_file(folder / "weights.safetensors") for folder in (copy.folder, tmp_path / "alone"))
        assert all(torch.equal(ours[name], alone[name]) for name in alone)
    random = run(make_job(store, tmp_path / "random", **{**fields, "folds": 3}))
    assert random.is_done()
    assert len(list((tmp_path / "random" / "cache" / "features").glob("*.npy"))) == 6, "each copy has its own backbone"


def test_progress_is_one_bar_over_the_epochs_of_all_copies(store: FaceStore, tmp_path: Path) -> None:
    shares: list[float] = []
    epochs: list[tuple[int, int, int]] = []

    def listen(_member: str, event: str, payload: Any) -> None:
        if event == "work" and payload[0].endswith(", epochs"):
            shares.append(payload[1] / payload[2])
        elif event == "copy":
            epochs.append((payload[0], payload[1], payload[2].epoch))

    run(make_job(store, tmp_path), listen)
    assert shares == sorted(shares)
    assert shares[-1] == 1.0
    assert epochs == [(0, 3, 1), (0, 3, 2), (1, 3, 1), (1, 3, 2), (2, 3, 1), (2, 3, 2)]
