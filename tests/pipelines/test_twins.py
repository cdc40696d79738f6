"""Twins: planted leaks are found, other faces are not taken for them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image
from support import Outcome

from backbones.errors import InputError
from pipelines.audit import audit
from pipelines.console import Console
from pipelines.dedupe import without_twins
from pipelines.face_loading import load_faces
from pipelines.synthetic import synthetic_faces
from pipelines.twins import find_twins

Images = npt.NDArray[np.uint8]
PLANTED = 200


@pytest.fixture(scope="module")
def faces() -> Images:
    return synthetic_faces(1000, seed=3)[0]


def _encoded(face: Images, quality: int) -> Images:
    _, data = cv2.imencode(".jpg", np.ascontiguousarray(face), [cv2.IMWRITE_JPEG_QUALITY, quality])
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_GRAYSCALE), dtype=np.uint8)


def _shifted(faces: Images, levels: int) -> Images:
    return np.clip(faces.astype(np.int64) + levels, 0, 255).astype(np.uint8)


LEAKS = {
    "copied": lambda f: f,
    "mirrored": lambda f: f[:, :, ::-1],
    "jpeg 75": lambda f: np.stack([_encoded(face, 75) for face in f]),
    "jpeg 50": lambda f: np.stack([_encoded(face, 50) for face in f]),
    "brighter": lambda f: _shifted(f, 40),
    "darker": lambda f: _shifted(f, -40),
    "mirrored, encoded": lambda f: np.stack([_encoded(face[:, ::-1], 75) for face in f]),
}


@pytest.mark.parametrize("leak", LEAKS)
def test_planted_leaks_are_found(faces: Images, leak: str) -> None:
    planted = np.ascontiguousarray(LEAKS[leak](faces[:PLANTED]))
    twins = find_twins(planted, faces)
    right = {int(i) for i, j in zip(twins.first, twins.second, strict=True) if i == j}
    assert len(right) >= 0.99 * PLANTED
    others = {int(j) for i, j in zip(twins.first, twins.second, strict=True) if i != j}
    assert len(others) < 0.01 * len(faces)


def test_faces_without_leaks_raise_few_alarms(faces: Images) -> None:
    twins = find_twins(faces)
    assert len(np.unique(np.concatenate([twins.first, twins.second]))) < 0.01 * len(faces)


def test_mirror_images_are_told_from_copies(faces: Images) -> None:
    twins = find_twins(np.stack([faces[0], faces[1][:, ::-1]]), faces[:2])
    pairs = {(int(i), int(j)): bool(m) for i, j, m in zip(twins.first, twins.second, twins.mirrored, strict=True)}
    assert pairs == {(0, 0): False, (1, 1): True}


def test_blank_faces_are_twins_only_of_their_copies() -> None:
    blank = np.stack([np.zeros((48, 48), np.uint8), np.full((48, 48), 255, np.uint8)])
    assert len(find_twins(blank)) == 0


def _leaky_folder(folder: Path) -> Path:
    images, labels, _ = synthetic_faces(140, seed=5)
    names = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
    for row, (image, label) in enumerate(zip(images, labels, strict=True)):
        split = "validation" if row % 5 == 0 else "train"
        target = folder / split / names[label]
        target.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(target / f"{row}.png"), image)
        if row % 20 == 0:  # seven validation faces are in train as well, mirrored and with another label
            other = folder / "train" / names[(label + 1) % 7]
            other.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(other / f"leak{row}.png"), image[:, ::-1])
    return folder


def test_data_of_twins_alone_are_refused(tmp_path: Path) -> None:
    faces = [np.random.default_rng(n).integers(0, 256, (48, 48), dtype=np.uint8) for n in range(4)]
    for split, change in (("train", lambda face: face), ("val", np.fliplr)):
        for number, face in enumerate(faces):
            place = tmp_path / "faces" / split / ("happy", "sad")[number % 2]
            place.mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.ascontiguousarray(change(face))).save(place / f"{number}.png")
    store = load_faces(str(tmp_path / "faces"), cache=tmp_path / "cache")
    with pytest.raises(InputError, match="at least 2 classes beside the twins of validation faces"):
        without_twins(store, Console(quiet=True))


def test_an_audit_counts_leaks_and_conflicts_and_dedupe_drops_them(tmp_path: Path) -> None:
    store = load_faces(_leaky_folder(tmp_path / "faces"), cache=tmp_path / "cache")
    found = audit(store, Console(quiet=True))["train and validation"]
    assert (found["copies"], found["twins"], found["conflicts"]) == (0, 7, 7)
    assert all(pair["mirrored"] and "leak" in pair["first"] for pair in found["pairs"])

    clean = without_twins(store, Console(quiet=True))
    before, after = store.split("train"), clean.split("train")
    assert len(before) - len(after) == 7
    assert not any("leak" in str(i) for i in after.ids)
    assert before.digest != after.digest
    assert clean.split("validation").digest == store.split("validation").digest


def test_the_command_prints_a_table_and_writes_names(tmp_path: Path, cli: Callable[..., Outcome]) -> None:
    folder = _leaky_folder(tmp_path / "faces")
    done = cli("data", "audit", str(folder), "--out", "audit.json")
    assert done.code == 0, done.err
    assert "train and validation" in done.out
    assert "leak0.png" in (tmp_path / "audit.json").read_text()
