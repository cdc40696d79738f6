"""Folders per class, with and without folders per split."""

from __future__ import annotations

from collections import Counter

import cv2
import numpy as np
import pytest

from backbones.errors import InputError
from pipelines.listing import UnevenFacesError
from pipelines.reader.class_folder import ClassFolder


def png(value: int, *shape: int) -> bytes:
    return cv2.imencode(".png", np.full(shape or (8, 8), value, dtype=np.uint8))[1].tobytes()


def tree(*folders: str, count: int = 20) -> dict[str, bytes]:
    return {f"{folder}/{i}.png": png(i) for folder in folders for i in range(count)}


def splits_of(listing) -> dict[str, str]:
    return dict(zip(listing.ids.tolist(), listing.splits.tolist(), strict=True))


@pytest.mark.parametrize(
    ("train", "validation", "test"),
    [
        ("train", "val", "test"),
        ("Train", "Valid", "Test"),
        ("TRAINING", "dev", "testing"),
        ("x/train", "x/dev", "x/test"),
    ],
)
def test_split_folders_are_kept(train, validation, test, write_tree):
    source = write_tree("data", tree(*(f"{s}/{c}" for s in (train, validation, test) for c in ("joy", "anger"))))
    listing = ClassFolder().scan(source)
    assert Counter(listing.splits.tolist()) == {"train": 40, "validation": 40, "test": 40}
    assert listing.classes == ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
    assert Counter(listing.labels.tolist()) == {0: 60, 3: 60}


def test_the_split_may_lie_below_the_class(write_tree):
    listing = ClassFolder().scan(write_tree("data", tree("joy/train", "joy/val", "fear/train", "fear/val")))
    assert Counter(listing.splits.tolist()) == {"train": 40, "validation": 40}
    assert set(listing.labels.tolist()) == {2, 3}


def test_without_splits_the_faces_are_divided_by_class(write_tree):
    listing = ClassFolder(validation=0.2, test=0.1).scan(write_tree("data", tree("joy", "anger", "contempt")))
    assert listing.classes == ("angry", "happy", "contempt")
    pairs = Counter(zip(listing.labels.tolist(), listing.splits.tolist(), strict=True))
    assert pairs == {(k, s): n for k in range(3) for s, n in (("train", 14), ("validation", 4), ("test", 2))}


def test_a_missing_validation_split_comes_out_of_train(write_tree):
    source = write_tree("data", tree("train/joy", "train/fear", "test/joy", "test/fear"))
    splits = splits_of(ClassFolder().scan(source))
    assert Counter(splits.values()) == {"train": 36, "validation": 4, "test": 40}
    assert all(name.startswith("test/") == (split == "test") for name, split in splits.items())


def test_archive_and_folder_are_divided_alike(write_tree):
    content = tree("joy", "fear")
    backwards = dict(reversed(content.items()))
    folder = ClassFolder().scan(write_tree("data", content))
    archive = ClassFolder().scan(write_tree("data.zip", backwards))
    assert folder.ids.tolist() != archive.ids.tolist()
    assert splits_of(folder) == splits_of(archive)


@pytest.mark.parametrize("name", ["data", "data.zip", "data.tar.gz"])
def test_groups_stay_together(name, write_tree):
    content = tree("faces/joy", "faces/fear")
    rows = [f"{path.removeprefix('faces/')},p{i % 7}\n" for i, path in enumerate(content)][:-1]
    content["faces/groups.csv"] = ("file,group\n" + "".join(rows)).encode()
    listing = ClassFolder(validation=0.2, test=0.2).scan(write_tree(name, content))
    where = {}
    for group, split in zip(listing.groups.tolist(), listing.splits.tolist(), strict=True):
        assert where.setdefault(group, split) == split
    assert set(where.values()) == {"train", "validation", "test"}
    assert "faces/fear/19.png" in where  # not in the table: a group of its own


def test_uneven_sizes_take_the_median(write_tree):
    content = {
        f"{c}/{i}.png": png(i, *shape) for c in ("joy", "fear") for i, shape in enumerate([(8, 8), (20, 30), (40, 20)])
    }
    source = write_tree("data", content)
    reader = ClassFolder()
    listing = reader.scan(source)
    assert listing.shape == (8, 8)
    with pytest.raises(UnevenFacesError) as uneven:
        list(reader.decode(source, listing))
    assert uneven.value.listing.shape == (20, 20)
    images = np.concatenate(list(reader.decode(source, uneven.value.listing)))
    np.testing.assert_array_equal(images[:3], np.arange(3)[:, None, None] * np.ones((1, 20, 20)))


def test_one_colour_image_makes_all_rgb(write_tree):
    blue_green_red = np.full((8, 8, 3), (1, 2, 3), dtype=np.uint8)
    colour = cv2.imencode(".png", blue_green_red)[1].tobytes()
    content = tree("joy", "fear", count=2) | {"fear/9.png": colour}
    source = write_tree("data", content)
    reader = ClassFolder()
    with pytest.raises(UnevenFacesError) as uneven:
        list(reader.decode(source, reader.scan(source)))
    images = np.concatenate(list(reader.decode(source, uneven.value.listing)))
    assert images.shape == (5, 8, 8, 3)
    by_id = dict(zip(uneven.value.listing.ids.tolist(), images, strict=True))
    assert by_id["fear/9.png"][0, 0].tolist() == [3, 2, 1]
    assert by_id["joy/1.png"][0, 0].tolist() == [1, 1, 1]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (tree("train/joy", "train/fear", "joy"), r"below train, validation or test folders, or none, but 'joy/0\.png'"),
        (tree("joy", "fear") | {"1.png": png(0)}, r"Expected '1\.png' in .* to lie in a folder named after its expr"),
        (tree("joy"), r"Expected at least 2 classes"),
        (tree("joy", "JOY"), r"Expected one name per class"),
        (tree("joy", "fear") | {"groups.csv": b"name,person\n"}, r"Expected the columns `file,group` in .*groups\.csv"),
        (tree("joy", "fear") | {"groups.csv": b"file,group\nx.png,a\n"}, r"none of its 1 rows is an image"),
        ({"joy/readme.txt": b"x"}, r"Expected images .* but found none"),
    ],
)
def test_bad_input_is_refused(content, message, write_tree):
    with pytest.raises(InputError, match=message):
        ClassFolder().scan(write_tree("data", content))
