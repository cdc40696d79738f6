"""A folder of a committee's own data keeps the splits of the fit, and its test faces stay unscored."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support import Outcome

import pipelines
from pipelines.face_loading import load_faces

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
            faces = store.split(split)
            for number, (image, label) in enumerate(zip(faces.images, faces.labels, strict=True)):
                place = Path("faces") / split / faces.classes[label]
                place.mkdir(parents=True, exist_ok=True)
                Image.fromarray(np.array(image)).save(place / f"{split}{number}.png")
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
