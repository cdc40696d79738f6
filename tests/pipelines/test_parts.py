"""Small parts of the pipelines: atomic files, workspace, lock, bundle, feature cache, the reference page."""

from __future__ import annotations

import json
import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from support import ROOT

from backbones.errors import InputError
from ensemble.expression import EXPRESSIONS
from ensemble.faces import Faces
from ensemble.perturbation import PerturbationPlan
from ensemble.predictions import Predictions
from ensemble.spec import MemberSpec
from pipelines.atomic import replacing, write_json
from pipelines.bundle import changed_files, read_json, seal, unseal
from pipelines.feature_cache import cached_features
from pipelines.fit_data import FitData
from pipelines.forward import forward_all, softmax
from pipelines.lock import locked
from pipelines.member import Member
from pipelines.member_fit import fit_member
from pipelines.prediction_file import PredictionWriter, prediction_frame
from pipelines.reference import reference
from pipelines.trainer import Watcher
from pipelines.views import perturbed, view_probabilities
from pipelines.workspace import Workspace

CPU = torch.device("cpu")


def make_faces(count: int = 40, size: int = 20) -> Faces:
    rng = np.random.default_rng(0)
    images, labels = rng.integers(0, 256, (count, size, size), dtype=np.uint8), np.arange(count) % 7
    ids = np.array([f"f{i}" for i in range(count)])
    return Faces.of(split="train", classes=EXPRESSIONS, ids=ids, images=images, labels=labels)


def make_member(size: int = 20, **fields: object) -> Member:
    spec = MemberSpec.model_validate(
        {"name": "m", "backbone": {"kind": "scratch_cnn", "blocks": [{"filters": 4}], "pooling": "average"}, **fields}
    )
    member = Member.build(spec, classes=EXPRESSIONS, face_size=size, device=CPU)
    member.input_layer.fit(make_faces(size=size).images)
    return member


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"old": 1})
    with pytest.raises(ValueError, match="JSON compliant"):
        write_json(tmp_path / "a.json", {"new": float("nan")})
    with pytest.raises(RuntimeError), replacing(tmp_path / "a.json") as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert json.loads((tmp_path / "a.json").read_text()) == {"old": 1}
    assert [p.name for p in tmp_path.iterdir()] == ["a.json"]


def test_the_newest_finished_committee_is_found(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    for index, name in enumerate(("first", "second", "unfinished")):
        folder = workspace.committees / name
        folder.mkdir(parents=True)
        (folder / "committee.yaml").write_text("")
        if name != "unfinished":
            (folder / "manifest.json").write_text("{}")
            os.utime(folder / "manifest.json", (index, index))
    assert workspace.find(None).name == "second"
    assert workspace.find("first").name == "first"
    assert workspace.find(workspace.committees / "first").name == "first"
    with pytest.raises(InputError, match="it resumes"):
        workspace.find("unfinished")
    with pytest.raises(InputError, match="Did you mean `first`"):
        workspace.find("frist")


def test_a_folder_is_locked_once(tmp_path: Path) -> None:
    with locked(tmp_path / "c"), pytest.raises(InputError, match="is fitting into it"), locked(tmp_path / "c"):
        pass
    with locked(tmp_path / "c"):
        pass
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="folder to write to"), locked(tmp_path / "file"):
        pass


def test_the_manifest_knows_every_file(tmp_path: Path) -> None:
    (tmp_path / "members" / "a").mkdir(parents=True)
    for name in ("committee.json", "members/a/spec.json"):
        (tmp_path / name).write_text("{}")
    (tmp_path / "tracking.json").write_text("{}")
    seal(tmp_path, members=["a"])
    assert set(read_json(tmp_path / "manifest.json")["files"]) == {"committee.json", "members/a/spec.json"}
    (tmp_path / "members/a/spec.json").write_text("[]")
    (tmp_path / "committee.json").unlink()
    assert changed_files(tmp_path) == ["committee.json", "members/a/spec.json"]
    unseal(tmp_path)
    with pytest.raises(InputError):
        changed_files(tmp_path)


def test_cached_features_equal_computed_ones_and_are_computed_once(tmp_path: Path) -> None:
    member, faces = make_member(freeze={"until": "backbone"}), make_faces()
    calls: list[tuple[int, int]] = []
    first = cached_features(member, faces, mirrored=True, cache=tmp_path, advance=lambda *a: calls.append(a))
    assert first.shape == (2, 40, 4)
    assert calls[-1] == (80, 80)
    again = cached_features(member, faces, mirrored=True, cache=tmp_path, advance=lambda *_: pytest.fail("computed"))
    np.testing.assert_array_equal(first, again)
    with torch.inference_mode():
        x = member.input_layer(torch.from_numpy(np.array(faces.images)))
        direct = [member.network.features(v).numpy() for v in (x, x.flip(-1))]
    np.testing.assert_allclose(first, direct, atol=1e-5)
    changed = cached_features(make_member(freeze={"until": "backbone"}, seed=1), faces, mirrored=True, cache=tmp_path)
    assert not np.allclose(first, changed)


def test_an_interrupted_feature_computation_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipelines.feature_cache._BLOCK", 16)
    member, faces = make_member(freeze={"until": "backbone"}), make_faces()
    whole = np.array(cached_features(member, faces, mirrored=False, cache=tmp_path / "whole"))

    def stop(done: int, _total: int) -> None:
        if done == 32:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cached_features(member, faces, mirrored=False, cache=tmp_path / "parts", advance=stop)
    seen: list[int] = []
    parts = cached_features(
        member, faces, mirrored=False, cache=tmp_path / "parts", advance=lambda done, _: seen.append(done)
    )
    assert seen == [40]
    np.testing.assert_array_equal(parts, whole)


def test_a_counter_of_another_file_is_not_believed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    member, faces = make_member(freeze={"until": "backbone"}), make_faces()
    whole = np.array(cached_features(member, faces, mirrored=False, cache=tmp_path))
    (path,) = (tmp_path / "features").glob("*.npy")
    path.unlink()  # to free space, while the counter of an earlier attempt was left
    path.with_suffix(".json").write_text('{"done": 40}')

    def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("pipelines.feature_cache._view", killed)  # before the first face
        cached_features(member, faces, mirrored=False, cache=tmp_path)
    np.testing.assert_array_equal(cached_features(member, faces, mirrored=False, cache=tmp_path), whole)


def test_members_that_need_the_same_features_at_once_compute_them_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    faces, rows, real = make_faces(), [], forward_all

    def slow(model: torch.nn.Module, images: np.ndarray, **others: Any) -> np.ndarray:
        rows.append(len(images))
        time.sleep(0.1)  # long enough for the other to find nothing finished
        return real(model, images, **others)

    monkeypatch.setattr("pipelines.feature_cache.forward_all", slow)
    members = [make_member(freeze={"until": "backbone"}, head={"kind": kind}) for kind in ("linear", "linear_svm")]
    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(lambda m: cached_features(m, faces, mirrored=False, cache=tmp_path), members)
    np.testing.assert_array_equal(first, second)
    assert rows == [1, len(faces)]  # one for the width, then all


def test_a_second_head_never_runs_the_backbone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = FitData(train=make_faces(), validation=make_faces(14))
    heads = ({"kind": "linear"}, {"kind": "mlp", "hidden": [8]}, {"kind": "linear_svm"})
    for number, head in enumerate(heads):
        folder = tmp_path / str(number)
        folder.mkdir()
        member = make_member(freeze={"until": "backbone"}, head=head, epochs=2, batch_size=8)
        if number:
            monkeypatch.setattr(type(member.network), "features", lambda *_: pytest.fail("the backbone was run"))
        fit_member(member, data, folder=folder, cache=tmp_path, watcher=Watcher())


def test_forward_does_not_depend_on_neighbours() -> None:
    member, images = make_member(), make_faces().images
    whole = forward_all(member.network, images, device=CPU, prepare=member.input_layer)
    for rows in ([3], [39, 3, 7], list(range(17))):
        part = forward_all(member.network, images[rows], device=CPU, prepare=member.input_layer)
        np.testing.assert_array_equal(part, whole[rows])
    np.testing.assert_allclose(softmax(whole).sum(axis=1), 1)
    assert forward_all(member.network, images[:0], device=CPU, prepare=member.input_layer).shape[0] == 0


def test_views_start_with_the_face_and_its_mirror_image() -> None:
    images, plan = make_faces().images, PerturbationPlan()
    views = perturbed(images, [f"f{i}" for i in range(40)], plan=plan, views=4)
    np.testing.assert_array_equal(views[:, 0], images)
    np.testing.assert_array_equal(views[:, 1], images[:, :, ::-1])
    assert not np.array_equal(views[:, 2], images)
    few = perturbed(images[5:7], ["f5", "f6"], plan=plan, views=3)
    np.testing.assert_array_equal(few, views[5:7, :3])
    member = make_member()
    probs = view_probabilities(member, images, [f"f{i}" for i in range(40)], plan=plan, views=2)
    np.testing.assert_array_equal(probs[0], member.probabilities(images))


def test_a_prediction_file_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    predictions = Predictions(ids=np.array(["a", "b"]), probs=np.full((2, 7), 1 / 7), classes=EXPRESSIONS)
    frame = prediction_frame(predictions)
    with pytest.raises(RuntimeError), PredictionWriter(tmp_path / "p.csv") as writer:
        writer.write(frame)
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []
    with PredictionWriter(tmp_path / "p.csv") as writer:
        writer.write(frame)
        writer.write(frame)
    assert len((tmp_path / "p.csv").read_text().splitlines()) == 5


def test_the_committed_reference_is_up_to_date() -> None:
    assert (ROOT / "docs" / "members-yaml.md").read_text(encoding="utf-8") == reference(), "run `make docs`"


def test_every_field_of_the_reference_says_what_it_means() -> None:
    for line in reference().partition("## Components")[0].splitlines():
        if line.startswith("| `"):
            assert len(line.split("|")[3].strip()) > 3, line
