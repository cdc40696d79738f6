"""Leaving members out and adding them, on voters whose worth is known."""

import numpy as np
import pytest

from backbones.errors import InputError
from ensemble.ablation import added_one_by_one, left_out_one_by_one, pruned, without
from ensemble.committee import Committee
from ensemble.committee_spec import resolve_committee
from ensemble.estimate import OutOfFold
from ensemble.metric import nll


def voters(faces=400):
    """`strong` and `twin` say the same, `weak` knows little, `noise` nothing."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, faces)
    posteriors = {}
    for name, strength in (("strong", 2.5), ("weak", 0.8), ("noise", 0.0)):
        logits = rng.normal(size=(faces, 3))
        logits[np.arange(faces), labels] += strength
        powers = np.exp(logits)
        posteriors[name] = powers / powers.sum(axis=1, keepdims=True)
    posteriors["twin"] = posteriors["strong"].copy()
    return posteriors, labels


GROUPS = {"strong": ["a"], "weak": ["b"], "noise": ["b"], "twin": ["a"]}
FLAT = resolve_committee({"rule": "mean"}, GROUPS)
TREE = resolve_committee(
    {"rule": "mean", "over": [{"rule": "mean", "members": ["a"]}, {"rule": "mean", "members": ["b"]}]}, GROUPS
)


def test_empty_nodes_leave_the_tree():
    smaller = without(TREE, "weak")
    assert smaller is not None
    assert smaller.members == ("strong", "twin", "noise")
    smaller = without(smaller, "noise")
    assert smaller is not None
    assert [child.name for child in smaller.over if not isinstance(child, str)] == ["a"]
    assert without(resolve_committee({"rule": "mean"}, {"x": []}), "x") is None


def test_the_mean_is_better_without_noise_and_worse_without_the_strong():
    posteriors, labels = voters()
    steps = {step.member: step for step in left_out_one_by_one(FLAT, posteriors, labels)}
    whole = nll(np.mean([posteriors[name] for name in FLAT.members], axis=0), labels)
    assert steps["noise"].nll < whole < steps["strong"].nll
    assert steps["strong"].nll == pytest.approx(steps["twin"].nll)
    expected = nll(np.mean([posteriors[n] for n in ("weak", "noise", "twin")], axis=0), labels)
    assert steps["strong"].nll == pytest.approx(expected)


def test_members_are_added_best_first():
    posteriors, labels = voters()
    steps = added_one_by_one(FLAT, posteriors, labels)
    assert [step.member for step in steps] == ["strong", "twin", "weak", "noise"]
    assert steps[0].nll == pytest.approx(nll(posteriors["strong"], labels))
    assert steps[-1].members == FLAT.members


def test_pruning_keeps_the_best_committee_of_that_size():
    posteriors, labels = voters()
    node, steps = pruned(FLAT, posteriors, labels, count=2)
    assert "noise" not in node.members
    assert len(node.members) <= 2
    assert steps[0].member == "noise"


def test_a_budget_drops_the_dear_twin():
    posteriors, labels = voters()
    costs = {"strong": 9.0, "twin": 1.0, "weak": 1.0, "noise": 1.0}
    node, _ = pruned(FLAT, posteriors, labels, budget=3.0, costs=costs)
    assert "twin" in node.members
    assert "strong" not in node.members
    with pytest.raises(InputError, match=r"Expected room for at least one member, but got 0\.5"):
        pruned(FLAT, posteriors, labels, budget=0.5, costs=costs)


def test_rules_fitted_on_other_faces_are_judged_on_all_of_these():
    posteriors, labels = voters()
    tree = resolve_committee({"rule": "log_likelihood"}, GROUPS)
    seen = OutOfFold(posteriors={name: probs[:250] for name, probs in posteriors.items()}, labels=labels[:250])
    judged, truth = {name: probs[250:] for name, probs in posteriors.items()}, labels[250:]
    smaller = without(tree, "weak")
    expected = nll(Committee.fit(smaller, seen.posteriors, seen.labels, classes=("a", "b", "c"))(judged), truth)
    steps = {step.member: step for step in left_out_one_by_one(tree, judged, truth, fit_on=seen)}
    assert steps["weak"].nll == expected
    assert added_one_by_one(tree, judged, truth, fit_on=seen)[-1].members == tree.members


def test_a_budget_never_ends_with_a_member_that_does_not_fit():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 300)
    good, weak = (np.eye(3)[labels] * share + (1 - share) / 3 for share in (0.9, 0.05))
    posteriors = {"dear": good, "cheap": weak}
    node = resolve_committee({"rule": "mean"}, dict.fromkeys(posteriors, ()))
    smaller, _ = pruned(node, posteriors, labels, budget=5.0, costs={"dear": 10.0, "cheap": 1.0})
    assert smaller.members == ("cheap",)
    with pytest.raises(InputError, match="Expected room for at least one member"):
        pruned(node, posteriors, labels, budget=float("nan"), costs={"dear": 10.0, "cheap": 1.0})
