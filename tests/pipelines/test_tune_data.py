"""Which faces the trials of a search see."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from backbones.errors import InputError
from ensemble.tune_spec import TuneSpec
from pipelines.face_loading import load_faces
from pipelines.face_store import FaceStore
from pipelines.tune_data import TuneData, drawn


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> FaceStore:
    return load_faces("synthetic", options={"count": 300}, cache=tmp_path_factory.mktemp("cache"))


def opened(store: FaceStore, **changes: Any) -> TuneData:
    return TuneData.open(store, TuneSpec.model_validate({"search": {"epochs": {"low": 1, "high": 2}}} | changes))


def test_one_fold_is_the_validation_split(store: FaceStore) -> None:
    data = opened(store)
    part = data.part(0)
    assert data.folds == 1
    assert part.train.digest == store.digests["train"]
    assert part.validation.digest == store.digests["validation"]


def test_folds_divide_the_training_split_and_leave_validation_closed(
    store: FaceStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[str] = []
    original = FaceStore.split
    monkeypatch.setattr(FaceStore, "split", lambda self, name: looked.append(name) or original(self, name))
    data = opened(store, folds=3)
    held = [data.part(number).validation.ids for number in range(data.folds)]
    assert looked == ["train"]
    assert sorted(np.concatenate(held)) == sorted(data.train.ids)
    people = dict(zip(data.train.ids, store.groups("train"), strict=True))  # type: ignore[arg-type]
    for number, ids in enumerate(held):
        part = data.part(number)
        assert not set(part.train.ids) & set(ids)
        assert not {people[i] for i in part.train.ids} & {people[i] for i in ids}
        assert np.ptp(part.validation.class_counts) <= 4


def test_a_draw_of_faces_keeps_the_shares_of_classes(store: FaceStore) -> None:
    data = opened(store, faces=70)
    assert len(data.train) == 70
    assert np.ptp(data.train.class_counts) <= 2
    assert data.digest == opened(store, faces=70).digest
    assert data.digest != opened(store, faces=70, seed=1).digest
    assert opened(store, faces=100_000).digest == opened(store).digest


def test_drawn_rows() -> None:
    labels = np.repeat([0, 1, 2], [600, 300, 100])
    rows = drawn(labels, 100, seed=3)
    assert np.bincount(labels[rows]).tolist() == [60, 30, 10]
    assert drawn(labels, 5000, seed=3).tolist() == list(range(1000))


def test_more_folds_than_faces_are_refused(store: FaceStore) -> None:
    with pytest.raises(InputError, match=r"`tune\.folds`"):
        opened(store, faces=20, folds=21)
