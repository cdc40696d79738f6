"""What every registered fusion rule must do; a new rule is tested without being named here."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backbones.errors import EnsembleError, InputError
from ensemble.rules import RULES

NAMES = RULES.names()
# A solver stops within its tolerance, which no order of the members changes; sums differ by rounding alone.
TOLERANCE = {"log_likelihood": 1e-6, "hinge": 1e-6, "stacking": 1e-5, "auto": 1e-5}
# They correct what members say, not only weigh it.
CORRECTING = {"stacking", "temperature", "auto"}


@st.composite
def votes(draw):
    """Probabilities (M, N, K), coarse enough for ties, and labels (N,)."""
    members, faces, classes = draw(st.tuples(st.integers(1, 5), st.integers(1, 8), st.integers(2, 4)))
    size = members * faces * classes
    counts = draw(st.lists(st.integers(0, 6), min_size=size, max_size=size))
    scores = np.array(counts, dtype=np.float64).reshape(members, faces, classes)
    scores[scores.sum(axis=2) == 0] = 1.0
    labels = draw(st.lists(st.integers(0, classes - 1), min_size=faces, max_size=faces))
    return scores / scores.sum(axis=2, keepdims=True), np.array(labels)


def test_every_rule_of_the_package_is_found():
    expected = {"mean", "median", "geometric_mean", "majority_vote", "va_simple", "va_expo", "log_likelihood"}
    assert expected <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=30, deadline=None)
@given(case=votes())
def test_rows_sum_to_one(name, case):
    probs, labels = case
    fused = RULES.build(name).fit(probs, labels)(probs)
    assert fused.dtype == np.float64
    assert fused.shape == probs.shape[1:]
    assert (fused >= 0).all()
    np.testing.assert_allclose(fused.sum(axis=1), 1.0, atol=1e-12)


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=30, deadline=None)
@given(case=votes(), seed=st.integers(0, 1000))
def test_order_of_members_does_not_matter(name, case, seed):
    probs, labels = case
    order = np.random.default_rng(seed).permutation(len(probs))
    fused = RULES.build(name).fit(probs, labels)(probs)
    shuffled = RULES.build(name).fit(probs[order], labels)(probs[order])
    np.testing.assert_allclose(shuffled, fused, atol=TOLERANCE.get(name, 1e-12))


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=30, deadline=None)
@given(case=votes(), copies=st.integers(1, 4))
def test_identical_members_agree_with_each_of_them(name, case, copies):
    probs, labels = case
    same = np.repeat(probs[:1], copies, axis=0)
    fused = RULES.build(name).fit(same, labels)(same)
    if name == "majority_vote":
        np.testing.assert_allclose(fused, np.eye(probs.shape[2])[probs[0].argmax(axis=1)], atol=1e-12)
    elif name not in CORRECTING:
        np.testing.assert_allclose(fused, probs[0], atol=1e-9)


@pytest.mark.parametrize("name", sorted(set(NAMES) - {"stacking", "auto"}))
@settings(max_examples=30, deadline=None)
@given(case=votes())
def test_unanimous_vote_wins(name, case):
    probs, labels = case
    fused = RULES.build(name).fit(probs, labels)(probs)
    winner = probs.argmax(axis=2)
    # A class that one member ranks equal is no vote for the other: only clear first choices count.
    clear = (np.sort(probs, axis=2)[:, :, -1] > np.sort(probs, axis=2)[:, :, -2] + 1e-9).all(axis=0)
    agreed = clear & (winner == winner[0]).all(axis=0)
    np.testing.assert_array_equal(fused.argmax(axis=1)[agreed], winner[0][agreed])


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=30, deadline=None)
@given(case=votes())
def test_state_survives_json_exactly(name, case):
    probs, labels = case
    rule = RULES.build(name).fit(probs, labels)
    copy = RULES.build(name).load_state(json.loads(json.dumps(rule.state())))
    assert copy.state() == rule.state()
    np.testing.assert_array_equal(copy(probs), rule(probs))


@pytest.mark.parametrize("name", NAMES)
def test_fit_is_deterministic_and_leaves_its_input_alone(name):
    rng = np.random.default_rng(0)
    probs, labels = rng.dirichlet(np.ones(7), size=(4, 200)), rng.integers(0, 7, 200)
    before = probs.copy()
    first, second = (RULES.build(name).fit(probs, labels) for _ in range(2))
    assert first.state() == second.state()
    np.testing.assert_array_equal(first(probs), second(probs))
    np.testing.assert_array_equal(probs, before)


@pytest.mark.parametrize("name", NAMES)
def test_no_faces_give_no_predictions(name):
    rule = RULES.build(name).fit(np.full((2, 3, 4), 0.25), np.zeros(3, dtype=int))
    assert rule(np.empty((2, 0, 4))).shape == (0, 4)


@pytest.mark.parametrize("name", NAMES)
def test_name_and_signature_are_those_of_the_registry(name):
    rule = RULES.build(name)
    assert rule.name == name
    assert RULES.describe(name).summary.endswith(".")
    for parameter, described in RULES.describe(name).parameters.items():
        assert getattr(rule, parameter) == described.default
    assert set(rule.per_member) <= set(rule.learned)


@pytest.mark.parametrize("name", [n for n in NAMES if RULES.build(n).needs_fit])
def test_learning_rule_refuses_to_guess(name):
    rule = RULES.build(name)
    assert not rule.fitted
    with pytest.raises(EnsembleError, match=f"Expected the rule `{name}` to be fitted"):
        rule(np.full((2, 1, 2), 0.5))
    rule.fit(np.full((3, 1, 2), 0.5), [0])
    if name != "auto":  # its choice may take any number
        with pytest.raises(InputError, match=r"Expected probabilities of 3 members, but got 4\."):
            rule(np.full((4, 1, 2), 0.5))
    with pytest.raises(InputError, match="Expected the state of `"):
        RULES.build(name).load_state({})
    message = "to hold a `choice`" if name == "auto" else "to be finite numbers, but got "
    with pytest.raises(InputError, match=message):
        RULES.build(name).load_state({key: [float("nan")] for key in rule.state()})


@pytest.mark.parametrize(
    ("probs", "labels", "message"),
    [
        (np.full((2, 2), 0.5), [0, 1], r"shape \(members, samples, classes\) and at least 1 member, but got \(2, 2\)"),
        (np.empty((0, 2, 2)), [0, 1], r"at least 1 member, but got \(0, 2, 2\)"),
        (np.full((1, 2, 2), np.nan), [0, 1], r"Expected finite probabilities, but got \[nan nan\] from member 0"),
        (np.full((3, 2, 2), 0.6), [0, 1], r"Expected probabilities that sum to 1, but got \[0.6 0.6\] from member 0"),
        ([[[1.5, -0.5]]], [0], r"Expected probabilities that sum to 1, but got \[ 1.5 -0.5\]"),
        (np.full((1, 2, 2), 0.5), [0], "Expected 2 labels, one per face and at least 1, but got 1"),
        (np.full((1, 2, 2), 0.5), [0, 2], "Expected whole labels from 0 to 1, but got int64 0 to 2"),
        (np.full((1, 2, 2), 0.5), [0.0, 1.0], "Expected whole labels from 0 to 1, but got float64"),
        (np.empty((1, 0, 2)), [], "at least 1, but got 0"),
    ],
)
def test_wrong_input_is_told_with_both_numbers(probs, labels, message):
    with pytest.raises(InputError, match=message):
        RULES.build("mean").fit(probs, labels)
