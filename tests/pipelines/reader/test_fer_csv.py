"""The FER csv and its variants."""

from __future__ import annotations

import re

import numpy as np
import pytest

from backbones.errors import InputError
from pipelines.reader.fer_csv import FerCsv


def read(source, **options):
    reader = FerCsv(**options)
    listing = reader.scan(source)
    return listing, np.concatenate(list(reader.decode(source, listing)))


def kaggle(text: str) -> str:
    lines = [line.split(",") for line in text.splitlines()]
    rows = ["emotion, Usage, pixels", *(f"{emotion},{usage},{pixels}" for emotion, pixels, usage in lines[1:])]
    return "\n".join(rows) + "\n"


def quoted(text: str) -> str:
    return re.sub(r",([\d ]+),", r',"\1",', text)


@pytest.mark.parametrize(
    "variant",
    [
        str,
        kaggle,
        quoted,
        lambda text: text.replace("\n", "\r\n"),
        lambda text: text.rstrip("\n"),
        lambda text: "\ufeff" + text,
        lambda text: text + "\n\n",
        lambda text: text.replace(" ", "  "),
        lambda text: re.sub(r",(\d+) ", r", \1 ", text),
    ],
    ids=["classic", "kaggle", "quoted", "crlf", "no_final_newline", "bom", "blank_lines", "two_spaces", "outer_space"],
)
def test_variants_read_alike(variant, tmp_path, csv_text, images):
    source = tmp_path / "fer.csv"
    source.write_bytes(variant(csv_text).encode())
    listing, pixels = read(source)

    np.testing.assert_array_equal(pixels, images)
    assert listing.labels.tolist() == [i % 7 for i in range(24)]
    assert listing.splits.tolist() == ["train"] * 14 + ["validation"] * 7 + ["test"] * 3
    assert listing.ids[[0, 14, 23]].tolist() == ["Training_0", "PublicTest_14", "PrivateTest_23"]


def test_without_usage_the_faces_are_divided(tmp_path, csv_text):
    source = tmp_path / "fer.csv"
    source.write_text(re.sub(r",[A-Za-z]+\n", "\n", csv_text))
    listing, _ = read(source, validation=0.25, test=0.25)
    assert {split: listing.splits.tolist().count(split) for split in ("train", "validation", "test")} == {
        "train": 12,
        "validation": 6,
        "test": 6,
    }
    other, _ = read(source, validation=0.25, test=0.25, seed=1)
    assert listing.splits.tolist() != other.splits.tolist()


def test_other_sizes_need_the_option(tmp_path):
    source = tmp_path / "fer.csv"
    source.write_text("emotion,pixels,Usage\n0,1 2 3 4,Training\nhappy,5 6 7 255,PublicTest\n")
    _, pixels = read(source, size=2)
    assert pixels.tolist() == [[[1, 2], [3, 4]], [[5, 6], [7, 255]]]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("0,1 2 3,Training", r"Expected 4 pixels \(2 by 2\) in .*fer\.csv, data row 1, but got 3"),
        ("0,1 2 3 4 5,Training", r"data row 1, but got 5"),
        ("0,1 2 3 256,Training", r"Expected pixels in 0\.\.255 in .*data row 1, but got '256'"),
        ("0,1 2 3 1000,Training", r"data row 1, but got '1000'"),
        ("0,1 2 3 -4,Training", r"data row 1, but got '-4'"),
        ("0,1 2 3 4.0,Training", r"data row 1, but got '4\.0'"),
        ("0,1 2 x 4,Training", r"data row 1, but got 'x'"),
        ("7,1 2 3 4,Training", r"Expected `emotion` in 0\.\.6 in .*data row 1, but got '7'"),
        (",1 2 3 4,Training", r"data row 1, but got ''"),
        ("0,1 2 3 4,Testing", r"Expected `Usage` to be Training.*data row 1, but got 'Testing'"),
        ("0,1 2 3 4,", r"Expected `Usage` to be Training.*data row 1, but got ''"),
        ("0,1 2 3 4", r"Expected 3 fields in .*data row 1, but got 2"),
    ],
)
def test_a_wrong_row_is_named(row, message, tmp_path):
    source = tmp_path / "fer.csv"
    source.write_text(f"emotion,pixels,Usage\n1,1 2 3 4,Training\n{row}\n2,1 2 3 4,Training\n")
    with pytest.raises(InputError, match=message):
        read(source, size=2)


def test_a_table_without_rows_is_refused(tmp_path):
    source = tmp_path / "fer.csv"
    source.write_text("emotion,pixels,Usage\n")
    with pytest.raises(InputError, match="has no data rows"):
        read(source)


def test_a_cut_gzip_is_refused(tmp_path, write_tree, csv_text):
    source = write_tree("fer.csv.gz", {"": csv_text.encode()})
    source.write_bytes(source.read_bytes()[:-2000])
    with pytest.raises(InputError, match=r"Expected .*fer\.csv\.gz to be a whole gzip file"):
        read(source)
