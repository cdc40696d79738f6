"""The posterior bank: exact, reproducible, all or nothing."""

import os
import time
import zipfile

import numpy as np
import pytest

from backbones.errors import InputError
from ensemble.bank import load_posteriors, save_posteriors

CLASSES = ("happy", "sad", "neutral")


def content(seed=0):
    rng = np.random.default_rng(seed)
    return {
        "classes": CLASSES,
        "ids": {"validation": ["a", "b", "ü/4.png"], "test": ["c", "d"]},
        "probs": {
            "validation": rng.dirichlet(np.ones(3), size=(5, 3)),
            "test": rng.dirichlet(np.ones(3), size=(1, 2)),
        },
        "labels": {"validation": [0, 2, 1]},
    }


def test_round_trip_is_exact(tmp_path):
    given = content()
    save_posteriors(tmp_path / "p.npz", **given)
    loaded = load_posteriors(tmp_path / "p.npz")
    assert loaded.classes == CLASSES
    assert set(loaded.splits) == {"validation", "test"}
    validation = loaded.splits["validation"]
    np.testing.assert_array_equal(validation.probs, given["probs"]["validation"])
    assert validation.ids.tolist() == given["ids"]["validation"]
    assert validation.labels.tolist() == [0, 2, 1]
    assert loaded.splits["test"].labels is None
    assert [split.views for split in loaded.splits.values()] == [1, 5]


def test_same_content_same_bytes(tmp_path, monkeypatch):
    given = content()
    save_posteriors(tmp_path / "a.npz", **given)
    monkeypatch.setattr(time, "time", lambda: 2e9)
    given["probs"] = dict(reversed(given["probs"].items()))
    given["probs"]["test"] = np.asfortranarray(given["probs"]["test"]).astype(">f8")
    save_posteriors(tmp_path / "b.npz", **given)
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


def test_numpy_reads_it_without_pickle(tmp_path):
    save_posteriors(tmp_path / "p.npz", **content())
    with np.load(tmp_path / "p.npz", allow_pickle=False) as archive:
        assert archive["validation/probs"].shape == (5, 3, 3)
        assert archive["classes"].tolist() == list(CLASSES)


def test_failed_save_leaves_the_old_file_and_no_litter(tmp_path, monkeypatch):
    path = tmp_path / "p.npz"
    save_posteriors(path, **content())
    before = path.read_bytes()

    def fail(source, target):
        raise OSError("disk full")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="disk full"):
        save_posteriors(path, **content(seed=1))
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["p.npz"]


def test_predictions_fuse_the_views_that_are_asked_for(tmp_path):
    given = content()
    saved = save_posteriors(tmp_path / "p.npz", **given)
    probs = given["probs"]["validation"]
    np.testing.assert_allclose(saved.predictions("validation").probs, probs.mean(axis=0), atol=1e-12)
    np.testing.assert_array_equal(saved.predictions("validation", views=1).probs, probs[0])
    votes = saved.predictions("validation", views=3, mode="hard_vote")
    np.testing.assert_allclose(votes.probs.max(axis=1) * 3, np.round(votes.probs.max(axis=1) * 3), atol=1e-5)
    assert votes.labels.tolist() == [0, 2, 1]
    with pytest.raises(InputError, match="Expected 1 to 5 views of the validation split, but got 6"):
        saved.predictions("validation", views=6)
    with pytest.raises(InputError, match="Expected the train split in the bank, but it has validation, test"):
        saved.predictions("train")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"ids": {"validation": ["a", "b"], "test": ["c", "d"]}}, "validation split: Expected 3 ids, .*but got 2"),
        ({"ids": {"validation": ["a", "a", "b"], "test": ["c", "d"]}}, "Expected unique ids, but got 2 of 3"),
        ({"ids": {"validation": ["a", "b", "c"]}}, r"Expected ids and labels of the splits \['test', 'validation'\]"),
        ({"labels": {"train": [0]}}, r"but got \['test', 'train', 'validation'\]"),
        ({"labels": {"validation": [0, 1, 3]}}, "Expected whole labels from 0 to 2, but got int64 0 to 3"),
        ({"classes": ("happy", "sad")}, "Expected probabilities of 2 classes in the validation split, but got 3"),
        ({"probs": {"validation": np.ones((1, 3, 3)), "test": np.ones((1, 2, 3))}}, "that sum to 1"),
    ],
)
def test_invalid_content_is_not_saved(tmp_path, change, message):
    with pytest.raises(InputError, match=message):
        save_posteriors(tmp_path / "p.npz", **(content() | change))
    assert not list(tmp_path.iterdir())


def _truncated(data):
    return data[: len(data) // 2]


def _flipped(data):
    place = data.index(b"\x93NUMPY", data.index(b"validation/probs")) + 200
    return data[:place] + bytes([data[place] ^ 255]) + data[place + 1 :]


@pytest.mark.parametrize("harm", [_truncated, _flipped, lambda _: b"", lambda _: b"\x80\x04N."])
def test_damaged_file(tmp_path, harm):
    path = tmp_path / "p.npz"
    save_posteriors(path, **content())
    path.write_bytes(harm(path.read_bytes()))
    with pytest.raises(InputError, match=r"Expected a posterior bank at .*p\.npz, but cannot read it"):
        load_posteriors(path)


def test_missing_file(tmp_path):
    with pytest.raises(InputError, match="but there is no such file"):
        load_posteriors(tmp_path / "p.npz")


@pytest.mark.parametrize(
    ("entry", "array", "reason"),
    [
        ("format", np.array("ensemble posteriors 9"), "its format is 'ensemble posteriors 9'"),
        ("format", None, "it lacks 'format'"),
        ("classes", None, "it lacks 'classes'"),
        ("validation/ids", None, "it lacks 'validation'"),
        ("validation/probs", np.full((1, 3, 3), np.nan), "Expected finite probabilities"),
        ("validation/probs", np.array(["text"]), "could not convert"),
        ("extra/thing", np.zeros(1), "it lacks 'thing'"),
    ],
)
def test_file_with_other_content(tmp_path, entry, array, reason):
    save_posteriors(tmp_path / "p.npz", **content())
    with np.load(tmp_path / "p.npz") as archive:
        arrays = dict(archive)
    arrays = {name: value for name, value in arrays.items() if name != entry} | (
        {} if array is None else {entry: array}
    )
    np.savez(tmp_path / "q.npz", **arrays)
    with pytest.raises(InputError, match=reason):
        load_posteriors(tmp_path / "q.npz")


def test_pickled_objects_are_refused(tmp_path):
    np.savez(tmp_path / "p.npz", format=np.array([{"a": 1}], dtype=object))
    with pytest.raises(InputError, match="cannot read it: an array holds Python objects"):
        load_posteriors(tmp_path / "p.npz")


def test_entries_carry_no_clock(tmp_path):
    save_posteriors(tmp_path / "p.npz", **content())
    with zipfile.ZipFile(tmp_path / "p.npz") as archive:
        assert {entry.date_time for entry in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}


@pytest.mark.parametrize("seed", [None, 0, 7])
def test_the_seed_of_the_views_is_kept(tmp_path, seed):
    save_posteriors(tmp_path / "p.npz", **content(), views_seed=seed)
    assert load_posteriors(tmp_path / "p.npz").views_seed == seed
