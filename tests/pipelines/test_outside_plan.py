"""Mistakes in outside members are told when a fit is planned: without torch, and with all others of the file."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from support import Outcome

from backbones.errors import InputError
from ensemble.canonical import digest_of
from ensemble.class_map import ClassMap
from ensemble.committee import Committee
from ensemble.committee_spec import resolve_committee
from ensemble.expression import EXPRESSIONS
from ensemble.outside_spec import BorrowedSpec
from ensemble.spec import ComponentSpec, MemberSpec
from pipelines.fingerprint import digest_file
from pipelines.outside_plan import loan_map
from pipelines.plan import Plan, make_plan

NET = "backbone: {kind: scratch_cnn, blocks: [{filters: 4}]}"
THEIRS = "posteriors: {file: theirs.csv}"
LENDER = Path("mlruns/committees/lender")


@pytest.fixture(autouse=True)
def files() -> None:
    """A file of posteriors, a wrong one, and a committee that lends `plain` and has an outside member itself."""
    columns = ",".join(f"p_{name}" for name in EXPRESSIONS)
    Path("theirs.csv").write_text(f"id,{columns}\na,1,0,0,0,0,0,0\n")
    Path("bad.csv").write_text("id,p_angry,p_disgust\na,0.5,0.5\n")
    Path("bad.txt").write_text("")
    spec = MemberSpec(name="plain", backbone=ComponentSpec(kind="scratch_cnn", blocks=[{"filters": 4}]))
    weights = LENDER / "members" / "plain" / "weights.safetensors"
    for name in ("plain", "their_net"):
        (LENDER / "members" / name).mkdir(parents=True)
    weights.write_bytes(b"weights")
    node = resolve_committee({"rule": "mean"}, {"plain": ()})
    rules = Committee.fit(node, {"plain": np.eye(7)[:1]}, [0])
    for path, content in {
        "manifest.json": {"members": ["plain", "their_net"], "files": {}},
        "committee.json": rules.to_json(),
        "members/their_net/spec.json": {"kind": "outside"},
        "members/plain/spec.json": {
            "spec": spec.model_dump(mode="json"), "weights_sha256": digest_file(weights), "classes": list(EXPRESSIONS),
            "parameters": 9, "fingerprint": "f",
        },
    }.items():  # fmt: skip
        (LENDER / path).write_text(json.dumps(content))


def plan(*members: str, data: str = "synthetic") -> Plan:
    """The plan of a file with these members."""
    listed = "".join(f"  - {{{member}}}\n" for member in members)
    Path("members.yaml").write_text(f"data: {data}\nmembers:\n{listed}")
    return make_plan(Path("members.yaml"))


def test_they_keep_their_place_among_the_others() -> None:
    made = plan(f"name: a, {THEIRS}", f"name: b, {NET}", "name: c, committee: {folder: lender, member: plain}")
    assert made.committee.members == ("a", "b", "c")
    assert [m.name for m in made.members] == ["b"]
    assert [m.name for m in made.outside] == ["a", "c"]
    assert made.places == {"a": Path("theirs.csv"), "c": LENDER / "members" / "plain"}


def test_the_content_of_file_and_weights_is_their_fingerprint_and_names_are_not() -> None:
    prints = []
    for name in ("a", "z"):
        made = plan(f"name: {name}, groups: [{name}], {THEIRS}", "name: c, committee: {folder: lender, member: plain}")
        prints.append([m.fingerprint("data") for m in made.outside])
    assert prints[0] == prints[1]
    assert len({*prints[0], *(m.fingerprint("other") for m in made.outside)}) == 4
    Path("theirs.csv").write_text(Path("theirs.csv").read_text() + "b,1,0,0,0,0,0,0\n")
    assert plan(f"name: a, {THEIRS}").outside[0].fingerprint("data") != prints[0][0]


def test_a_file_beside_the_yaml_comes_first(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    for folder in ("deep", "."):
        (tmp_path / folder / "their2.csv").write_text(f"id,p_sad,p_happy\n{folder},0.5,0.5\n")
    text = "data: {source: elsewhere}\nmembers: [{name: a, posteriors: {file: their2.csv}}]\n"
    (tmp_path / "deep" / "m.yaml").write_text(text)
    made = make_plan(tmp_path / "deep" / "m.yaml", data="synthetic")  # other data: the classes are not known yet
    assert made.places["a"] == tmp_path / "deep" / "their2.csv"


@pytest.mark.parametrize(
    ("member", "message"),
    [
        ("posteriors: {file: no.csv}", "[0].posteriors.file: Expected a file of posteriors, but there is no 'no.csv'"),
        ("posteriors: {file: bad.txt}", "[0].posteriors.file: Expected posteriors in a file that ends in .csv"),
        ("posteriors: {file: bad.csv}", "but fear, happy, sad, surprise, neutral are missing"),
        (
            "posteriors: {fil: theirs.csv}",
            "[0].posteriors.fil: Expected a known key, but got 'fil'. Did you mean `file`?",
        ),
        ("posteriors: theirs.csv", "[0].posteriors: Expected `posteriors` to be a mapping, but got 'theirs.csv'"),
        ("posteriors: {file: theirs.csv, sha256: abc}", "Expected sha256 abc, but `theirs.csv` has"),
        (f"{THEIRS}, {NET}", "but got `backbone` and `posteriors`"),
        (f"{THEIRS}, committee: {{folder: lender}}", "but got `posteriors` and `committee`"),
        (f"{THEIRS}, epochs: 3", "[0].epochs: Expected no `epochs` beside `posteriors`"),
        (f"{THEIRS}, grops: [x]", "Did you mean `groups`?"),
        ("committee: {folder: lender, member: plan}", "[0].committee: Expected `member` to be one of"),
        ("committee: {folder: lender}", "but got None. Valid names: plain"),
        ("committee: {folder: lendr, member: plain}", "Expected `folder` to be the folder or the name of a finished"),
        ("committee: {folder: lendr, member: plain}", "Did you mean `lender`?"),
        ("committee: {folder: lender, member: their_net}", "is an outside member itself"),
        ("committee: {folder: lender, member: plain, sha256: abc}", "Expected weights with sha256 abc"),
        ("committee: {folder: lender, member: plain}, input: {size: 24}", "no `input` beside `committee`"),
    ],
)
def test_table_of_mistakes(member: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        plan(f"name: x, {member}", f"name: y, {NET}, epochs: 0")
    assert message in str(caught.value)
    assert "members[1].epochs" in str(caught.value)


def test_names_are_unique_over_all_members() -> None:
    with pytest.raises(InputError, match=r"members\[1\]\.name: Expected a unique name, but 'x' stands twice"):
        plan(f"name: x, {NET}", f"name: x, {THEIRS}")


def test_a_lender_that_knows_other_classes_is_refused() -> None:
    spec = LENDER / "members" / "plain" / "spec.json"
    content = spec.read_text()
    spec.write_text(content.replace('"happy"', '"contempt"'))
    with pytest.raises(InputError, match=r"members\[0\]\.committee: Expected the classes angry.* but got 'contempt'"):
        plan("name: x, committee: {folder: lender, member: plain}")
    with pytest.raises(InputError, match=r"happy has none: .* `weights: \{run: .*lender, member: plain\}` takes"):
        plan("name: x, committee: {folder: lender, member: plain, classes: {contempt: null}}")
    plan("name: x, committee: {folder: lender, member: plain, classes: {contempt: happy}}")


def test_classes_are_checked_as_far_as_they_are_known(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    for data in ("synthetic", str(tmp_path / "data")):
        with pytest.raises(InputError) as caught:
            plan(
                "name: x, committee: {folder: lender, member: plain, classes: {contempt: null}}",
                "name: y, posteriors: {file: theirs.csv, classes: {contempt: null}}",
                "name: z, posteriors: {file: theirs.csv, classes: {sad: 3}}",
                data=data,
            )
        assert "members[0].committee: Expected `classes` to name classes of member `plain`" in str(caught.value)
        assert "members[1].posteriors.file: Expected `classes` to name classes of theirs.csv" in str(caught.value)
        assert "members[2].posteriors.classes.sad: Expected `sad` to be text, but got 3." in str(caught.value)
    with pytest.raises(
        InputError, match=r"data\.classes: Expected `classes` to name classes of synthetic, but got 'con"
    ):
        plan(f"name: y, {NET}", data="{source: synthetic, classes: {contempt: null}}")
    with pytest.raises(InputError, match=r"Expected the classes angry, .* surprise in theirs\.csv, but got 'neutral'"):
        plan(f"name: y, {THEIRS}", data="{source: synthetic, classes: {neutral: null}}")
    both = "{source: synthetic, classes: {neutral: null}}"
    made = plan("name: y, posteriors: {file: theirs.csv, classes: {neutral: null}}", data=both)
    assert made.data.classes == {"neutral": None}


def test_maps_of_a_member_that_was_borrowed_before_follow_each_other() -> None:
    eight = [*EXPRESSIONS, "contempt"]
    first = ClassMap.of(eight, {"contempt": "disgust"}, where="lender")
    spec = LENDER / "members" / "plain" / "spec.json"
    spec.write_text(json.dumps({**json.loads(spec.read_text()), "class_map": first.state()}))
    loan = plan("name: c, committee: {folder: lender, member: plain, classes: {neutral: null}}", data=".").outside[0]
    assert isinstance(loan, BorrowedSpec)
    found = loan_map(loan, spec.parent, EXPRESSIONS[:6])
    assert found is not None
    assert (found.source, found.target, found.index) == (tuple(eight), EXPRESSIONS[:6], (0, 1, 2, 3, 4, 5, -1, 1))
    same = plan("name: c, committee: {folder: lender, member: plain}").outside[0]
    assert isinstance(same, BorrowedSpec)
    again = loan_map(same, spec.parent, EXPRESSIONS)
    assert again == first
    assert same.fingerprint("data", again) != same.fingerprint("data")


def test_synthetic_faces_stand_in_for_data_with_other_classes() -> None:
    Path("members.yaml").write_text(
        f"data: {{source: absent, classes: {{bored: sad}}}}\nmembers: [{{name: y, {NET}}}]\n"
    )
    assert make_plan(Path("members.yaml"), data="synthetic").data.classes is None


def test_a_map_is_part_of_the_fingerprint_and_none_leaves_it_as_it_was() -> None:
    given = ("", ", classes: {}", ", classes: {sad: angry}", ", classes: {sad: fear}")
    made = [plan(f"name: a, posteriors: {{file: theirs.csv{text}}}", data=".").outside[0] for text in given]
    prints = [spec.fingerprint("data") for spec in made]
    assert (
        prints[0]
        == prints[1]
        == digest_of({"version": 1, "kind": "outside", "data": "data", "sha256": digest_file(Path("theirs.csv"))})
    )
    assert len(set(prints)) == 3
    assert "classes" not in made[0].posteriors.model_dump()
    loan = plan("name: c, committee: {folder: lender, member: plain}").outside[0]
    content = {"version": 1, "kind": "borrowed", "data": "data", "sha256": loan.committee.sha256}
    assert loan.fingerprint("data") == digest_of(content)


def test_a_damaged_lender_is_refused() -> None:
    (LENDER / "members" / "plain" / "weights.safetensors").write_bytes(b"x")
    with pytest.raises(
        InputError, match=r"members\[0\]\.committee: Expected sha256 .* Is it the right file, and whole"
    ):
        plan("name: x, committee: {folder: lender, member: plain}")


def test_they_are_not_tuned() -> None:
    Path("members.yaml").write_text(
        f"data: synthetic\nmembers: [{{name: x, {THEIRS}}}, {{name: y, {NET}}}]\n"
        "tune: {member: x, search: {optimizer.lr: {low: 0.1, high: 0.2}}}\n"
    )
    with pytest.raises(InputError, match=r"tune\.member: Expected the name of a member, but got 'x'"):
        make_plan(Path("members.yaml"), tune={})


def test_members_check_says_what_is_known_of_them(cli: Callable[..., Outcome]) -> None:
    plan(f"name: a, {THEIRS}", "name: c, committee: {folder: lender, member: plain}")
    outcome = cli("members", "check", "members.yaml")
    assert outcome.code == 0, outcome.err
    lines = {line.split("│")[2].strip(): line for line in outcome.out.splitlines() if "members.yaml" in line}
    assert "theirs.csv" in lines["a"]
    assert "rows: 1" in lines["a"]
    assert "plain of lender" in lines["c"]
