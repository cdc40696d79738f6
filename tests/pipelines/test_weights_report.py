"""The report on loaded weights: a line for people, bounded facts, tags; told once for a member trained in folds."""

from __future__ import annotations

from typing import Any

from backbones.weights import LoadReport
from ensemble.spec import MemberSpec
from pipelines.folded_job import _CopyListener
from pipelines.weights_report import report_facts, report_line, weights_tags

NAMES = tuple(f"layer{i}.weight" for i in range(30))


def member(weights: Any) -> MemberSpec:
    return MemberSpec.model_validate({"name": "net", "backbone": {"kind": "light_cnn"}, "weights": weights})


def report(**changes: Any) -> LoadReport:
    settings = {"loaded": NAMES, "adapted": (), "missing": (), "unexpected": (), "dropped": 0, "share": 1.0} | changes
    return LoadReport(**settings)


def test_line() -> None:
    spec = member({"name": "lightcnn9", "licence": "MIT", "training_set": "faces"})
    whole = report(loaded=NAMES[:3], adapted=NAMES[3:4], dropped=2)
    assert report_line(spec, whole) == (
        "net: weights lightcnn9 (licence MIT, trained on faces): 3 tensors loaded, 1 adapted, "
        "2 of the old head dropped, none missing"
    )
    poor = report(loaded=NAMES[:3], missing=NAMES[3:8], unexpected=NAMES[8:9])
    assert report_line(member({"file": "deep/a.pt"}), poor) == (
        "net: weights a.pt: 3 tensors loaded, 5 missing (layer3.weight, layer4.weight, layer5.weight, …), "
        "1 unexpected (layer8.weight)"
    )


def test_facts_keep_the_first_names_only() -> None:
    facts = report_facts(report(loaded=(), missing=NAMES, unexpected=NAMES[:2], share=0.123456789))
    assert (facts["missing"], facts["missing_names"]) == (30, list(NAMES[:20]))
    assert (facts["unexpected"], facts["unexpected_names"], facts["share"]) == (2, list(NAMES[:2]), 0.123457)


def test_tags() -> None:
    assert weights_tags(member("random")) == {}
    weights = {"name": "lightcnn9", "sha256": "ab", "licence": "MIT", "training_set": "faces", "source": "https://x"}
    tags = {f"weights.{key}": value for key, value in weights.items()}
    assert weights_tags(member(weights)) == tags
    assert weights_tags(member({"file": "a.pt", "sha256": "ab"})) == {"weights.name": "a.pt", "weights.sha256": "ab"}


def test_copies_of_a_member_tell_it_once() -> None:
    told: list[tuple[str, str, Any]] = []

    def listen(member: str, event: str, payload: Any) -> None:
        told.append((member, event, payload))

    for number in range(3):
        _CopyListener(number, 3, listen)("net", "weights", "a line")
    assert told == [("net", "weights", "a line")]
