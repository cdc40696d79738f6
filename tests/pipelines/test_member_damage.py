"""Damage in members' folders: what is found, and what is put aside."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from ensemble.bank import is_whole, save_posteriors
from pipelines.atomic import write_checked_json, write_json
from pipelines.bundle import HISTORY, POSTERIORS, SPEC, WEIGHTS
from pipelines.fingerprint import digest_file
from pipelines.member_damage import put_damaged_aside
from pipelines.member_folder import copy_folder


def finish(folder: Path, *, folds: int | None = None) -> Path:
    """What a finished member leaves."""
    for copy in () if folds is None else (copy_folder(folder, number) for number in range(folds)):
        finish(copy)
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / HISTORY, [{"epoch": 1}])
    save_posteriors(
        folder / POSTERIORS,
        classes=["a", "b"],
        ids={"validation": ["x"]},
        probs={"validation": np.full((1, 1, 2), 0.5)},
    )
    content = {"fingerprint": "f", "spec": {"folds": folds}, "history_sha256": digest_file(folder / HISTORY)}
    if folds is None:
        (folder / WEIGHTS).write_bytes(b"weights")
        content["weights_sha256"] = digest_file(folder / WEIGHTS)
    write_checked_json(folder / SPEC, content)
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "members" / "net"


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 2
    path.write_bytes(data)


def shelf(folder: Path) -> list[str]:
    place = folder.parent.parent / "replaced"
    return sorted(path.name for path in place.iterdir()) if place.is_dir() else []


def test_a_whole_member_is_left_alone(folder: Path) -> None:
    assert put_damaged_aside(finish(folder)) == []
    assert put_damaged_aside(finish(folder.with_name("folded"), folds=2)) == []
    assert put_damaged_aside(folder.with_name("absent")) == []
    assert shelf(folder) == []


@pytest.mark.parametrize("name", [SPEC, WEIGHTS, HISTORY])
@pytest.mark.parametrize("how", ["flipped", "emptied"])
def test_a_damaged_member_is_put_aside(folder: Path, name: str, how: str) -> None:
    path = finish(folder) / name
    flip(path) if how == "flipped" else path.write_bytes(b"")
    (note,) = put_damaged_aside(folder)
    assert note.startswith(f"{name} is damaged")
    assert "trained anew" in note
    assert not folder.exists()
    assert shelf(folder) == ["net-damaged"]


def test_missing_weights_are_damage(folder: Path) -> None:
    (finish(folder) / WEIGHTS).unlink()
    (note,) = put_damaged_aside(folder)
    assert "weights.safetensors is damaged or gone" in note


def test_damaged_posteriors_are_removed_and_the_network_kept(folder: Path) -> None:
    flip(finish(folder) / POSTERIORS)
    assert put_damaged_aside(folder) == ["posteriors.npz is damaged and is computed anew"]
    assert sorted(path.name for path in folder.iterdir()) == sorted([SPEC, WEIGHTS, HISTORY])
    assert shelf(folder) == []


def test_every_flipped_bit_of_posteriors_is_found(folder: Path) -> None:
    path = finish(folder) / POSTERIORS
    data = path.read_bytes()
    assert is_whole(path)
    for place in range(0, len(data), 7):
        path.write_bytes(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])
        assert not is_whole(path), place


def test_only_the_damaged_copy_of_a_folded_member_is_put_aside(folder: Path) -> None:
    finish(folder, folds=3)
    flip(copy_folder(folder, 1) / WEIGHTS)
    (note,) = put_damaged_aside(folder)
    assert "weights.safetensors is damaged" in note
    assert not (folder / SPEC).exists(), "it is put together anew"
    assert [copy_folder(folder, number).is_dir() for number in range(3)] == [True, False, True]
    assert shelf(folder) == ["net-1-damaged"]
    flip(copy_folder(folder, 2) / SPEC)  # also before the member is put together
    assert len(put_damaged_aside(folder)) == 1
    assert shelf(folder) == ["net-1-damaged", "net-2-damaged"]


def test_members_of_earlier_versions_are_checked_as_far_as_they_can_be(folder: Path) -> None:
    finish(folder)
    content = json.loads((folder / SPEC).read_text())
    write_json(folder / SPEC, {"fingerprint": "f", "spec": {}, "weights_sha256": content["weights_sha256"]})
    assert put_damaged_aside(folder) == []
    flip(folder / WEIGHTS)
    assert len(put_damaged_aside(folder)) == 1
