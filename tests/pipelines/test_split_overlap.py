"""Splits that hold the same pictures are refused, few that they share are not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from backbones.errors import InputError
from pipelines.face_loading import load_faces
from pipelines.split_overlap import check_overlap


def write(folder: Path, **splits: np.ndarray) -> list[str]:
    for name, images in splits.items():
        np.save(folder / f"{name}.images.npy", images)
    return list(splits)


def drawn(count: int, seed: int, shape: tuple[int, ...] = (9, 7)) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, *shape), dtype=np.uint8)


@pytest.mark.parametrize("shape", [(9, 7), (48, 48), (5, 5, 3)])
@pytest.mark.parametrize("same", [0, 9, 10, 20])
def test_half_of_a_split_is_too_much(tmp_path: Path, shape: tuple[int, ...], same: int) -> None:
    train = drawn(40, 1, shape)
    validation = np.concatenate([train[3 : 3 + same], drawn(20 - same, 2, shape)])
    names = write(tmp_path, train=train, validation=validation[::-1], test=drawn(40, 3, shape))
    if same < 10:
        check_overlap(tmp_path, names, source="here")
        return
    with pytest.raises(InputError, match=rf"validation split of here than in its train split, but {same} of its 20"):
        check_overlap(tmp_path, names, source="here")


def test_every_pair_of_splits_is_looked_at(tmp_path: Path) -> None:
    test = drawn(12, 1)
    names = write(tmp_path, train=np.concatenate([drawn(30, 2), test]), validation=drawn(10, 3), test=test)
    with pytest.raises(InputError, match="in the test split of here than in its train split, but 12 of its 12"):
        check_overlap(tmp_path, names, source="here")


def test_pictures_of_one_grey_level_tell_nothing(tmp_path: Path) -> None:
    names = write(tmp_path, train=np.zeros((20, 9, 7), np.uint8), validation=np.zeros((10, 9, 7), np.uint8))
    check_overlap(tmp_path, names, source="here")


def test_a_folder_with_its_training_faces_as_validation_is_refused(tmp_path: Path) -> None:
    for split in ("train", "val"):
        for number, label in enumerate(("happy", "sad") * 5):
            place = tmp_path / "faces" / split / label
            place.mkdir(parents=True, exist_ok=True)
            Image.fromarray(drawn(1, number, (48, 48))[0]).save(place / f"{number}.png")
    with pytest.raises(InputError, match="10 of its 10 pictures are there too, pixel by pixel"):
        load_faces(str(tmp_path / "faces"), cache=tmp_path / "cache")
    assert not list((tmp_path / "cache").rglob("*.images.npy"))
