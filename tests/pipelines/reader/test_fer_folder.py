"""FER2013 as image folders."""

from __future__ import annotations

import numpy as np
import pytest

from backbones.errors import InputError
from pipelines.reader.fer_folder import FerFolder


def read(source, **options):
    reader = FerFolder(**options)
    listing = reader.scan(source)
    return listing, np.concatenate(list(reader.decode(source, listing)))


@pytest.mark.parametrize("name", ["fer", "fer.zip", "fer.tar.gz"])
@pytest.mark.parametrize("above", ["", "archive/fer2013/"])
def test_prefix_decides_the_split(name, above, write_tree, files, images):
    extra = {"__MACOSX/train/._x.png": b"", "train/sad/.hidden.png": b"", "README.md": b"", "train/sad/Thumbs.db": b""}
    source = write_tree(name, {above + path: data for path, data in (files | extra).items()})
    listing, pixels = read(source)

    assert sorted(listing.ids.tolist()) == sorted(files)
    row = {name: i for i, name in enumerate(listing.ids.tolist())}
    for i, path in enumerate(files):
        np.testing.assert_array_equal(pixels[row[path]], images[i])
        assert listing.labels[row[path]] == i % 7
    expected = {"Training": "train", "PublicTest": "validation", "PrivateTest": "test"}
    prefixes = [name.rpartition("/")[2].partition("_")[0] for name in row]
    assert listing.splits.tolist() == [expected[prefix] for prefix in prefixes]


def test_the_third_split_may_be_absent(write_tree, files):
    listing, _ = read(write_tree("fer", {path: data for path, data in files.items() if "PrivateTest" not in path}))
    assert set(listing.splits.tolist()) == {"train", "validation"}


def test_size_resizes(write_tree, files):
    listing, pixels = read(write_tree("fer", files), size=32)
    assert listing.shape == (32, 32)
    assert pixels.shape == (24, 32, 32)


def test_a_foreign_name_is_refused(write_tree, files):
    source = write_tree("fer", {**files, "train/sad/holiday.png": files["train/angry/Training_1000.png"]})
    with pytest.raises(InputError, match=r"begin with Training_, PublicTest_, PrivateTest_, but got 'train/sad/holi"):
        read(source)


def test_an_image_without_a_class_folder_is_refused(write_tree, files):
    source = write_tree("fer", {**files, "train/Training_5.png": files["train/angry/Training_1000.png"]})
    with pytest.raises(InputError, match=r"Expected 'train/Training_5\.png' in .* to lie in a folder named after"):
        read(source)


@pytest.mark.parametrize("place", ["val/sad/Training_5.png", "train/sad/PublicTest_5.png", "sad/test/Training_5.png"])
def test_names_that_contradict_the_folders_are_refused(write_tree, files, place):
    source = write_tree("fer", {**files, place: files["train/angry/Training_1000.png"]})
    with pytest.raises(InputError, match=r"lies in a \w+ folder. Say `reader: class_folder` to go by the folders"):
        read(source)


def test_a_corrupt_image_is_named(write_tree, files):
    source = write_tree("fer.zip", {**files, "train/sad/Training_5.png": b"no image"})
    with pytest.raises(InputError, match=r"Expected .*fer\.zip: train/sad/Training_5\.png to be a readable image"):
        read(source)
