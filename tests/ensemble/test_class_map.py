"""Class maps: names, order, sums, and what is refused."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from backbones.errors import InputError
from ensemble.class_map import ClassMap
from ensemble.expression import EXPRESSIONS, canonical_classes

EIGHT = (*EXPRESSIONS, "contempt")


def of(source, wanted) -> ClassMap:
    return ClassMap.of(source, wanted, where="faces.zip")


def between(source, target, wanted=None) -> ClassMap:
    return ClassMap.between(source, target, wanted or {}, where="theirs", remedy="Fine-tune it.")


@pytest.mark.parametrize(
    ("source", "wanted", "target", "index"),
    [
        (EIGHT, {"contempt": None}, EXPRESSIONS, (0, 1, 2, 3, 4, 5, 6, -1)),
        (EIGHT, {"contempt": "disgust"}, EXPRESSIONS, (0, 1, 2, 3, 4, 5, 6, 1)),
        (EIGHT, {"Anger": "angry", "joy": "happiness"}, EIGHT, (0, 1, 2, 3, 4, 5, 6, 7)),
        (EIGHT, {"contempt": "Scorn"}, (*EXPRESSIONS, "scorn"), (0, 1, 2, 3, 4, 5, 6, 7)),
        (EXPRESSIONS, {"neutral": None}, EXPRESSIONS[:6], (0, 1, 2, 3, 4, 5, -1)),
        (("sad", "bored", "awe"), {"awe": "happy"}, ("happy", "sad", "bored"), (1, 2, 0)),
        (("zeal", "awe", "joie"), {"joie": "joy"}, ("happy", "zeal", "awe"), (1, 2, 0)),
        (("happy", "joy", "sad"), {"joy": "happy"}, ("happy", "sad"), (0, 0, 1)),
        (("happy", "joy", "sad"), {"happy": None}, ("sad", "joy"), (-1, 1, 0)),
        (("angry", "sad", "happy"), {"angry": "sad", "sad": "angry"}, ("angry", "happy", "sad"), (2, 0, 1)),
    ],
)
def test_classes_keep_the_products_order(source, wanted, target, index) -> None:
    found = of(source, wanted)
    assert (found.source, found.target, found.index) == (tuple(source), target, index)


def test_numbered_folders_are_renamed_all_at_once() -> None:
    """RAF-DB counts 1..7 from surprise; the reader takes such numbers for FER2013's."""
    names = ("surprise", "fear", "disgust", "happy", "sad", "angry", "neutral")
    classes, folders = canonical_classes("1234567")
    found = of(classes, {str(k): name for k, name in enumerate(names, start=1)})
    assert found.target == EXPRESSIONS
    assert {folder: found.becomes(name) for folder, name in folders.items()} == dict(zip("1234567", names, strict=True))


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ({"contemt": None}, r"name classes of faces\.zip, but got 'contemt'\. Did you mean `contempt`\?"),
        ({"anger": None, "angry": "sad"}, r"once in `classes`, but 'anger' and 'angry' both mean angry"),
        (dict.fromkeys(EXPRESSIONS), r"leave at least 2 classes of faces\.zip, but got \['contempt'\]"),
        (dict.fromkeys(EXPRESSIONS, "contempt"), r"at least 2 classes"),
    ],
)
def test_wrong_wishes_are_refused(wanted, message) -> None:
    with pytest.raises(InputError, match=message):
        of(EIGHT, wanted)


def test_labels_by_hand() -> None:
    found = of(("happy", "sad", "contempt"), {"contempt": None, "sad": "angry"})
    assert found.target == ("angry", "happy")
    labels = found.labels([0, 1, 2, -1])
    assert labels.tolist() == [1, 0, -1, -1]
    assert labels.dtype == np.int64
    assert found.left_out == ("contempt",)
    assert (found.becomes("sad"), found.becomes("contempt")) == ("angry", None)


def test_probabilities_by_hand() -> None:
    found = of(("angry", "happy", "disgust", "contempt"), {"contempt": None, "disgust": "angry"})
    np.testing.assert_allclose(found.probabilities([[0.1, 0.2, 0.3, 0.4]]), [[4 / 6, 2 / 6]], rtol=1e-15)
    np.testing.assert_allclose(found.sums([[0.1, 0.2, 0.3, 0.4]]), [[0.4, 0.2]], rtol=1e-15)


def test_a_source_that_says_nothing_of_the_classes_wanted_is_undecided() -> None:
    found = of(("angry", "happy", "sad", "contempt"), {"contempt": None})
    rows = [[0.0, 0.0, 0.0, 1.0], [1e-14, 0.0, 0.0, 1.0], [2e-9, 0.0, 2e-9, 1.0]]
    np.testing.assert_allclose(found.probabilities(rows), [[1 / 3] * 3, [1 / 3] * 3, [0.5, 0.0, 0.5]], rtol=1e-12)


def test_leaving_a_class_out_is_a_softmax_without_its_logit() -> None:
    logits = np.random.default_rng(0).normal(size=(2, 50, 8)) * 4
    probs = np.exp(logits) / np.exp(logits).sum(axis=-1, keepdims=True)  # (V, N, K)
    kept = np.exp(logits[..., :7])
    expected = kept / kept.sum(axis=-1, keepdims=True)
    np.testing.assert_allclose(of(EIGHT, {"contempt": None}).probabilities(probs), expected, rtol=1e-12)


@settings(deadline=None)
@given(data=st.data())
def test_probabilities_are_the_matrix_product_and_labels_its_rows(data) -> None:
    names = st.sampled_from([*EXPRESSIONS, "awe", None])
    wanted = {name: data.draw(names) for name in EIGHT}
    if len(set(wanted.values()) - {None}) < 2:
        return
    found = of(EIGHT, wanted)
    matrix = np.zeros((8, len(found.target)))  # an independent reference: one-hot rows, zero for classes left out
    for row, name in enumerate(EIGHT):
        if wanted[name] is not None:
            matrix[row, found.target.index(wanted[name])] = 1.0
    raw = data.draw(arrays(np.float64, (5, 8), elements=st.floats(0.01, 1.0)))
    probs = raw / raw.sum(axis=1, keepdims=True)
    mapped = probs @ matrix
    np.testing.assert_allclose(found.probabilities(probs), mapped / mapped.sum(axis=1, keepdims=True), rtol=1e-9)
    labels = found.labels(np.arange(8))
    np.testing.assert_array_equal(np.vstack([np.eye(len(found.target)), np.zeros(len(found.target))])[labels], matrix)
    assert ClassMap.from_state(json.loads(json.dumps(found.state()))) == found


@pytest.mark.parametrize(
    ("source", "target", "wanted", "index"),
    [
        (EXPRESSIONS, EXPRESSIONS, {}, tuple(range(7))),
        (("Sadness", "joy"), ("happy", "sad"), {}, (1, 0)),
        (EIGHT, EXPRESSIONS, {"contempt": None}, (*range(7), -1)),
        (("joy", "excited", "sad"), ("happy", "sad"), {"excited": "joy"}, (0, 0, 1)),
        (("happy", "joy", "sad"), ("happy", "sad"), {"joy": "happy"}, (0, 0, 1)),
        (("x", "y"), ("happy", "contempt"), {"y": "happy", "x": "Contempt"}, (1, 0)),
    ],
)
def test_a_source_is_mapped_onto_classes_given(source, target, wanted, index) -> None:
    found = between(source, target, wanted)
    assert (found.target, found.index) == (tuple(target), index)
    assert found.is_identity == (tuple(source) == tuple(target))


@pytest.mark.parametrize(
    ("source", "target", "wanted", "message"),
    [
        (EIGHT, EXPRESSIONS, {}, r"in theirs, but got 'contempt'.*`classes: \{contempt: null\}` leaves it out"),
        (
            EIGHT,
            EXPRESSIONS,
            {"contempt": "disgst"},
            r"map contempt of theirs to one of .*'disgst'\. Did you mean `disg",
        ),
        (EXPRESSIONS[:6], EXPRESSIONS, {}, r"a source in theirs .* but neutral has none: it knows .* Fine-tune it\.$"),
        (EXPRESSIONS, EXPRESSIONS, {"sad": "fear", "angry": None}, r"but angry, sad have none"),
        (("happy", "joy", "sad"), ("happy", "sad"), {}, r"'happy' and 'joy' both mean happy\. Merge .*\{joy: happy\}"),
        (EIGHT, EXPRESSIONS, {"bored": None}, r"classes of theirs, but got 'bored'"),
    ],
)
def test_what_does_not_fit_the_classes_given_is_refused(source, target, wanted, message) -> None:
    with pytest.raises(InputError, match=message):
        between(source, target, wanted)


def test_maps_follow_each_other() -> None:
    first = of(EIGHT, {"contempt": "disgust", "neutral": None})
    second = of(first.target, {"disgust": "angry", "sad": None})
    both = first.then(second)
    assert (both.source, both.target) == (EIGHT, ("angry", "fear", "happy", "surprise"))
    assert both.index == (0, 0, 1, 2, -1, 3, -1, 0)
    probs = np.random.default_rng(1).dirichlet(np.ones(8), size=20)
    np.testing.assert_allclose(both.probabilities(probs), second.probabilities(first.probabilities(probs)), rtol=1e-12)
    with pytest.raises(InputError, match="Expected a map of the classes"):
        second.then(first)


@pytest.mark.parametrize(
    "state",
    [
        None,
        {},
        {"source": ["a"], "target": ["a"], "becomes": []},
        {"source": ["a", "b"], "target": ["a", "b"], "becomes": ["a", "c"]},
        {"source": ["a", "b"], "target": ["a", "b"], "becomes": ["a", "a"]},
        {"source": ["a", "b"], "target": ["a", "a"], "becomes": ["a", "a"]},
        {"source": ["a", 1], "target": ["a"], "becomes": ["a", "a"]},
    ],
)
def test_damaged_states_are_refused(state) -> None:
    with pytest.raises(InputError, match="Expected a class"):
        ClassMap.from_state(state)


def test_a_stored_map_leads_to_the_members_classes() -> None:
    state = of(EIGHT, {"contempt": None}).state()
    assert ClassMap.stored({"classes": list(EXPRESSIONS)}, "spec.json") is None
    assert ClassMap.stored({"classes": list(EXPRESSIONS), "class_map": state}, "spec.json").left_out == ("contempt",)
    with pytest.raises(InputError, match=r"class map in spec\.json to lead to \['x'\]"):
        ClassMap.stored({"classes": ["x"], "class_map": state}, "spec.json")
    with pytest.raises(InputError, match=r"spec\.json: Expected a class map"):
        ClassMap.stored({"classes": ["x"], "class_map": {}}, "spec.json")
