"""When stages begin to learn, what the specs of freezing refuse, and what a fingerprint does not notice."""

from __future__ import annotations

from typing import Any

import pytest

from ensemble.canonical import digest_of
from ensemble.spec import _FINGERPRINT_VERSION, FreezeSpec, MemberSpec
from ensemble.spec_check import check_spec
from ensemble.unfreeze_spec import UnfreezeSpec


def make_spec(**fields: Any) -> MemberSpec:
    return MemberSpec.model_validate({"name": "m", "backbone": {"kind": "light_cnn"}, **fields})


@pytest.mark.parametrize(
    ("spec", "released"),
    [
        (UnfreezeSpec(kind="probe"), [0, 3, 3, 3, 3, 3, 3]),
        (UnfreezeSpec(kind="probe", epochs=4), [0, 0, 0, 0, 3, 3, 3]),
        (UnfreezeSpec(kind="gradual"), [0, 1, 2, 3, 3, 3, 3]),
        (UnfreezeSpec(kind="gradual", every=3), [0, 0, 0, 1, 1, 1, 2]),
    ],
)
def test_stages_released_per_epoch(spec: UnfreezeSpec, released: list[int]) -> None:
    assert [spec.released(epoch, stages=3) for epoch in range(7)] == released


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"unfreeze": {"kind": "prob"}}, "members[0].unfreeze.kind: Expected `kind` to be one of 'probe' or 'gradual'"),
        ({"unfreeze": {"kind": "probe", "every": 1}}, "unfreeze.every: Expected `every` to be valid (left out: it"),
        ({"unfreeze": {"kind": "gradual", "epochs": 1}}, "it belongs to `kind: probe`), but got 1."),
        ({"unfreeze": {"kind": "gradual", "every": 0}}, "Expected `every` to be at least 1, but got 0."),
        ({"unfreeze": {"epochs": 2}}, "Expected `kind`, but it is missing."),
        ({"unfreeze": {"kind": "probe", "epoch": 2}}, "Did you mean `epochs`?"),
        ({"freeze": {}}, "members[0].freeze.batch_norm: Expected `batch_norm` to be valid (true, where no stage is"),
        ({"freeze": {"batch_norm": False}}, "true, where no stage is named by `until`"),
        ({"freeze": {"batch_norms": True, "until": "conv1"}}, "Did you mean `batch_norm`?"),
        ({"optimizer": {"layer_decay": 0}}, "Expected `layer_decay` to be above 0, but got 0."),
        ({"optimizer": {"layer_decay": 1.5}}, "Expected `layer_decay` to be at most 1, but got 1.5."),
    ],
)
def test_table_of_mistakes(fields: dict[str, Any], message: str) -> None:
    content = {"name": "m", "backbone": {"kind": "light_cnn"}, **fields}
    spec, problems = check_spec(MemberSpec, content, "members[0]")
    assert spec is None
    assert any(message in problem for problem in problems), problems


def test_freezing_by_stage_by_statistics_or_by_both() -> None:
    assert FreezeSpec(batch_norm=True).until is None
    assert FreezeSpec(until="conv2", batch_norm=True).batch_norm
    assert not make_spec(freeze={"batch_norm": True}).frozen_backbone


def test_fields_that_are_not_set_leave_the_fingerprint_as_it_was_before_there_were_such_fields() -> None:
    spec = make_spec(freeze={"until": "conv3"}, optimizer={"backbone_lr": 1e-4}, input={"size": 64})
    written = spec.model_dump(mode="json")
    assert written["freeze"] == {"until": "conv3"}
    assert set(written["optimizer"]) == {"kind", "lr", "backbone_lr", "weight_decay", "momentum", "nesterov"}
    assert set(written["input"]) == {"size", "channels", "normalize", "interpolation"}
    assert "unfreeze" not in written
    for name in ("name", "groups"):
        del written[name]
    assert spec.fingerprint("data") == digest_of({"version": _FINGERPRINT_VERSION, "data": "data", "member": written})


def test_fields_that_are_set_change_the_fingerprint_and_survive_being_written() -> None:
    changes: list[dict[str, Any]] = [
        {},
        {"unfreeze": {"kind": "probe"}},
        {"unfreeze": {"kind": "probe", "epochs": 2}},
        {"unfreeze": {"kind": "gradual"}},
        {"freeze": {"batch_norm": True}},
        {"optimizer": {"layer_decay": 1.0}},
        {"optimizer": {"layer_decay": 0.5}},
    ]
    specs = [make_spec(**change) for change in changes]
    assert len({spec.fingerprint("data") for spec in specs}) == len(specs)
    for spec in specs:
        assert MemberSpec.model_validate(spec.model_dump(mode="json")) == spec
