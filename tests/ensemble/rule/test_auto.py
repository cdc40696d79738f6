"""The rule that chooses: simpler where it makes no difference, better where it does."""

import numpy as np
import pytest

from backbones.errors import InputError
from ensemble.rule.auto import SIMPLEST_FIRST, Auto, choose
from ensemble.rules import RULES


def voters(strengths, faces=1500, seed=0):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 4, faces)
    logits = rng.normal(size=(len(strengths), faces, 4))
    logits[:, np.arange(faces), labels] += np.array(strengths)[:, None]
    powers = np.exp(logits)
    return powers / powers.sum(axis=2, keepdims=True), labels


def test_every_rule_can_be_chosen_but_the_vote_the_temperature_and_itself():
    assert set(RULES.names()) - set(SIMPLEST_FIRST) == {"auto", "majority_vote", "temperature"}


def test_equal_members_are_not_weighted():
    probs, labels = voters([1.0, 1.0, 1.0])
    rule = Auto(candidates=["mean", "va_simple", "log_likelihood"]).fit(probs, labels)
    assert rule.choice_ == "mean"


def test_useless_members_are_weighted_away():
    probs, labels = voters([2.5, 0.0, 0.0, 0.0, 0.0])
    rule = Auto(candidates=["mean", "median", "log_likelihood"]).fit(probs, labels)
    assert rule.choice_ == "log_likelihood"
    assert rule.state()["nested_nll"]["log_likelihood"] < rule.state()["nested_nll"]["mean"]


def test_one_standard_error_by_hand():
    # Differences to the best: mean 0.05, deviation 0.1, four faces: a standard error of 0.05.
    best = np.zeros(4)
    near = np.array([0.15, 0.15, -0.05, -0.05])
    assert near.std(ddof=1) / 2 == pytest.approx(0.0577, abs=1e-3)
    assert choose({"near": near, "best": best}) == "near"
    assert choose({"far": near + 0.02, "best": best}) == "best"


def test_unknown_candidates_are_refused():
    with pytest.raises(InputError, match=r"but got 'meen'. Did you mean .mean."):
        Auto(candidates=["meen"])
