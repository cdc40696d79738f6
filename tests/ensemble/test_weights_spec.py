"""How weights are named in YAML, and what of them changes a member's fingerprint."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from ensemble.spec import MemberSpec
from ensemble.spec_check import check_spec, merged
from ensemble.weights_spec import WeightsSpec

A, B = "ab" * 32, "cd" * 32


def member(weights: Any) -> MemberSpec:
    return MemberSpec.model_validate({"name": "x", "backbone": {"kind": "light_cnn"}, "weights": weights})


@pytest.mark.parametrize(
    ("given", "label"),
    [
        ("vggface2", "vggface2"),
        ({"name": "vggface2"}, "vggface2"),
        ({"file": "deep/net.pth.tar"}, "net.pth.tar"),
        ({"run": "mlruns/committees/a", "member": "plain"}, "a/plain"),
    ],
)
def test_ways_of_naming_them(given: Any, label: str) -> None:
    weights = member(given).weights
    assert weights is not None
    assert weights.label == label
    assert member(weights.model_dump(mode="json")).weights == weights


@pytest.mark.parametrize("given", [None, "random", {"name": "random"}])
def test_random_is_none(given: Any) -> None:
    assert member(given).weights is None


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "with one of `name`, `file` and `run`"),
        ({"optional": True}, "with one of `name`, `file` and `run`"),
        ({"name": "a", "file": "b"}, "with one of `name`, `file` and `run`"),
        ({"file": "a", "member": "b"}, "without `member`, which belongs to `run`"),
        ({"fil": "a"}, "Did you mean `file`?"),
        (5, "to be a mapping"),
    ],
)
def test_mistakes(given: Any, message: str) -> None:
    _, problems = check_spec(MemberSpec, {"name": "x", "backbone": {"kind": "y"}, "weights": given}, "members[0]")
    assert any(message in problem and problem.startswith("members[0].weights") for problem in problems), problems


def test_fingerprints_are_those_of_before_there_were_names_and_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Computed with the version that knew files only."""
    monkeypatch.setattr("ensemble.spec._FINGERPRINT_VERSION", 2)
    known = {
        "49833e71718eeedc32898dfede452fec0e83b4efe04464924c37e11e22523dd2": None,
        "911a3de489efedaabff1a93c1b9718e1146aa0ba529432fb49401b1cd4c458a8": {"file": "a.pt", "sha256": A},
        "07da307c41e43b7f6f8af5d01c000b1ffcf175938a3314c6e6a2fbdcd2fbbcc9": {
            "file": "b/c.pt", "optional": True, "minimum": 0.5, "sha256": B,
        },
    }  # fmt: skip
    assert {member(weights).fingerprint("data"): weights for weights in known.values()} == known


def test_only_the_content_is_part_of_the_fingerprint() -> None:
    origin = {"licence": "MIT", "training_set": "faces", "source": "https://x", "optional": True}
    same = [
        {"file": "a.pt", "sha256": A},
        {"name": "vggface2", "sha256": A},
        {"run": "c", "member": "m", "sha256": A, **origin},
    ]
    assert len({member(weights).fingerprint("d") for weights in same}) == 1
    other = [{"name": "vggface2", "sha256": B}, {"name": "vggface2", "sha256": A, "minimum": 0.5}]
    assert len({member(weights).fingerprint("d") for weights in (same[0], *other)}) == 3


def test_weights_from_elsewhere_replace_the_default_ones() -> None:
    defaults = {"weights": {"file": "a.pt", "optional": True}}
    assert merged(defaults, {"weights": {"name": "vggface2"}})["weights"] == {"name": "vggface2"}
    assert merged(defaults, {"weights": {"file": "b.pt"}})["weights"] == {"file": "b.pt", "optional": True}
    assert merged(defaults, {"weights": {"minimum": 0.5}})["weights"]["file"] == "a.pt"
    assert merged(defaults, {"weights": "random"})["weights"] == "random"


OF_ONE = {"licence": "MIT", "training_set": "faces", "source": "u", "sha256": A}


@pytest.mark.parametrize(
    ("default", "own", "result"),
    [
        ({"file": "a.pt", "minimum": 0.5, **OF_ONE}, {"file": "b.pt"}, {"file": "b.pt", "minimum": 0.5}),
        ({"file": "a.pt", **OF_ONE}, {"file": "a.pt"}, {"file": "a.pt", **OF_ONE}),
        ({"file": "a.pt", **OF_ONE}, {"optional": True}, {"file": "a.pt", "optional": True, **OF_ONE}),
        ({"run": "A", "member": "x"}, {"run": "B"}, {"run": "B"}),
        ({"run": "A", "member": "x", **OF_ONE}, {"member": "y"}, {"run": "A", "member": "y"}),
        ("mobilefacenet", {"optional": True}, {"name": "mobilefacenet", "optional": True}),
        ({"name": "vgg16", "optional": True, "sha256": A}, "vgg16_bn", {"name": "vgg16_bn", "optional": True}),
        ("mobilefacenet", {"file": "a.pt"}, {"file": "a.pt"}),
        ("random", "vgg16", "vgg16"),
        ("vgg16", None, None),
    ],
)
def test_what_a_member_takes_of_the_default_weights(default: Any, own: Any, result: Any) -> None:
    assert merged({"weights": default}, {"weights": own}) == {"weights": result}


def test_parameters_that_are_called_weights_too_are_no_weights() -> None:
    assert merged({"loss": {"kind": "a", "weights": "x"}}, {"loss": {"weights": {"b": 1}}}) == {
        "loss": {"kind": "a", "weights": {"b": 1}}
    }


def test_the_spec_is_frozen_and_knows_its_fields() -> None:
    weights = WeightsSpec(file="a.pt")
    with pytest.raises(ValidationError):
        weights.file = "b.pt"  # type: ignore[misc]
    assert weights.model_dump() == {"file": "a.pt", "optional": False, "minimum": 0.9, "sha256": None}
