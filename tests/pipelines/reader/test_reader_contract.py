"""What every reader keeps, whatever its layout."""

from __future__ import annotations

import numpy as np
import pytest

from backbones.errors import InputError
from ensemble.faces import SPLITS
from pipelines.readers import READERS, choose_reader

LAYOUTS = ("fer.csv", "fer.csv.gz", "fer.zip", "fer.tgz", "csv_in.zip", "csv_in.tar.gz", "csv_in_folder", "folder")


@pytest.fixture(params=[*LAYOUTS, "classes", "synthetic"])
def source(request, write_tree, files, csv_text):
    name = request.param
    if name == "synthetic":
        return name
    if name == "classes":
        return write_tree(name, {path.partition("/")[2].replace("_", "-"): data for path, data in files.items()})
    tree = {"fer2013/fer2013.csv": csv_text.encode()} if "csv" in name else files
    return write_tree(name, tree)


def build(source):
    name = choose_reader(source)
    return READERS.build(name, **({"count": 140} if name == "synthetic" else {}))


def test_listing_and_blocks_agree(source):
    reader = build(source)
    listing = reader.scan(source)
    blocks = list(reader.decode(source, listing))
    images = np.concatenate(blocks)

    assert images.dtype == np.uint8
    assert images.shape == (len(listing), *listing.shape)
    assert len(listing.labels) == len(listing.splits) == len(listing)
    assert len(set(listing.ids.tolist())) == len(listing)
    assert set(listing.splits.tolist()) <= set(SPLITS)
    assert listing.labels.dtype == np.int64
    assert 0 <= listing.labels.min() <= listing.labels.max() < len(listing.classes)


def test_scanning_twice_gives_the_same(source):
    first, second = build(source).scan(source), build(source).scan(source)
    assert first.ids.tolist() == second.ids.tolist()
    assert first.splits.tolist() == second.splits.tolist()
    assert build(source).fingerprint(source) == build(source).fingerprint(source)


def test_fingerprint_follows_the_content(source):
    if source == "synthetic":
        one, two = (READERS.build("synthetic", count=100, seed=seed).fingerprint(source) for seed in (0, 1))
    else:
        one = build(source).fingerprint(source)
        file = source if source.is_file() else next(path for path in source.rglob("*") if path.is_file())
        file.write_bytes(file.read_bytes() + b"\n")
        two = READERS.build(choose_reader(source)).fingerprint(source) if source.is_dir() else None
        two = two or READERS.build("fer_csv").fingerprint(source)
    assert len(one) == 64
    assert one != two


@pytest.mark.parametrize("name", READERS.names())
def test_every_reader_describes_itself(name, tmp_path):
    component = READERS.describe(name)
    assert component.summary.endswith(".")
    assert not READERS.get(name).claims(tmp_path)
    assert not READERS.get(name).claims(tmp_path / "absent.csv")


@pytest.mark.parametrize(
    ("layout", "reader"),
    [("fer.csv", "fer_csv"), ("csv_in.zip", "fer_csv"), ("fer.zip", "fer_folder"), ("folder", "fer_folder")],
)
def test_layouts_find_their_reader(layout, reader, write_tree, files, csv_text):
    tree = {"fer2013.csv": csv_text.encode()} if "csv" in layout else files
    assert choose_reader(write_tree(layout, tree)) == reader


def test_a_missing_source_is_named(tmp_path):
    with pytest.raises(InputError, match=r"Expected `source` to be .*, but found no such file: .*absent"):
        choose_reader(tmp_path / "absent.zip")


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_an_empty_source_is_refused(kind, tmp_path):
    source = tmp_path / "empty.csv"
    _ = source.touch() if kind == "file" else source.mkdir()
    with pytest.raises(InputError, match="but it is empty"):
        choose_reader(source)


@pytest.mark.parametrize(
    ("name", "tree"),
    [
        ("notes", {"notes.txt": b"hello"}),
        ("other.csv", {"x": b"name,age\nada,36\n"}),
        ("pets", {"dogs/1.png": b"", "cats/2.png": b""}),
        ("flat.zip", {"1.png": b""}),
    ],
)
def test_an_unknown_layout_names_the_known_ones(name, tree, write_tree):
    with pytest.raises(InputError, match=r"recognise no layout\. Understood are a FER csv .*one folder per class"):
        choose_reader(write_tree(name, tree))


def test_a_damaged_archive_is_named(tmp_path, write_tree, files):
    whole = write_tree("fer.zip", files).read_bytes()
    (tmp_path / "cut.zip").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match=r"Expected .*cut\.zip to be a readable, unencrypted archive"):
        choose_reader(tmp_path / "cut.zip")


@pytest.mark.parametrize("name", ["/etc/sad/1.png", "../sad/1.png", "sad/../../1.png", "C:\\sad\\1.png"])
def test_names_outside_the_archive_are_refused(name, write_tree, files):
    with pytest.raises(InputError, match="points outside it"):
        choose_reader(write_tree("evil.zip", {**files, name: b"x"}))
