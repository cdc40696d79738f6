"""Ranges of a search."""

from __future__ import annotations

import pytest

from ensemble.tune_spec import SearchSpec, check_places


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "Expected `low` and `high`, or `choices`, but got neither"),
        ({"low": 1}, "but got `low`"),
        ({"low": 2, "high": 2}, "Expected `low` to be below `high`, but got 2 and 2"),
        ({"low": 0.0, "high": 1.0, "log": True}, "Expected `low` to be above 0"),
        ({"low": 0.5, "high": 2, "int": True}, "Expected whole numbers"),
        ({"low": 1, "high": 8, "log": True, "step": 1}, "no `step`"),
        ({"low": 1, "high": 8, "step": 0}, "Expected `step` to be above 0"),
        ({"low": 1, "high": 8, "step": 2}, "multiple of `step`"),
        ({"choices": []}, "at least 1"),
        ({"choices": ["a", "a"]}, "every choice once"),
        ({"choices": ["a"], "low": 1}, "`choices` and `low`"),
    ],
)
def test_a_wrong_range_is_told(given: dict[str, object], message: str) -> None:
    (problem,) = SearchSpec.model_validate(given).problems("here")
    assert problem.startswith("here: Expected")
    assert message in problem


@pytest.mark.parametrize(
    "given",
    [
        {"low": 1e-5, "high": 1e-1, "log": True},
        {"low": 0.0, "high": 0.6, "step": 0.1},
        {"low": 1, "high": 4},
        {"choices": ["adam", 1, 1.0, True, None]},
    ],
)
def test_a_right_range_has_no_problem(given: dict[str, object]) -> None:
    assert SearchSpec.model_validate(given).problems("here") == []


def test_whole_numbers_are_drawn_where_they_are_written_or_asked_for() -> None:
    assert SearchSpec(low=1, high=4).whole
    assert not SearchSpec(low=1, high=4, int=False).whole
    assert not SearchSpec(low=0, high=0.5).whole
    ends = SearchSpec(low=1.0, high=4.0, int=True).ends
    assert ends == (1, 4)
    assert all(isinstance(end, int) for end in ends)


def test_places_are_settings_apart_from_each_other() -> None:
    assert check_places(["optimizer.lr", "optimizer.lr_decay"], "search") == []
    assert "at least one place" in check_places([], "search")[0]
    assert "`head.dropout` lies in it" in check_places(["head", "head.dropout"], "search")[0]
    assert len(check_places(["name", "groups", "weights.file"], "search")) == 3
