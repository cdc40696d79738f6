"""The committee in YAML: every mistake with its place, and what a valid tree resolves to."""

import numpy as np
import pytest

from backbones.errors import InputError
from ensemble.committee_spec import (
    MAX_DEPTH,
    CommitteeNode,
    asks_for_groups,
    check_committee,
    group_notes,
    resolve_committee,
    settle_groups,
)
from ensemble.grouping import Evidence

MEMBERS = {
    "five": ["scratch"],
    "eight": ["scratch", "large"],
    "net_b": ["transferred", "large"],
    "vgg": ["transferred"],
}


def test_the_readmes_committee():
    tree = {
        "rule": "log_likelihood",
        "over": [{"rule": "va_expo", "members": ["scratch"]}, {"rule": "va_expo", "members": ["transferred"]}],
    }
    expo = {"low": -50.0, "high": 150.0, "step": 0.1}
    assert resolve_committee(tree, MEMBERS) == CommitteeNode(
        name="scratch+transferred",
        rule="log_likelihood",
        parameters={"l2": 0.1},
        over=(
            CommitteeNode(name="scratch", rule="va_expo", parameters=expo, over=("five", "eight")),
            CommitteeNode(name="transferred", rule="va_expo", parameters=expo, over=("net_b", "vgg")),
        ),
    )


def test_an_empty_node_covers_all_members_by_the_default_rule():
    node = resolve_committee({}, MEMBERS)
    assert (node.name, node.rule, node.over) == ("all", "log_likelihood", tuple(MEMBERS))


def test_groups_overlap_and_mix_with_members():
    tree = {
        "over": [
            {"members": ["large", "scratch"], "name": "big or scratch"},
            {"rule": "mean", "members": ["vgg", "five"], "name": "pair"},
            "vgg",
        ]
    }
    node = resolve_committee(tree, MEMBERS)
    assert [inner.over for inner in node.walk()][1:] == [("five", "eight", "net_b"), ("five", "vgg")]
    assert node.children == ("big or scratch", "pair", "vgg")
    assert node.members == ("five", "eight", "net_b", "vgg")


KNOWN = Evidence(
    traits={
        "family": {"five": "cnn", "eight": "cnn", "net_b": "light_cnn", "vgg": "light_cnn"},
        "input": {"five": "1x48", "eight": "1x32", "net_b": "1x48", "vgg": "3x224"},
    }
)
VOTES = Evidence(
    votes=dict(zip(MEMBERS, np.array([[0, 1, 2, 3], [0, 1, 2, 0], [3, 3, 3, 3], [3, 3, 3, 0]]), strict=True))
)


def test_one_node_per_family():
    expo = {"low": -50.0, "high": 150.0, "step": 1.0}
    tree = {"rule": "mean", "groups": "family", "within": {"rule": "va_expo", "step": 1.0}}
    assert resolve_committee(tree, MEMBERS, evidence=KNOWN) == CommitteeNode(
        name="family",
        rule="mean",
        parameters={},
        grouped_by={"criterion": "family", "groups": {"cnn": ["five", "eight"], "light_cnn": ["net_b", "vgg"]}},
        over=(
            CommitteeNode(name="family:cnn", rule="va_expo", parameters=expo, over=("five", "eight")),
            CommitteeNode(name="family:light_cnn", rule="va_expo", parameters=expo, over=("net_b", "vgg")),
        ),
    )


def test_a_member_alone_in_its_group_needs_no_node():
    node = resolve_committee({"groups": "input"}, MEMBERS, evidence=KNOWN)
    assert node.children == ("input:1x48", "eight", "vgg")
    assert [(n.rule, n.members) for n in node.walk()][1:] == [("log_likelihood", ("five", "net_b"))]
    assert group_notes(node) == []


@pytest.mark.parametrize(
    ("members", "note"),
    [
        (["five", "eight"], "committee: by family all members are in one group, so `va_simple` fuses them flat"),
        (["five", "vgg"], "committee: by family every member is a group of its own, so `va_simple` fuses them flat"),
    ],
)
def test_groups_that_make_no_tree_are_flat_and_a_note_says_so(members, note):
    tree = {"rule": "va_simple", "groups": "family", "within": "mean", "calibrate": ["members"]}
    node = resolve_committee(tree, {name: MEMBERS[name] for name in members}, evidence=KNOWN)
    assert [inner.rule for inner in node.walk()] == ["va_simple", "temperature", "temperature"]
    assert node.members == tuple(members)
    assert group_notes(node) == [note]


def test_names_of_groups_never_clash():
    tree = {"over": [{"groups": "family"}, {"groups": "family", "name": "again"}, {"name": "family:cnn"}]}
    names = [node.name for node in resolve_committee(tree, MEMBERS, evidence=KNOWN).walk()]
    assert len(set(names)) == len(names)
    assert {"family", "again", "family:cnn", "family:cnn#2", "family:cnn#3", "family:light_cnn#2"} <= set(names)


def test_disagreement_is_pending_until_there_are_votes():
    asked = {"groups": "disagreement", "within": {"rule": "mean"}, "count": 2, "calibrate": ["fused"]}
    tree = {"rule": "mean", "over": [{"rule": "median", **asked}, "vgg"]}
    pending = resolve_committee(tree, MEMBERS, evidence=KNOWN)
    assert not pending.settled
    assert pending.tree()["over"][0] == {"name": "disagreement", "rule": "median", **asked}
    settled = settle_groups(pending, VOTES)
    assert settled.settled
    assert [(n.name, n.rule, n.children) for n in settled.walk()] == [
        ("disagreement+vgg", "mean", ("disagreement", "vgg")),
        ("disagreement", "temperature", ("disagreement@raw",)),
        ("disagreement@raw", "median", ("disagreement:1", "disagreement:2")),
        ("disagreement:1", "mean", ("five", "eight")),
        ("disagreement:2", "mean", ("net_b", "vgg")),
    ]
    assert resolve_committee(tree, MEMBERS, evidence=VOTES) == settled


def test_a_stored_tree_keeps_its_groups_and_what_they_came_from():
    node = resolve_committee({"groups": "disagreement"}, MEMBERS, evidence=VOTES)
    assert node.grouped_by["faces"] == 4
    assert asks_for_groups({"over": ["vgg", {"groups": "disagreement"}]})
    assert not asks_for_groups(node.tree())
    assert resolve_committee(node.tree(), MEMBERS) == node


def test_automatic_names_never_clash():
    tree = {"over": [{"members": ["scratch"]}, {"rule": "mean", "members": ["scratch"]}, {"members": ["five"]}]}
    names = [node.name for node in resolve_committee(tree, MEMBERS).walk()]
    assert names == ["scratch+scratch#2+five#2", "scratch", "scratch#2", "five#2"]


def test_parameters_are_bound():
    assert resolve_committee({"l2": "1e-2"}, MEMBERS).parameters == {"l2": 0.01}


@pytest.mark.parametrize(
    ("tree", "problem"),
    [
        ({"rule": "meen"}, "committee.rule: Expected a fusion rule, but got 'meen'. Did you mean `mean`?"),
        ({"rule": 3}, "committee.rule: Expected `rule` to be text, but got 3."),
        ({"rule": None}, "committee.rule: Expected `rule` to be text, but got None."),
        (
            {"rule": "va_expo", "lo": 0},
            "committee.lo: Expected a parameter of `va_expo`, but got 'lo'. Did you mean `low`?",
        ),
        ({"l2": -1}, "committee.l2: Expected `l2` to be at least 0, but got -1."),
        ({"l2": True}, "committee.l2: Expected `l2` to be a number, but got True."),
        (
            {"rule": "va_expo", "low": 9, "high": 8},
            "committee: Expected `low` to be at most `high`, and at most 100000 steps, but got 9.0 to 8.0 by 0.1.",
        ),
        (
            {"members": ["scrach"]},
            "committee.members[0]: Expected a member or a group, but got 'scrach'. Did you mean `scratch`?",
        ),
        ({"over": ["fve"]}, "committee.over[0]: Expected a member, but got 'fve'. Did you mean `five`?"),
        (
            {"over": ["scratch"]},
            "committee.over[0]: Expected a member or a node in `over`, but got the group 'scratch'. "
            "Write `members: [scratch]`, or a node `{rule: mean, members: [scratch]}`.",
        ),
        ({"over": [3]}, "committee.over[0]: Expected `over[0]` to be a mapping, but got 3."),
        ({"members": []}, "committee.members: Expected `members` to be a list of at least 1, but got []."),
        ({"members": None}, "committee.members: Expected `members` to be a list, but got None."),
        ({"members": "five"}, "committee.members: Expected `members` to be a list, but got 'five'."),
        ({"members": [5]}, "committee.members[0]: Expected `members[0]` to be text, but got 5."),
        ({"over": []}, "committee.over: Expected `over` to be a list of at least 1, but got []."),
        ({"members": ["five", "five"]}, "committee.members: Expected each name once, but got 'five' 2 times."),
        ({"over": ["vgg"], "members": ["five"]}, "committee: Expected either `members` or `over`, but got both."),
        (
            {"name": "five"},
            "committee.name: Expected a name of its own for the node, but 'five' is the name of a member.",
        ),
        (
            {"name": "x", "over": [{"name": "x"}]},
            "committee.over[0].name: Expected a name of its own for the node, "
            "but 'x' is the name of the node `committee`.",
        ),
        ({"name": ""}, "committee.name: Expected `name` to be text of at least 1 characters, but got ''."),
        (
            {"groups": "famly"},
            "committee.groups: Expected `groups` to be one of 'family', 'input' or 'disagreement', but got 'famly'. "
            "Did you mean `family`?",
        ),
        (
            {"groups": ["scratch"]},
            "committee.groups: Expected `groups` to be one of 'family', 'input' or 'disagreement', "
            "but got ['scratch'].",
        ),
        (
            {"groups": "family", "members": ["five"]},
            "committee: Expected one of `members`, `over` and `groups`, but got `members` and `groups`.",
        ),
        (
            {"groups": "family", "within": "va_exp"},
            "committee.within: Expected a fusion rule, but got 'va_exp'. Did you mean `va_expo`?",
        ),
        (
            {"groups": "family", "within": {"rule": "va_expo", "lo": 0}},
            "committee.within.lo: Expected a parameter of `va_expo`, but got 'lo'. Did you mean `low`?",
        ),
        (
            {"groups": "family", "within": {"members": ["five"]}},
            "committee.within.members: Expected a rule, `calibrate` and parameters of the rule, but got `members`: "
            "the groups decide that.",
        ),
        ({"groups": "input", "within": 3}, "committee.within: Expected `within` to be text or a mapping, but got 3."),
        (
            {"within": "mean"},
            "committee.within: Expected `within` only beside `groups`. Write the rule of a node into the node itself.",
        ),
        (
            {"groups": "family", "count": 2},
            "committee.count: Expected `count` only beside `groups: disagreement`, "
            "the other groups have a number of their own.",
        ),
        (
            {"groups": "disagreement", "count": 5},
            "committee.count: Expected `count` to be at most 4, the number of members, but got 5.",
        ),
        ({"groups": "disagreement", "count": 1}, "committee.count: Expected `count` to be at least 2, but got 1."),
        (None, "committee: Expected `committee` to be a mapping, but got None."),
        (["five"], "committee: Expected `committee` to be a mapping, but got ['five']."),
    ],
)
def test_every_mistake_has_its_message_and_place(tree, problem):
    assert check_committee(tree, MEMBERS) == [problem]


def test_all_mistakes_are_told_at_once():
    tree = {"rule": "hinges", "over": [{"rule": "va_expo", "stp": 1}, {"members": ["five", "sx"]}, "nett_b"]}
    problems = check_committee(tree, MEMBERS, where="members.yaml: committee")
    assert [p.partition(": Expected")[0] for p in problems] == [
        "members.yaml: committee.rule",
        "members.yaml: committee.over[2]",
        "members.yaml: committee.over[0].stp",
        "members.yaml: committee.over[1].members[1]",
    ]
    with pytest.raises(InputError) as caught:
        resolve_committee(tree, MEMBERS, where="members.yaml: committee")
    assert str(caught.value).splitlines() == problems


def test_a_tree_that_contains_itself_is_too_deep():
    tree = {"rule": "mean"}
    tree["over"] = [tree]
    place = "committee" + ".over[0]" * MAX_DEPTH
    message = f"Expected a committee of at most {MAX_DEPTH} levels, but got a node below them."
    assert check_committee(tree, MEMBERS) == [f"{place}: {message}"]


def test_groups_count_as_a_level():
    tree = {"groups": "family"}
    for _ in range(MAX_DEPTH - 2):
        tree = {"rule": "mean", "over": [tree]}
    assert check_committee(tree, MEMBERS) == []
    place = "committee" + ".over[0]" * (MAX_DEPTH - 1)
    message = f"{place}: Expected a committee of at most {MAX_DEPTH} levels, but got groups below them."
    assert check_committee({"rule": "mean", "over": [tree]}, MEMBERS) == [message]


def test_committee_of_nobody():
    assert check_committee({}, {}) == ["committee: Expected at least 1 member for the committee to fuse, but got none."]


def test_name_of_both_a_member_and_a_group():
    problem = "committee: Expected different names for members and groups, but 'a' is both."
    assert check_committee({}, {"a": ["a"], "b": ["a"]}) == [problem]
    assert check_committee({}, {"a": ["a"], "b": []}) == []


BOTH = ["members", "fused"]
DEEP = {"rule": "mean", "calibrate": BOTH, "over": ["five", {"groups": "family", "calibrate": BOTH}]}
for _ in range(MAX_DEPTH - 3):
    DEEP = {"rule": "mean", "calibrate": BOTH, "over": [DEEP, "vgg"]}


@pytest.mark.parametrize(
    "tree",
    [
        {"calibrate": BOTH, "over": [{"calibrate": BOTH, "over": ["five", {"groups": "disagreement"}]}]},
        {"calibrate": BOTH, "over": [{"groups": "family", "calibrate": BOTH}]},
        {"rule": "temperature", "over": [{"groups": "disagreement", "within": {"calibrate": BOTH}}]},
        DEEP,
    ],
    ids=["pending below temperatures", "calibrated groups", "written temperature", "deepest"],
)
def test_a_tree_that_is_planned_is_never_too_deep_later(tree):
    assert check_committee(tree, MEMBERS) == []
    settled = settle_groups(resolve_committee(tree, MEMBERS, evidence=KNOWN), VOTES)
    assert settled.settled
    assert resolve_committee(settled.tree(), MEMBERS) == settled


def test_temperatures_of_themselves_end():
    tree = {"rule": "temperature"}
    tree["over"] = [tree]
    message = f"Expected a committee of at most {MAX_DEPTH} levels, but got a node below them."
    assert [problem.partition(": ")[2] for problem in check_committee(tree, MEMBERS)] == [message]
