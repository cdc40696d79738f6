"""Groups of members that the product finds: planned, fitted, refitted, stored in plain sight."""

from __future__ import annotations

import csv
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import pdist
from support import Outcome

import pipelines
from backbones.errors import InputError
from ensemble.bank import load_posteriors
from ensemble.expression import EXPRESSIONS
from pipelines.bundle import changed_files
from pipelines.face_loading import load_faces
from pipelines.plan import make_plan
from pipelines.yaml_file import read_yaml, write_yaml

Cli = Callable[..., Outcome]

NET = "backbone: {kind: scratch_cnn, blocks: [{filters: 4}]}"
FOREIGN = ("one", "two", "three")
SCHOOLS = f"""
name: schools
data: {{source: synthetic, count: 210}}
defaults: {{epochs: 1, batch_size: 64, input: {{size: 24}}}}
members:
  - {{name: plain, {NET}}}
  - {{name: equal, {NET}, input: {{normalize: equalize}}}}
{"".join(f"  - {{name: {name}, posteriors: {{file: {name}.csv}}}}" + chr(10) for name in FOREIGN)}
committee: {{rule: mean, groups: disagreement, count: 2, within: {{rule: va_expo, step: 1.0}}}}
"""
FOLDER = Path("mlruns/committees/schools")

LENT = """
data: {source: synthetic, count: 100}
members:
  - {name: small, backbone: {kind: timm, model: resnet10t}, input: {size: 32}}
  - {name: large, backbone: {kind: timm, model: resnet18.a1_in1k}, input: {size: 32, channels: 3}}
  - {name: vit, backbone: {kind: timm, model: vit_tiny_patch16_224}}
  - {name: cnn, backbone: {kind: scratch_cnn, blocks: [{filters: 8}]}, input: {size: 32}}
  - {name: lent, committee: {folder: mlruns/committees/schools, member: plain}}
  - {name: theirs, posteriors: {file: one.csv}}
committee: COMMITTEE
"""


def write_answers() -> None:
    """Three foreign tools: the first two say the same of most faces, the third what it likes."""
    faces = load_faces("synthetic", options={"count": 210}, cache=Path("mlruns/cache")).split("validation")
    rng = np.random.default_rng(3)
    common = rng.dirichlet(0.3 * np.ones(7), len(faces))
    for name, share in zip(FOREIGN, (0.9, 0.9, 0.0), strict=True):
        probs = share * common + (1 - share) * rng.dirichlet(0.3 * np.ones(7), len(faces))
        with Path(f"{name}.csv").open("w", newline="") as file:
            rows = csv.writer(file)
            rows.writerow(["id", *(f"p_{c}" for c in EXPRESSIONS)])
            rows.writerows([str(i), *map(float, p)] for i, p in zip(faces.ids, probs, strict=True))


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A working directory with the committee `schools`."""
    folder, before = tmp_path_factory.mktemp("groups"), Path.cwd()
    os.chdir(folder)
    try:
        write_answers()
        Path("schools.yaml").write_text(SCHOOLS)
        pipelines.fit("schools.yaml", jobs=1, track=False, quiet=True)
    finally:
        os.chdir(before)
    return folder


@pytest.fixture
def schools(fitted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it, as the working directory."""
    shutil.copytree(fitted, tmp_path / "work")
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path / "work"


def trees() -> tuple[dict[str, Any], dict[str, Any]]:
    """The stored tree in YAML and in JSON."""
    return read_yaml(FOLDER / "committee.yaml")["committee"], json.loads((FOLDER / "committee.json").read_text())[
        "committee"
    ]


def names(tree: dict[str, Any]) -> list[str]:
    return [child if isinstance(child, str) else child["name"] for child in tree["over"]]


def test_the_stored_committee_shows_groups_and_where_they_came_from(schools: Path) -> None:
    banks = {p.name: load_posteriors(p / "posteriors.npz") for p in (FOLDER / "members").iterdir()}
    votes = {name: banks[name].splits["validation"].probs[0].argmax(axis=1) for name in sorted(banks)}
    clusters = fcluster(linkage(pdist(np.array(list(votes.values())), "hamming"), "average"), 2, "maxclust")
    expected = [{n for n, c in zip(votes, clusters, strict=True) if c == label} for label in set(clusters.tolist())]
    for tree in trees():
        assert tree["rule"] == "mean"
        assert tree["grouped_by"]["criterion"] == "disagreement"
        assert (tree["grouped_by"]["faces"], tree["grouped_by"]["count"]) == (18, 2)
        assert sorted(map(sorted, tree["grouped_by"]["groups"].values())) == sorted(map(sorted, expected))
        nodes = [child for child in tree["over"] if not isinstance(child, str)]
        assert sorted(sorted(node["over"]) for node in nodes) == sorted(sorted(g) for g in expected if len(g) > 1)
        assert {node["rule"] for node in nodes} == {"va_expo"}
        assert all(node["name"].startswith("disagreement:") for node in nodes)
    assert {"one", "two"} <= set(max(expected, key=len)) or {"one", "two"} in expected
    assert changed_files(FOLDER) == []


def test_a_refit_keeps_the_groups(schools: Path, cli: Cli) -> None:
    before = [(FOLDER / name).read_bytes() for name in ("committee.yaml", "committee.json")]
    outcome = cli("fuse")
    assert outcome.code == 0, outcome.err
    assert [(FOLDER / name).read_bytes() for name in ("committee.yaml", "committee.json")] == before


def test_other_groups_take_over_and_stay_until_the_next_fit(schools: Path, cli: Cli) -> None:
    first = trees()
    outcome = cli("fuse", "--groups", "family", "--rule", "va_simple")
    assert outcome.code == 0, outcome.err
    assert "rule:" not in outcome.out
    for tree in trees():
        assert (tree["name"], tree["rule"]) == ("family", "va_simple")
        assert names(tree) == ["family:scratch_cnn", "one", "two", "three"]
        assert tree["grouped_by"]["groups"] == {
            "scratch_cnn": ["plain", "equal"], **{f"outside:{name}": [name] for name in FOREIGN}
        }  # fmt: skip
        assert tree["over"][0]["rule"] == "log_likelihood"
    assert changed_files(FOLDER) == []
    changed = trees()
    assert cli("fuse").code == 0
    assert trees() == changed
    outcome = cli("fit", "--members", "schools.yaml", "--jobs", "1", "--no-track")
    assert outcome.code == 0, outcome.err
    assert trees() == first


def test_without_a_rule_groups_are_fused_by_the_default_one_beside_every_flat_rule(schools: Path, cli: Cli) -> None:
    outcome = cli("fuse", "--groups", "disagreement")
    assert outcome.code == 0, outcome.err
    assert "rule: stacking" in outcome.out
    tree = trees()[1]
    assert {tree["rule"], *(c["rule"] for c in tree["over"] if not isinstance(c, str))} == {"log_likelihood"}
    best = max(tree["grouped_by"]["silhouettes"].items(), key=lambda item: item[1])[0]
    assert len(tree["over"]) == int(best)


def test_groups_that_make_no_tree_are_told(schools: Path, cli: Cli) -> None:
    outcome = cli("fuse", "--groups", "input")
    assert outcome.code == 0, outcome.err
    message = "committee: by input every member is a group of its own, so `log_likelihood` fuses them flat"
    assert message in outcome.err.replace("\n", " ")
    assert names(trees()[0]) == ["plain", "equal", *FOREIGN]


def test_an_edited_tree_may_ask_for_groups(schools: Path, cli: Cli) -> None:
    content = read_yaml(FOLDER / "committee.yaml")
    asked = {"rule": "mean", "within": "mean"}
    tree = {"rule": "mean", "over": [{"groups": "family", **asked}, {"groups": "disagreement", "count": 4, **asked}]}
    write_yaml(FOLDER / "committee.yaml", {**content, "committee": tree})
    outcome = cli("fuse")
    assert outcome.code == 0, outcome.err
    for stored in trees():
        assert names(stored) == ["family", "disagreement"]
        assert [len(node["over"]) for node in stored["over"]] == [4, 4]
    assert changed_files(FOLDER) == []
    outcome = cli("fuse", "--prune", "2", "--out", "smaller")
    assert outcome.code == 0, outcome.err
    assert changed_files(Path("smaller")) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--groups", "famly"], "--groups: Expected `groups` to be one of 'family', 'input' or 'disagreement', "
                                "but got 'famly'. Did you mean `family`?"),
        (["--groups", "family", "--rule", "meen"], "Did you mean `mean`?"),
        (["--groups", "family", "--prune", "2"], "Expected `--rule` and `--groups` without `--prune`"),
    ],
)  # fmt: skip
def test_wrong_words_change_nothing(schools: Path, cli: Cli, arguments: list[str], message: str) -> None:
    outcome = cli("fuse", *arguments)
    assert outcome.code == 2
    assert message in outcome.err
    assert changed_files(FOLDER) == []


@pytest.mark.parametrize(
    ("committee", "over"),
    [
        ("{groups: family}", ["family:resnet", "vit", "family:scratch_cnn", "theirs"]),
        ("{groups: input}", ["input:1x32-mean_std", "large", "vit", "lent", "theirs"]),
        ("{over: [{groups: family, name: kin}, vit]}", ["kin", "vit"]),
    ],
)
def test_families_and_inputs_are_known_when_a_fit_is_planned(schools: Path, committee: str, over: list[str]) -> None:
    Path("lent.yaml").write_text(LENT.replace("COMMITTEE", committee))
    plan = make_plan(Path("lent.yaml"))
    assert plan.committee.settled
    assert list(plan.committee.children) == over
    assert plan.notes == ()


def test_disagreement_is_not(schools: Path) -> None:
    Path("lent.yaml").write_text(LENT.replace("COMMITTEE", "{groups: disagreement, within: va_expo}"))
    plan = make_plan(Path("lent.yaml"))
    assert not plan.committee.settled
    assert plan.tree() == {
        "name": "disagreement", "rule": "log_likelihood", "l2": 0.1, "groups": "disagreement", "within": "va_expo"
    }  # fmt: skip
    assert plan.committee.members == ("small", "large", "vit", "cnn", "lent", "theirs")


ABSENT = """
data: {source: synthetic, count: 100}
members:
  - {name: a, groups: [some], backbone: {kind: scratch_cnn, blocks: [{filters: 8}]}}
  - {name: b, backbone: {kind: scratch_cnn, blocks: [{filters: 4}]}}
  - {name: c, backbone: {kind: light_cnn}, weights: {file: light.pt, optional: true}}
committee: COMMITTEE
"""


def test_members_left_out_leave_their_groups(tmp_path: Path) -> None:
    Path("absent.yaml").write_text(ABSENT.replace("COMMITTEE", "{groups: family}"))
    plan = make_plan(Path("absent.yaml"))
    assert plan.committee.over == ("a", "b")
    assert plan.notes[1:] == (
        "committee: by family all members are in one group, so `log_likelihood` fuses them flat",
    )  # fmt: skip
    Path("absent.yaml").write_text(ABSENT.replace("COMMITTEE", "{groups: disagreement, count: 3}"))
    assert make_plan(Path("absent.yaml")).tree()["count"] == 2


@pytest.mark.parametrize("child", ["{rule: mean}", "{groups: family, name: x}", "{groups: disagreement, name: x}"])
def test_a_node_that_names_no_members_fuses_all(tmp_path: Path, child: str) -> None:
    Path("absent.yaml").write_text(ABSENT.replace("COMMITTEE", f"{{over: [{child}, a, {{members: [c]}}]}}"))
    plan = make_plan(Path("absent.yaml"))
    inner, *rest = plan.committee.over
    assert not isinstance(inner, str)
    assert (inner.members, rest) == (("a", "b"), ["a"])


def test_mistakes_are_told_with_those_of_the_members(tmp_path: Path) -> None:
    Path("absent.yaml").write_text(
        ABSENT.replace("COMMITTEE", "{groups: inputs, within: va_exp}").replace("[some]", "5")
    )
    with pytest.raises(InputError) as caught:
        make_plan(Path("absent.yaml"))
    lines = str(caught.value).splitlines()[1:]
    assert [line.partition(": Expected")[0].strip() for line in lines] == [
        "absent.yaml: members[0].groups", "absent.yaml: committee.groups", "absent.yaml: committee.within"
    ]  # fmt: skip
    assert [line.rpartition("Did")[2] for line in lines[1:]] == [" you mean `input`?", " you mean `va_expo`?"]
