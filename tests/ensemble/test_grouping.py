"""Groups of members: by family and input as written, by disagreement against scipy's clustering and the formula."""

import itertools

import numpy as np
import pytest
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import squareform

from ensemble.grouping import Evidence, by_disagreement, family_of, input_of, traits_of
from ensemble.spec import ComponentSpec, InputSpec, MemberSpec


def votes_of_two_schools(seed=0, faces=997):
    """Predicted classes of members that copy one of two teachers, more or less closely."""
    rng = np.random.default_rng(seed)
    teachers = rng.integers(0, 7, (2, faces))
    copies = {}
    for number, name in enumerate(rng.permutation(list("abcdefg")).tolist()):
        lapses = rng.random(faces) < rng.uniform(0.1, 0.5)
        copies[name] = np.where(lapses, rng.integers(0, 7, faces), teachers[number % 2])
    return copies


def partition(grouping):
    return {frozenset(names) for names in grouping.groups.values()}


def distances_of(votes, names):
    """Share of faces that two members label differently, one pair after the other."""
    matrix = np.zeros((len(names), len(names)))
    for (i, a), (j, b) in itertools.combinations(enumerate(names), 2):
        matrix[i, j] = matrix[j, i] = sum(x != y for x, y in zip(votes[a], votes[b], strict=True)) / len(votes[a])
    return matrix


def silhouette(matrix, clusters):
    """Rousseeuw, 1987: the mean of (b - a) / max(a, b), 0 for a member on its own."""
    values = []
    for i, own in enumerate(clusters):
        mates = [matrix[i, j] for j, other in enumerate(clusters) if other == own and j != i]
        rest = {other for other in clusters if other != own}
        nearest = min(np.mean([matrix[i, j] for j, c in enumerate(clusters) if c == other]) for other in rest)
        a = np.mean(mates) if mates else 0.0
        values.append((nearest - a) / max(a, nearest) if mates else 0.0)
    return float(np.mean(values))


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("count", [2, 3, 5, 6])
def test_clusters_are_those_of_scipys_average_linkage(seed, count):
    votes = votes_of_two_schools(seed)
    names = list(votes)
    tree = linkage(squareform(distances_of(votes, names)), method="average")
    clusters = fcluster(tree, count, criterion="maxclust")
    expected = {frozenset(n for n, c in zip(names, clusters, strict=True) if c == label) for label in set(clusters)}
    assert partition(by_disagreement(votes, count)) == expected


@pytest.mark.parametrize("seed", range(4))
def test_the_number_of_groups_is_that_of_the_best_silhouette(seed):
    votes = votes_of_two_schools(seed)
    names = list(votes)
    matrix = distances_of(votes, names)
    tree = linkage(squareform(matrix), method="average")
    by_hand = {k: silhouette(matrix, fcluster(tree, k, criterion="maxclust").tolist()) for k in range(2, len(names))}
    found = by_disagreement(votes)
    assert found.reasons["silhouettes"] == pytest.approx({str(k): value for k, value in by_hand.items()}, abs=1e-9)
    assert len(found.groups) == max(by_hand, key=by_hand.get)


def test_two_schools_are_found():
    votes = votes_of_two_schools(seed=1)
    assert partition(by_disagreement(votes)) == {frozenset(list(votes)[::2]), frozenset(list(votes)[1::2])}


@pytest.mark.parametrize("faces", [4, 12, 997])
@pytest.mark.parametrize("count", [None, 2, 3, 4])
def test_the_order_of_members_changes_neither_groups_nor_numbers(faces, count):
    votes = votes_of_two_schools(seed=2, faces=faces)  # four faces make many equal distances
    first = by_disagreement(votes, count)
    for order in ([*votes][::-1], [*votes][3:] + [*votes][:3], sorted(votes)):
        again = by_disagreement({name: votes[name] for name in order}, count)
        assert {k: set(v) for k, v in again.groups.items()} == {k: set(v) for k, v in first.groups.items()}
        assert again.reasons == first.reasons
        assert all(list(names) == [n for n in order if n in names] for names in again.groups.values())


@pytest.mark.parametrize(
    "votes",
    [
        {"a": [0, 1, 2], "b": [0, 1, 2], "c": [0, 1, 2], "d": [0, 1, 2]},  # of one mind
        {"a": [0, 0], "b": [1, 1], "c": [2, 2], "d": [3, 3]},  # all equally far apart
        {"a": [0, 1], "b": [1, 0]},
        {"a": [0, 1]},
    ],
)
def test_where_nothing_tells_members_apart_they_are_one_group(votes):
    assert partition(by_disagreement({n: np.array(v) for n, v in votes.items()})) == {frozenset(votes)}


def test_a_count_is_kept_as_far_as_there_are_members():
    votes = votes_of_two_schools()
    assert len(by_disagreement(votes, 4).groups) == 4
    assert by_disagreement({"b": votes["b"], "a": votes["a"]}, 5).groups == {"2": ("b",), "1": ("a",)}


@pytest.mark.parametrize(
    ("model", "family"),
    [
        ("resnet10t", "resnet"),
        ("resnetv2_50x1_bit.goog_in21k", "resnet"),
        ("efficientnet_b0", "efficientnet"),
        ("tf_efficientnetv2_s.in1k", "efficientnet"),
        ("vit_tiny_patch16_224", "vit"),
        ("convnextv2_atto", "convnext"),
        ("levit_128", "levit"),
        ("legacy_seresnet18", "seresnet"),
        ("hf-hub:timm/mobilenetv4_conv_small", "mobilenet"),
    ],
)
def test_the_family_of_a_timm_model_is_the_word_its_name_begins_with(model, family):
    assert family_of(ComponentSpec(kind="timm", model=model)) == family


def test_other_backbones_are_families_by_kind():
    assert family_of(ComponentSpec(kind="vgg16", depth=3)) == "vgg16"


def member(name, **fields):
    return MemberSpec(name=name, backbone={"kind": "scratch_cnn"}, **fields)


def test_inputs_are_told_apart_by_size_channels_and_normaliser_only():
    intensity = {"kind": "intensity", "window": 9}
    inputs = [
        InputSpec(size=48), InputSpec(size=48, crop=56, interpolation="nearest"), InputSpec(size=32),
        InputSpec(size=48, channels=3), InputSpec(size=48, normalize="equalize"), InputSpec(),
        InputSpec(normalize=intensity), InputSpec(normalize="intensity"),
    ]  # fmt: skip
    found = [input_of(spec) for spec in inputs]
    assert found[0] == found[1]
    assert len(set(found)) == len(inputs) - 1


def test_a_member_without_a_spec_is_alone():
    specs = {"a": member("a"), "theirs": None, "b": member("b"), "others": None}
    assert traits_of(specs)["family"] == {
        "a": "scratch_cnn", "theirs": "outside:theirs", "b": "scratch_cnn", "others": "outside:others"
    }  # fmt: skip
    groups = Evidence(traits=traits_of(specs)).group("input", list(specs), None).groups
    assert list(groups.values()) == [("a", "b"), ("theirs",), ("others",)]


def test_without_votes_nothing_is_said_of_disagreement():
    assert Evidence(traits=traits_of({"a": member("a")})).group("disagreement", ["a"], None) is None
    assert Evidence().group("family", ["a"], None) is None
