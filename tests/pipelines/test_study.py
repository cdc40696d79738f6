"""The trials of a search: what their values follow from, and what a killed process leaves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from backbones.errors import InputError
from ensemble.tune_spec import TuneSpec
from pipelines.study import STUDY, Study

SEARCH = {
    "optimizer.lr": {"low": 1e-5, "high": 1e-1, "log": True},
    "head.dropout": {"low": 0.0, "high": 0.6, "step": 0.2},
    "epochs": {"low": 1, "high": 4},
    "clip": {"choices": [None, 1.0]},
}


def spec(**changes: Any) -> TuneSpec:
    return TuneSpec.model_validate({"member": "a", "search": SEARCH} | changes)


def facts(accuracy: float) -> dict[str, float]:
    return {"accuracy": accuracy, "nll": 1 - accuracy, "train_accuracy": 1.0, "seconds": 0.1}


def run(folder: Path, tune: TuneSpec, count: int) -> list[dict[str, Any]]:
    """So many trials, whose accuracy falls with the learning rate; every fifth fails."""
    folder.mkdir(exist_ok=True)
    with Study(folder, tune, {"data": "d"}) as study:
        for _ in range(count):
            trial = study.next()
            study.fail("too high") if trial.number % 5 == 4 else study.finish(facts(1 - trial.values["optimizer.lr"]))
        return [dict(trial.values) for trial in study.trials()]


def test_values_lie_in_their_ranges_and_follow_from_the_seed(tmp_path: Path) -> None:
    values = run(tmp_path / "one", spec(), 4)
    for one in values:
        assert 1e-5 <= one["optimizer.lr"] <= 1e-1
        assert one["head.dropout"] in (0.0, 0.2, 0.4, pytest.approx(0.6))
        assert one["epochs"] in (1, 2, 3, 4)
        assert isinstance(one["epochs"], int)
        assert one["clip"] in (None, 1.0)
    assert len({one["optimizer.lr"] for one in values}) == 4
    turned = {place: SEARCH[place] for place in reversed(SEARCH)}
    assert run(tmp_path / "two", spec(search=turned), 4) == values
    assert run(tmp_path / "three", spec(seed=1), 4) != values


@pytest.mark.parametrize(("sampler", "count"), [("random", 3), ("tpe", 12)])
def test_a_trial_cut_off_in_the_middle_goes_on_as_if_nothing_had_happened(
    tmp_path: Path, sampler: str, count: int
) -> None:
    tune = spec(sampler=sampler)
    whole = run(tmp_path / "whole", tune, count)
    run(tmp_path / "parts", tune, count - 1)
    with Study(tmp_path / "parts", tune, {"data": "d"}) as study:  # killed after the first of four values
        study._study.ask().suggest_float("optimizer.lr", 1e-5, 1e-1, log=True)
    with Study(tmp_path / "parts", tune, {"data": "d"}) as study:
        trial = study.next()
        assert study.next() == trial
        study.finish(facts(0.5))
        assert [dict(one.values) for one in study.trials()] == whole
        assert len(study.trials()) == count


def test_the_best_trial_by_metric_and_of_equals_by_the_other_one(tmp_path: Path) -> None:
    for metric, best in (("accuracy", 2), ("nll", 3)):
        folder = tmp_path / metric
        folder.mkdir()
        with Study(folder, spec(metric=metric), {}) as study:
            assert study.best() is None
            for accuracy, nll in ((0.5, 0.9), (0.7, 0.8), (0.7, 0.5), (0.1, 0.4), (0.1, 0.4)):
                study.next()
                study.finish(facts(accuracy) | {"nll": nll})
            study.next()
            study.fail("diverged")
            found = study.best()
            assert found is not None
            assert found.number == best
            assert study.trials()[5].reason == "diverged"
            assert study.trials()[5].name == "trial-005"


def test_another_search_in_the_same_folder_is_refused(tmp_path: Path) -> None:
    with Study(tmp_path, spec(), {"data": "d", "folds": 1, "seed": 0}):
        pass
    with pytest.raises(InputError, match=r"data, folds differ\. Choose another folder with `--out`"):
        Study(tmp_path, spec(), {"data": "e", "folds": 2, "seed": 0})


def test_a_damaged_file_is_one_message(tmp_path: Path) -> None:
    (tmp_path / STUDY).write_bytes(b"no database" * 100)
    with pytest.raises(InputError, match="to hold the trials of a search, but got"):
        Study(tmp_path, spec(), {})
