"""The fitted tree: hierarchy, out-of-fold levels, JSON."""

import dataclasses
import json

import numpy as np
import pytest

from backbones.errors import EnsembleError, InputError
from ensemble.committee import Committee
from ensemble.committee_spec import resolve_committee
from ensemble.fitted_node import cross_fit
from ensemble.fold import stratified_folds
from ensemble.grouping import Evidence
from ensemble.rules import RULES

GROUPS = {"five": ["scratch"], "eight": ["scratch"], "net_b": ["transferred"], "vgg": ["transferred"]}
TREE = {
    "over": [{"rule": "va_expo", "members": ["scratch"]}, {"rule": "va_simple", "members": ["transferred"]}, "vgg"],
    "name": "whole",
}


@pytest.fixture(scope="module")
def faces():
    """Posteriors of four members of different skill, and labels."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 7, 240)
    scores = {name: skill * np.eye(7)[labels] for name, skill in zip(GROUPS, (0.5, 1.0, 1.5, 2.0), strict=True)}
    powers = {name: np.exp(score + rng.normal(size=score.shape)) for name, score in scores.items()}
    return {name: power / power.sum(axis=1, keepdims=True) for name, power in powers.items()}, labels


@pytest.fixture(scope="module")
def committee(faces):
    return Committee.fit(resolve_committee(TREE, GROUPS), *faces)


def test_by_hand():
    posteriors = {"a": [[0.9, 0.1], [0.8, 0.2]], "b": [[0.4, 0.6], [0.6, 0.4]], "c": [[0.3, 0.7], [0.5, 0.5]]}
    groups = {"a": ["one"], "b": ["two"], "c": ["two"]}
    tree = {"rule": "mean", "over": [{"rule": "mean", "members": ["two"]}, "a"]}
    committee = Committee.fit(resolve_committee(tree, groups), posteriors, [0, 1], classes=("happy", "sad"))
    # (0.4 + 0.3) / 2 = 0.35, then (0.35 + 0.9) / 2.
    np.testing.assert_allclose(committee(posteriors), [[0.625, 0.375], [0.675, 0.325]], atol=1e-15)
    np.testing.assert_allclose(committee.outputs(posteriors)["two"], [[0.35, 0.65], [0.55, 0.45]], atol=1e-15)


def test_upper_level_is_fitted_on_what_the_lower_one_says_of_unseen_faces(faces, committee):
    posteriors, labels = faces
    scratch, transferred = committee.root.node.over[:2]
    unseen = [cross_fit(node, posteriors, labels, folds=5, seed=0) for node in (scratch, transferred)]
    by_hand = RULES.build("log_likelihood").fit(np.stack([*unseen, posteriors["vgg"]]), labels)
    np.testing.assert_array_equal(committee.root.rule.weights_, by_hand.weights_)


def test_lower_level_is_refitted_on_all_faces(faces, committee):
    posteriors, labels = faces
    by_hand = RULES.build("va_expo").fit(np.stack([posteriors["five"], posteriors["eight"]]), labels)
    assert committee.root.over[0].rule.state() == by_hand.state()


def test_cross_fitted_faces_are_not_in_their_own_fit(faces):
    posteriors, labels = faces
    node = resolve_committee({"rule": "va_simple"}, GROUPS)
    output = cross_fit(node, posteriors, labels, folds=4, seed=3)
    held = stratified_folds(labels, folds=4, seed=3) == 2
    stack = np.stack(list(posteriors.values()))
    rule = RULES.build("va_simple").fit(stack[:, ~held], labels[~held])
    np.testing.assert_array_equal(output[held], rule(stack[:, held]))


def test_rules_that_learn_nothing_need_no_folds(faces):
    posteriors, labels = faces
    node = resolve_committee({"rule": "mean"}, GROUPS)
    one = {name: probs[:1] for name, probs in posteriors.items()}
    np.testing.assert_allclose(
        cross_fit(node, one, labels[:1], folds=5, seed=0), np.mean(list(one.values()), axis=0), atol=1e-12
    )


def test_json_shows_weights_by_member_and_exponents(committee):
    content = committee.to_json()
    assert content["classes"] == ["angry", "disgust", "fear", "happy", "sad", "surprise", "neutral"]
    root = content["committee"]
    assert (root["name"], root["rule"], root["parameters"]) == ("whole", "log_likelihood", {"l2": 0.1})
    assert list(root["learned"]["weights"]) == ["scratch", "transferred", "vgg"]
    scratch = root["over"][0]
    assert scratch["learned"].keys() == {"accuracies", "exponent", "weights"}
    assert scratch["learned"]["weights"].keys() == {"five", "eight"}
    assert scratch["over"] == ["five", "eight"]
    assert root["over"][2] == "vgg"


@pytest.mark.parametrize("sort_keys", [False, True])
def test_json_round_trip_is_exact(faces, committee, sort_keys):
    text = json.dumps(committee.to_json(), sort_keys=sort_keys, allow_nan=False)
    copy = Committee.from_json(json.loads(text))
    assert copy.to_json() == committee.to_json()
    assert copy.root.node == committee.root.node
    np.testing.assert_array_equal(copy(faces[0]), committee(faces[0]))


@pytest.mark.parametrize("name", RULES.names())
def test_every_rule_goes_through_json(faces, name):
    committee = Committee.fit(resolve_committee({"rule": name}, GROUPS), *faces)
    copy = Committee.from_json(json.loads(json.dumps(committee.to_json())))
    np.testing.assert_array_equal(copy(faces[0]), committee(faces[0]))


def test_order_and_extra_members_do_not_matter(faces, committee):
    posteriors = dict(reversed(faces[0].items())) | {"stranger": np.zeros((3, 2))}
    np.testing.assert_array_equal(committee(posteriors), committee(faces[0]))
    assert committee.members == ("five", "eight", "net_b", "vgg")


def test_outputs_hold_every_node(faces, committee):
    outputs = committee.outputs(faces[0])
    assert list(outputs) == ["whole", "scratch", "transferred"]
    np.testing.assert_array_equal(outputs["whole"], committee(faces[0]))


def test_wrong_posteriors_are_refused(faces, committee):
    posteriors, labels = faces
    without = {name: probs for name, probs in posteriors.items() if name != "net_b"} | {"netb": posteriors["net_b"]}
    with pytest.raises(InputError, match=r"Expected probabilities of 4 members, but 1 are missing: net_b\. .*`netb`"):
        committee(without)
    with pytest.raises(InputError, match=r"of shape \(240, 7\) from every member, but got \(239, 7\) from 'vgg'"):
        committee(posteriors | {"vgg": posteriors["vgg"][1:]})
    with pytest.raises(InputError, match=r"of shape \(240, 2\) from every member, but got \(240, 7\) from 'five'"):
        Committee.fit(committee.root.node, posteriors, labels, classes=("happy", "sad"))
    with pytest.raises(InputError, match=r"finite probabilities, but got .* from 'vgg'"):
        committee(posteriors | {"vgg": posteriors["vgg"] * np.nan})
    with pytest.raises(InputError, match="Expected 240 labels"):
        Committee.fit(committee.root.node, posteriors, labels[1:])


def damage(content, path, value=None):
    content = json.loads(json.dumps(content))
    holder = content
    for part in path[:-1]:
        holder = holder[part]
    if value is None:
        del holder[path[-1]]
    else:
        holder[path[-1]] = value
    return content


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (["format"], "ensemble committee 99", "Expected a committee of format 'ensemble committee 1', but got 'ens"),
        (["format"], None, "but got None"),
        (["classes"], None, "its JSON is damaged: KeyError"),
        (["committee", "over"], None, "its JSON is damaged: KeyError"),
        (["committee", "rule"], "meen", "Did you mean `mean`"),
        (["committee", "learned", "weights", "vgg"], None, "its JSON is damaged: KeyError\\('vgg'\\)"),
        (["committee", "learned", "weights", "vgg"], "much", "to be finite numbers"),
        (["committee", "over", 0, "learned", "exponent"], None, "Expected the state of `va_expo` to hold `exponent`"),
        (
            ["committee", "over", 0, "parameters", "step"],
            -1,
            "committee.over\\[0\\].step: Expected `step` to be above 0",
        ),
    ],
)
def test_damaged_json_is_refused(committee, path, value, message):
    with pytest.raises(InputError, match=message):
        Committee.from_json(damage(committee.to_json(), path, value))


def test_a_temperature_goes_through_json_and_corrects_the_confidence_alone(faces, committee):
    warm = dataclasses.replace(committee, temperature=1.5)
    copy = Committee.from_json(json.loads(json.dumps(warm.to_json())))
    assert copy.temperature == 1.5
    fused = copy(faces[0])
    np.testing.assert_array_equal(fused, committee(faces[0]))
    expected = fused ** (1 / 1.5) / (fused ** (1 / 1.5)).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(copy.calibrated(fused), expected, atol=1e-12)


def test_a_committee_without_a_temperature_is_left_as_it_is(faces, committee):
    assert "temperature" not in committee.to_json()
    assert Committee.from_json(committee.to_json()).temperature is None
    fused = committee(faces[0])
    np.testing.assert_array_equal(committee.calibrated(fused), fused)


@pytest.mark.parametrize("value", [0.0, -1.0, float("nan"), float("inf"), "warm"])
def test_a_wrong_temperature_is_refused(committee, value):
    with pytest.raises(InputError, match="Expected `temperature` of the committee to be a number from"):
        Committee.from_json(committee.to_json() | {"temperature": value})


def test_groups_and_what_they_came_from_go_through_json(faces):
    family = {"five": "cnn", "eight": "cnn", "net_b": "light_cnn", "vgg": "vgg16"}
    tree = {"groups": "family", "within": "va_simple"}
    node = resolve_committee(tree, GROUPS, evidence=Evidence(traits={"family": family}))
    content = json.loads(json.dumps(Committee.fit(node, *faces).to_json()))
    groups = {"cnn": ["five", "eight"], "light_cnn": ["net_b"], "vgg16": ["vgg"]}
    assert content["committee"]["grouped_by"] == {"criterion": "family", "groups": groups}
    assert [c if isinstance(c, str) else c["name"] for c in content["committee"]["over"]] == [
        "family:cnn", "net_b", "vgg"
    ]  # fmt: skip
    assert Committee.from_json(content).root.node == node


def test_groups_that_are_not_known_cannot_be_fitted(faces):
    node = resolve_committee({"over": [{"groups": "disagreement", "rule": "mean"}, "vgg"]}, GROUPS)
    with pytest.raises(EnsembleError, match="Expected the groups of `disagreement` to be known"):
        Committee.fit(node, *faces)
