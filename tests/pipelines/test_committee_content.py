"""What stands in a committee's files counts for nothing until it is checked: users edit them, strangers seal them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hostile.case import png
from support import Outcome

from pipelines.bundle import read_resolved, seal
from pipelines.workspace import MANIFEST
from pipelines.yaml_file import read_yaml, write_yaml

Cli = Callable[..., Outcome]
FOLDER = Path("mlruns/committees/tiny")
RESOLVED, REPORT, RULES = FOLDER / "committee.yaml", FOLDER / "report.json", FOLDER / "committee.json"
SPEC = FOLDER / "members/plain/spec.json"
EVALUATION = FOLDER / "evaluation/validation/report.json"
GONE = object()

COMMANDS = {
    "predict": ("predict", "face.png", "--detect", "none", "--out", "out.csv"),
    "calibrated": ("predict", "face.png", "--detect", "none", "--calibrated", "--out", "out.csv"),
    "evaluate": ("evaluate",),
    "report": ("report",),
    "explain": ("explain", "--what", "agreement"),
    "verify": ("verify", "--faces", "5"),
    "fuse": ("fuse",),
    "rule": ("fuse", "--rule", "mean"),
    "prune": ("fuse", "--prune", "1"),
    "pack": ("pack",),
}

RESOLVED_CASES: tuple[tuple[dict[Any, Any], str], ...] = (
    ({"members": 3}, "members: Expected `members` to be a list, but got 3"),
    ({"members": [3]}, "members[0]: Expected `members[0]` to be a mapping, but got 3"),
    ({"members": [{"groups": []}]}, "members[0].name: Expected `name`, but it is missing"),
    ({"members": [{"name": 3}]}, "members[0].name: Expected `name` to be text"),
    ({"members": [{"name": "plain", "groups": 3}]}, "members[0].groups: Expected `groups` to be a list"),
    ({"members": []}, "members: Expected `members` to be a list of at least 1"),
    ({"members": GONE}, "members: Expected `members`, but it is missing"),
    ({"committee": GONE}, "committee: Expected `committee`, but it is missing"),
    ({"committee": 3}, "committee: Expected `committee` to be a mapping, but got 3"),
    ({"committee": {"rule": "os.system"}}, "committee.rule: Expected a fusion rule, but got 'os.system'"),
    ({"committee": {"rule": "mean", "over": ["nobody"]}}, "committee.over[0]"),
    ({"seed": "x"}, "seed: Expected `seed` to be a whole number, but got 'x'"),
    ({"seed": True}, "seed: Expected `seed` to be a whole number, but got True"),
    ({"seed": -1}, "seed: Expected `seed` to be at least 0, but got -1"),
    ({"views": -1}, "views: Expected `views` to be at least 1, but got -1"),
    ({"views": "x"}, "views: Expected `views` to be a whole number"),
    ({"data": 3}, "data: Expected `data` to be a mapping, but got 3"),
    ({"data": {"count": 210}}, "data.source: Expected `source`, but it is missing"),
    ({"data": {"source": "synthetic", "align": {"template": "x"}}}, "data.align.template: Expected"),
    ({"data": GONE}, "data: Expected `data`, but it is missing"),
    ({"name": 3}, "name: Expected `name` to be text, but got 3"),
    ({3: 3}, "Keys should be strings"),
)

ROW = {"nll": 1.0, "calibration_error": 0.1}
FACT_CASES: tuple[tuple[dict[str, Any], str], ...] = (
    ({"name": 3}, "name: Expected `name` to be text"),
    ({"data": "x"}, "data: Expected `data` to be a mapping"),
    ({"data": {"source": 3, "digest": "0"}}, "data.source: Expected `source` to be text"),
    ({"environment": "x"}, "environment: Expected `environment` to be a mapping"),
    ({"device": []}, "device: Expected `device` to be text"),
    ({"notes": "x"}, "notes: Expected `notes` to be a list"),
    (dict.fromkeys(("data", "environment", "notes", "members", "rules", "validation_faces"), "x"), "data: Expected"),
)
NUMBER_CASES: tuple[tuple[dict[str, Any], str], ...] = (
    ({"members": "x"}, "members: Expected `members` to be a list"),
    ({"members": ["x"]}, "members[0]: Expected `members[0]` to be a mapping"),
    ({"members": [{"name": "plain"}]}, "members[0].accuracy: Expected `accuracy`, but it is missing"),
    ({"rules": "x"}, "rules: Expected `rules` to be a mapping"),
    ({"rules": {"committee": "x"}}, "rules.committee: Expected `committee` to be a mapping"),
    ({"rules": {"committee": {**ROW, "nested_interval": [1.0]}}}, "rules.committee.nested_interval: Expected"),
    ({"rules": {}}, "to have a row for every member and for the committee"),
)


def change_yaml(changes: dict[Any, Any]) -> None:
    """Other values in `committee.yaml`."""
    content = {**read_yaml(RESOLVED), **changes}
    write_yaml(RESOLVED, {key: value for key, value in content.items() if value is not GONE})


def change_json(path: Path, changes: dict[str, Any]) -> None:
    """Other values in a JSON file, which then holds no checksum."""
    content = {**json.loads(path.read_text()), **changes}
    content.pop("checksum", None)
    path.write_text(json.dumps({key: value for key, value in content.items() if value is not GONE}))


def seal_again() -> None:
    """What a stranger does who wants the changes to be taken for right."""
    seal(FOLDER, members=["plain", "residual"])


def refuse(cli: Cli, command: str, *words: str) -> None:
    """The command ends with code 2 and says these words, and the committee is sealed as it was."""
    Path("face.png").write_bytes(png(size=48))
    before = (FOLDER / MANIFEST).read_bytes()
    outcome = cli(*COMMANDS[command])
    assert outcome.code == 2, outcome.err or outcome.out
    assert "Traceback" not in outcome.err
    assert "Warning" not in outcome.err
    for word in words:
        assert word in outcome.err, outcome.err
    assert (FOLDER / MANIFEST).read_bytes() == before


def test_what_a_fit_writes_is_right(tiny: Path) -> None:
    assert read_resolved(FOLDER)["views"] == 2


@pytest.mark.parametrize(("changes", "message"), RESOLVED_CASES, ids=[message for _, message in RESOLVED_CASES])
def test_fuse_refuses_an_edit_that_makes_no_sense(tiny: Path, cli: Cli, changes: dict[Any, Any], message: str) -> None:
    change_yaml(changes)
    refuse(cli, "fuse", f"{RESOLVED}` to", f"\n  committee.yaml: {message}" if "Keys" not in message else message)


@pytest.mark.parametrize("changes", [{"members": 3}, {"data": 3}], ids=["members", "data"])
@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_refuses_a_yaml_that_makes_no_sense(
    tiny: Path, cli: Cli, command: str, changes: dict[Any, Any]
) -> None:
    change_yaml(changes)
    seal_again()
    refuse(cli, command, f"{RESOLVED}` to", f"committee.yaml: {next(iter(changes))}: Expected")


@pytest.mark.parametrize("command", ["predict", "verify", "explain"])
def test_an_input_state_of_other_faces_is_refused(tiny: Path, cli: Cli, command: str) -> None:
    change_json(SPEC, {"input_state": {"mean": [1, 2, 3], "std": [0]}})
    seal_again()
    refuse(cli, command, f"{SPEC}: input_state: Expected `mean` to be of shape (1,), but got (3,)")


@pytest.mark.parametrize("command", ["predict", "fuse", "verify"])
@pytest.mark.parametrize(
    "changes", [{"parameters": "x"}, {"epochs": 1.5}, {"seconds": [1]}, {"spec": 3}, {"spec": GONE}, {"face_size": "x"}]
)
def test_facts_of_a_member_are_those_of_a_member(tiny: Path, cli: Cli, command: str, changes: dict[str, Any]) -> None:
    change_json(SPEC, changes)
    seal_again()
    refuse(cli, command, f"Expected `{next(iter(changes))}` in `{SPEC}` to be that of a trained member")


@pytest.mark.parametrize("command", ["report", "fuse", "rule"])
@pytest.mark.parametrize(("changes", "message"), FACT_CASES, ids=[message for _, message in FACT_CASES])
def test_facts_of_a_report_are_checked_before_they_are_taken_over(
    tiny: Path, cli: Cli, command: str, changes: dict[str, Any], message: str
) -> None:
    change_json(REPORT, changes)
    seal_again()
    refuse(cli, command, f"{REPORT}` to", f"\n  report.json: {message}")


@pytest.mark.parametrize(("changes", "message"), NUMBER_CASES, ids=[message for _, message in NUMBER_CASES])
def test_numbers_of_a_report_are_checked_and_fuse_makes_them_anew(
    tiny: Path, cli: Cli, changes: dict[str, Any], message: str
) -> None:
    change_json(REPORT, changes)
    seal_again()
    refuse(cli, "report", f"{REPORT}`", message, "`ensemble fuse --committee")
    assert cli("fuse", "--rule", "mean").code == 0
    assert cli("report").code == 0


def test_a_pack_has_to_know_its_faces(tiny: Path, cli: Cli) -> None:
    change_json(REPORT, dict.fromkeys(("data", "environment", "notes")))
    seal_again()
    refuse(cli, "pack", f"Expected `{REPORT}` to say what data it is of")


@pytest.mark.parametrize("key", ["views_curve", "added", "left_out"])
def test_an_evaluation_is_checked_before_it_is_shown(tiny: Path, cli: Cli, key: str) -> None:
    EVALUATION.parent.mkdir(parents=True)
    EVALUATION.write_text(json.dumps({key: "x"}))
    refuse(cli, "report", f"{EVALUATION}` to", f"report.json: {key}: Expected `{key}` to be a list", "evaluate")


@pytest.mark.parametrize("temperature", [1e-320, 0.001, 1e4, "x", [1.0]])
def test_a_temperature_that_no_fit_finds_is_refused(tiny: Path, cli: Cli, temperature: Any) -> None:
    change_json(RULES, {"temperature": temperature})
    seal_again()
    refuse(cli, "calibrated", f"{RULES}: Expected `temperature` of the committee to be a number from 0.01 to 100")


def test_the_temperatures_of_a_rule_are_checked_too(tiny: Path, cli: Cli) -> None:
    change_yaml({"committee": {"rule": "temperature"}})
    assert cli("fuse").code == 0
    root = json.loads(RULES.read_text())["committee"]
    change_json(RULES, {"committee": {**root, "learned": {"temperatures": {"plain": 1e-320, "residual": 1.0}}}})
    seal_again()
    refuse(cli, "predict", f"{RULES}: Expected `temperatures` of the rule `temperature` to be from 0.01 to 100")
