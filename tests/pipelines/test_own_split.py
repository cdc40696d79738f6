"""A folder of a committee's own data keeps the splits of the fit, and its test faces stay unscored."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from support import Outcome, write_class_folders

import pipelines
from ensemble.data_spec import DataSpec
from pipelines.face_loading import load_faces
from pipelines.own_split import place_in_own

Cli = Callable[..., Outcome]

RECIPE = """
name: own
data: {source: faces, validation: 0.25, seed: 3}
members:
  - name: net
    backbone: {kind: scratch_cnn, blocks: [{filters: 4}], pooling: average}
    input: {size: 24}
    epochs: 1
committee: {rule: mean}
"""


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A working directory with `faces/train` and `faces/test`, and a committee fitted on them."""
    folder, before = tmp_path_factory.mktemp("own"), Path.cwd()
    os.chdir(folder)
    try:
        store = load_faces("synthetic", options={"count": 210}, cache=Path("cache"))
        for split in ("train", "test"):
            write_class_folders(Path("faces") / split, store.split(split))
        Path("own.yaml").write_text(RECIPE)
        pipelines.fit("own.yaml", jobs=1, track=False, quiet=True)
    finally:
        os.chdir(before)
    return folder


@pytest.fixture
def work(fitted: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.chdir(fitted)
    return tmp_path


def test_the_test_folder_is_the_test_split(work: Path, cli: Cli) -> None:
    for place in ("faces/test", "faces/../faces/test/", str(Path("faces/test").resolve())):
        done = cli("predict", place, "--out", str(work / "p.csv"))
        assert done.code == 0, done.err
        assert "test: 21 faces, not scored here" in done.out
        assert "accuracy" not in done.out


def test_the_train_folder_and_the_whole_are_divided_as_they_were(work: Path, cli: Cli) -> None:
    store = load_faces("faces", options={"validation": 0.25, "seed": 3}, cache=Path("mlruns/cache"))
    for place in ("faces/train", "faces"):
        done = cli("predict", place, "--out", str(work / "p.csv"))
        assert done.code == 0, done.err
        for split in ("train", "validation"):
            line = next(line for line in done.out.splitlines() if line.strip().startswith(f"{split}: accuracy"))
            assert line.rstrip(".").endswith(f"of {store.counts[split]} faces")
        assert ("not scored here" in done.out) == (place == "faces")


def test_a_folder_of_the_fit_is_no_other_data(work: Path, cli: Cli) -> None:
    done = cli("evaluate", "--data", "faces/test", "--split", "test")
    assert done.code == 2
    assert "`faces/test` lies in" in done.err.replace("\n", " ")
    assert "`--split test` is its test split" in done.err.replace("\n", " ")
    assert not Path("mlruns/committees/own/evaluation").exists()


def test_the_same_faces_elsewhere_are_other_data(work: Path, cli: Cli) -> None:
    shutil.copytree("faces/test", work / "elsewhere")
    done = cli("predict", str(work / "elsewhere"), "--out", str(work / "p.csv"))
    assert done.code == 0, done.err
    assert "train: accuracy" in done.out


def test_the_fit_s_own_faces_are_told_by_what_they_show(work: Path, cli: Cli) -> None:
    assert cli("fuse", "--rule", "stacking").code == 0
    shutil.copytree("faces", work / "copy")
    scores = []
    for args in ((), ("--data", "faces"), ("--data", str(work / "copy"))):
        done = cli("evaluate", *args, "--tta", "1")
        assert done.code == 0, done.err
        scores.append(next(line.split() for line in done.out.splitlines() if "COMMITTEE" in line))
    assert scores[0] == scores[1] == scores[2]


def test_a_look_at_the_own_test_split_is_recorded_as_one(work: Path, cli: Cli) -> None:
    shutil.copytree("mlruns/committees/own", work / "own")
    done = cli("evaluate", "--committee", str(work / "own"), "--data", "faces", "--split", "test")
    assert done.code == 0, done.err
    looks = (work / "own" / "evaluation" / "looks.jsonl").read_text().splitlines()
    assert ["data" in json.loads(look) for look in looks] == [False]


def test_data_that_has_changed_keeps_what_is_known(work: Path, cli: Cli) -> None:
    shutil.copytree("mlruns/committees/own", work / "own")
    added = [Path("faces/train") / name / "added.png" for name in ("happy", "sad", "fear")]
    try:
        for path in added:
            shutil.copy(next(path.parent.iterdir()), path)
        done = cli("predict", "faces", "--committee", str(work / "own"), "--out", str(work / "p.csv"))
    finally:
        for path in added:
            path.unlink(missing_ok=True)
    assert done.code == 0, done.err
    store = load_faces("faces", options={"validation": 0.25, "seed": 3}, cache=Path("mlruns/cache"))
    assert "train: " not in done.out
    assert f"of {store.counts['validation']} faces" in done.out
    assert f"{store.counts['train'] + store.counts['test'] + len(added)} faces, not scored" in done.out


def test_a_table_is_divided_as_it_was(work: Path, cli: Cli) -> None:
    store = load_faces("synthetic", options={"count": 210}, cache=Path("mlruns/cache"))
    rows = ["emotion,pixels"]
    for split in ("train", "validation", "test"):
        faces = store.split(split)
        for image, label in zip(faces.images, faces.labels, strict=True):
            rows.append(f"{label},{' '.join(map(str, np.asarray(image).ravel()))}")
    (work / "faces.csv").write_text("\n".join(rows) + "\n")
    (work / "own.yaml").write_text(
        RECIPE.replace("source: faces", "source: faces.csv").replace("seed", "test: 0.3, seed")
    )
    os.chdir(work)
    assert cli("fit", "--members", "own.yaml", "--jobs", "1", "--no-track").code == 0
    done = cli("predict", "faces.csv", "--out", "p.csv")
    assert done.code == 0, done.err
    own = load_faces("faces.csv", options={"validation": 0.25, "seed": 3, "test": 0.3}, cache=Path("mlruns/cache"))
    assert own.counts == {"train": 94, "validation": 53, "test": 63}
    for split in ("train", "validation"):
        assert any(
            line.startswith(f"{split}: ") and f"of {own.counts[split]} " in line for line in done.out.split("\n")
        )
    assert "test: 63 faces, not scored here" in done.out


def test_a_pack_does_not_know_where_its_faces_lay(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (work / "faces" / "mine").mkdir(parents=True)
    monkeypatch.chdir(work)
    assert place_in_own(DataSpec(source="faces"), "faces/mine") is None
    assert place_in_own(DataSpec(source=str(work / "faces")), "faces/mine") == "mine"


def test_a_folder_around_the_fit_s_own_keeps_its_splits(cli: Cli) -> None:
    store = load_faces("synthetic", options={"count": 210}, cache=Path("cache"))
    for split in ("train", "test"):
        write_class_folders(Path("faces") / split, store.split(split))
    Path("own.yaml").write_text(RECIPE.replace("source: faces", "source: faces/train"))
    assert cli("fit", "--members", "own.yaml", "--jobs", "1", "--no-track").code == 0
    own = load_faces("faces/train", options={"validation": 0.25, "seed": 3}, cache=Path("mlruns/cache"))
    done = cli("predict", "faces", "--out", "p.csv")
    assert done.code == 0, done.err
    for split in ("train", "validation"):
        assert f"of {own.counts[split]} faces" in next(
            x for x in done.out.splitlines() if x.startswith(f"{split}: acc")
        )
    tested = own.counts["test"] + store.counts["test"]
    assert f"test: {tested} faces, not scored here" in done.out
    refused = cli("evaluate", "--data", "faces", "--split", "train")
    assert refused.code == 2
    assert "`faces` holds" in refused.err.replace("\n", " ")


def test_own_data_that_has_changed_is_not_judged_as_other_data(work: Path, cli: Cli) -> None:
    added = Path("faces/train/happy/added.png")
    try:
        shutil.copy(next(added.parent.iterdir()), added)
        done = cli("evaluate", "--data", "faces", "--split", "validation", "--tta", "1")
    finally:
        added.unlink(missing_ok=True)
    assert done.code == 2
    assert "holds others" in done.err.replace("\n", " ")


def test_classes_are_for_other_data(work: Path, cli: Cli) -> None:
    done = cli("evaluate", "--data", "faces", "--classes", "sad=", "--split", "train")
    assert done.code == 2
    assert "`--classes` beside other data only" in done.err.replace("\n", " ")


def test_a_copy_is_known_where_the_fit_left_faces_out(work: Path, cli: Cli) -> None:
    shutil.copytree("faces", work / "faces")
    twin = next((work / "faces" / "train" / "happy").iterdir())
    (work / "own.yaml").write_text(RECIPE.replace("source: faces", "source: faces, dedupe: true"))
    os.chdir(work)
    shutil.copy(twin, twin.with_name("twin.png"))
    assert cli("fit", "--members", "own.yaml", "--jobs", "1", "--no-track").code == 0
    shutil.copytree("faces", "copy")
    done = cli("evaluate", "--data", "copy")
    assert done.code == 0, done.err
    assert "the faces that the committee was fitted on" in done.err.replace("\n", " ")
    assert cli("evaluate", "--data", "copy", "--split", "all").code == 2
    assert cli("evaluate", "--data", "copy", "--split", "test").code == 0
    looks = Path("mlruns/committees/own/evaluation/looks.jsonl").read_text().splitlines()
    assert json.loads(looks[0])["data"] == "copy"
