"""Arrays filled block by block: resumed where they were left, and never read damaged."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pipelines.block_file import BlockFile, open_whole

ROWS = np.arange(50, dtype=np.float32).reshape(10, 5)


def fill(path: Path, *, stop_after: int | None = None) -> list[tuple[int, int]]:
    """Fill an array with `ROWS`, four rows at a time; returns the blocks that were written."""
    store, written = BlockFile(path, shape=ROWS.shape, dtype=np.float32, block=4), []
    for start, stop in store.missing():
        if len(written) == stop_after:
            return written
        store.write(start, ROWS[start:stop])
        written.append((start, stop))
    store.finish()
    return written


def flip(path: Path, row: int) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) - ROWS.nbytes + row * ROWS.strides[0]] ^= 1
    path.write_bytes(data)


def test_it_is_filled_in_blocks_and_read_back(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "a.npy"
    assert open_whole(path) is None
    assert fill(path) == [(0, 4), (4, 8), (8, 10)]
    found = open_whole(path)
    assert found is not None
    np.testing.assert_array_equal(found, ROWS)
    assert sorted(p.name for p in path.parent.iterdir()) == ["a.json", "a.npy"]


def test_it_goes_on_where_it_was_left(tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    assert fill(path, stop_after=1) == [(0, 4)]
    assert open_whole(path) is None
    assert fill(path) == [(4, 8), (8, 10)]
    np.testing.assert_array_equal(open_whole(path), ROWS)  # type: ignore[arg-type]


@pytest.mark.parametrize(("row", "written"), [(0, [(0, 4), (4, 8), (8, 10)]), (5, [(4, 8), (8, 10)]), (9, [(8, 10)])])
def test_damage_is_found_and_made_good_from_the_first_damaged_block(
    tmp_path: Path, row: int, written: list[tuple[int, int]]
) -> None:
    path = tmp_path / "a.npy"
    fill(path)
    flip(path, row)
    assert open_whole(path) is None
    assert fill(path) == written
    np.testing.assert_array_equal(open_whole(path), ROWS)  # type: ignore[arg-type]


def test_damage_of_an_unfinished_one_is_found_too(tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    fill(path, stop_after=2)
    flip(tmp_path / "a.part.npy", 5)
    assert fill(path) == [(4, 8), (8, 10)]


@pytest.mark.parametrize("name", ["a.npy", "a.json"])
@pytest.mark.parametrize("length", [0, 30])
def test_what_is_cut_short_is_computed_anew(tmp_path: Path, name: str, length: int) -> None:
    path = tmp_path / "a.npy"
    fill(path)
    (tmp_path / name).write_bytes((tmp_path / name).read_bytes()[:length])
    assert open_whole(path) is None
    assert fill(path) == [(0, 4), (4, 8), (8, 10)]
    np.testing.assert_array_equal(open_whole(path), ROWS)  # type: ignore[arg-type]


def test_a_disk_without_room_is_an_error_and_no_crash(tmp_path: Path) -> None:
    with pytest.raises(OSError, match=r"File too large|No space left|Invalid argument") as caught:
        BlockFile(tmp_path / "a.npy", shape=(2**40, 2**10), dtype=np.float32, block=4)
    assert caught.value.filename is None or "a.part.npy" in str(caught.value.filename)
