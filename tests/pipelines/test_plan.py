from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from backbones.errors import InputError
from pipelines.plan import make_plan

SIX = """
name: six
data: {source: synthetic, count: 100}
defaults: {epoch: 6}
members:
  - name: a
    backbone: {kind: scratch_cn, blocks: [{filters: 8}]}
  - name: b
    backbone: {kind: scratch_cnn, blocks: [{filters: 8}]}
    head: {kind: liner}
  - name: c
    backbone: {kind: light_cnn, drop: 0.5}
    loss: {kind: sofmax_mse}
    optimizer: {kind: adm}
committee: {rule: va_exp}
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "members.yaml"
    path.write_text(text)
    return path


def test_six_mistakes_are_reported_at_once(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        make_plan(write(tmp_path, SIX))
    text = str(caught.value)
    assert "7 problems" in text
    for place, name in (
        ("defaults.epoch", "`epochs`"),
        ("members[0].backbone.kind", "`scratch_cnn`"),
        ("members[1].head.kind", "`linear`"),
        ("members[2].backbone.drop", "`dropout`"),
        ("members[2].loss.kind", "`softmax_mse`"),
        ("members[2].optimizer.kind", "`adam`"),
        ("committee.rule", "`va_expo`"),
    ):
        line = next((line for line in text.splitlines() if place in line), "")
        assert name in line, f"{place}: {text}"


def test_mistakes_are_told_quickly_and_without_torch(tmp_path: Path) -> None:
    path = write(tmp_path, SIX)
    code = (
        "import sys\nsys.argv = ['ensemble', 'fit', '--members', sys.argv[1]]\n"
        "from pipelines.cli import main\n"
        "try:\n    main()\nexcept SystemExit as ending:\n    print(ending.code, 'torch' in sys.modules)\n"
    )
    started = time.monotonic()
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["2", "False"]
    assert "Traceback" not in done.stderr
    # 3 s on an idle machine; tests may share it.
    assert time.monotonic() - started < 10


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"members": "members: []"}, "members: Expected a list of at least one member"),
        ({"name": "name: a/b"}, "name: Expected letters"),
        ({"views": "views: 0"}, "views: Expected a whole number of at least 1, but got 0"),
        ({"seed": "seed: true"}, "seed: Expected a whole number"),
        ({"data": "data: {source: nowhere.zip}"}, "data.source: Expected a file"),
        ({"data": "data: {source: synthetic, cout: 5}"}, "Did you mean `count`?"),
        ({"data": "data: {source: synthetic, count: many}"}, "data.count"),
        ({"data": "data: {source: synthetic, votes: no.csv}"}, "data.votes: Expected a votes file"),
        ({"extra": "comittee: {}"}, "Did you mean `committee`?"),
        ({"augment": "augment: flipp"}, "Did you mean `flip`?"),
        ({"augment": "freeze: backbone\n    augment: strong"}, "Expected none or flip"),
        ({"augment": "input: {size: 4}"}, "members[0].input.size"),
        (
            {"augment": "freeze: backbone\n    unfreeze: probe"},
            "members[0].unfreeze: Expected none beside `freeze: back",
        ),
        (
            {"augment": "epochs: 3\n    unfreeze: {kind: probe, epochs: 3}"},
            "unfreeze.epochs: Expected less than the 3 of",
        ),
        ({"augment": "epochs: 3\n    unfreeze: {kind: gradual, every: 5}"}, "nothing is ever unfrozen, but got 5."),
        ({"augment": "unfreeze: prob"}, "Did you mean `probe`?"),
        ({"augment": "freeze: {batch_norm: 3}"}, "members[0].freeze.batch_norm"),
        ({"augment": "input: {normalize: mean_st}"}, "Did you mean `mean_std`?"),
        ({"augment": "weights: {file: absent.pt}"}, "Put the file there, or name its folder: `--weights DIR`"),
        ({"augment": "epochs: many"}, "members[0].epochs"),
        ({"augment": "optimizer: {lr: -1}"}, "members[0].optimizer.lr"),
        ({"augment": "groups: oops"}, "members[0].groups"),
    ],
)
def test_table_of_mistakes(tmp_path: Path, change: dict[str, str], message: str) -> None:
    parts = {
        "name": "name: x",
        "data": "data: {source: synthetic}",
        "members": "members:\n  - name: a\n    backbone: {kind: scratch_cnn, blocks: [{filters: 8}]}\n    {augment}",
        "views": "",
        "seed": "",
        "extra": "",
    } | {k: v for k, v in change.items() if k != "augment"}
    text = "\n".join(parts.values()).replace("{augment}", change.get("augment", ""))
    with pytest.raises(InputError) as caught:
        make_plan(write(tmp_path, text))
    assert message in str(caught.value)


def test_names_are_unique(tmp_path: Path) -> None:
    member = "  - {name: a, backbone: {kind: light_cnn}}\n"
    with pytest.raises(InputError, match="stands twice"):
        make_plan(write(tmp_path, f"members:\n{member}{member}"))


OPTIONAL = """
members:
  - name: a
    groups: [own]
    backbone: {kind: scratch_cnn, blocks: [{filters: 8}]}
  - name: b
    groups: [transferred]
    backbone: {kind: light_cnn}
    weights: {file: light.pt, optional: true}
committee: {rule: mean, over: [{rule: median, members: [own]}, {rule: median, members: [transferred]}]}
"""


def test_member_without_its_optional_weights_is_left_out_with_a_note(tmp_path: Path) -> None:
    plan = make_plan(write(tmp_path, OPTIONAL))
    assert [m.name for m in plan.members] == ["a"]
    assert plan.committee.members == ("a",)
    assert "b is left out" in plan.notes[0]


def test_weights_are_found_and_their_content_is_part_of_the_fingerprint(tmp_path: Path) -> None:
    path = write(tmp_path, OPTIONAL)
    prints = []
    for content in (b"one", b"two"):
        (tmp_path / "elsewhere").mkdir(exist_ok=True)
        (tmp_path / "elsewhere" / "light.pt").write_bytes(content)
        plan = make_plan(path, weights_folders=[tmp_path / "elsewhere"])
        assert plan.committee.members == ("a", "b")
        prints.append(plan.members[1].fingerprint("data"))
    assert prints[0] != prints[1]


def test_weights_beside_the_data_are_found(tmp_path: Path) -> None:
    for name in ("data", "weights"):
        (tmp_path / name).mkdir()
    (tmp_path / "weights" / "light.pt").write_bytes(b"x")
    (tmp_path / "data" / "faces.csv").write_text("emotion,pixels,Usage\n")
    plan = make_plan(write(tmp_path, OPTIONAL), data=str(tmp_path / "data" / "faces.csv"))
    assert "b" in plan.weights


@pytest.mark.parametrize("place", ["working", "recipe", "faces"])
def test_votes_are_found_where_one_works_beside_the_recipe_and_beside_the_faces(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    folders = {name: tmp_path / name for name in ("working", "recipe", "faces")}
    for folder in folders.values():
        folder.mkdir()
    monkeypatch.chdir(folders["working"])
    source = folders["faces"] / "faces.zip"
    source.touch()
    member = "{name: a, backbone: {kind: pixels}, head: {kind: linear_svm}}"
    path = write(folders["recipe"], f"data: {{source: faces.zip, votes: judges.csv}}\nmembers: [{member}]\n")
    with pytest.raises(InputError) as caught:
        make_plan(path, data=str(source))
    assert all(f"`{folder}`" in str(caught.value) for folder in (Path(), folders["recipe"], folders["faces"]))
    (folders[place] / "judges.csv").touch()
    votes = make_plan(path, data=str(source)).data.votes
    assert votes is not None
    assert Path(votes).resolve() == folders[place] / "judges.csv"


def test_wrong_digest_of_weights_is_refused(tmp_path: Path) -> None:
    (tmp_path / "light.pt").write_bytes(b"x")
    text = OPTIONAL.replace("file: light.pt", f"file: light.pt, sha256: {'0' * 64}")
    with pytest.raises(InputError, match="sha256"):
        make_plan(write(tmp_path, text))


def test_defaults_are_merged_field_by_field(tmp_path: Path) -> None:
    text = """
defaults: {input: {size: 32, channels: 3}, head: {kind: mlp, hidden: [8]}}
members:
  - {name: a, backbone: {kind: light_cnn}, input: {size: 64}, head: linear}
"""
    member = make_plan(write(tmp_path, text)).members[0]
    assert (member.input.size, member.input.channels, member.head.kind) == (64, 3, "linear")
    assert not member.head.parameters


def test_short_forms(tmp_path: Path) -> None:
    text = """
defaults: {unfreeze: gradual, freeze: conv1}
members:
  - {name: a, backbone: {kind: light_cnn}}
  - {name: b, backbone: {kind: light_cnn}, unfreeze: none, freeze: none}
  - {name: c, backbone: {kind: light_cnn}, unfreeze: {kind: probe, epochs: 2}, freeze: {batch_norm: true}}
"""
    a, b, c = make_plan(write(tmp_path, text)).members
    assert a.unfreeze is not None
    assert a.freeze is not None
    assert (a.unfreeze.kind, a.unfreeze.head_epochs, a.freeze.until) == ("gradual", 1, "conv1")
    assert (b.unfreeze, b.freeze) == (None, None)
    assert c.unfreeze is not None
    assert c.freeze is not None
    assert (c.unfreeze.kind, c.unfreeze.head_epochs, c.freeze.batch_norm) == ("probe", 2, True)


def test_a_search_has_to_leave_epochs_for_what_is_unfrozen(tmp_path: Path) -> None:
    text = """
members:
  - {name: a, backbone: {kind: light_cnn}, epochs: 9, unfreeze: {kind: probe, epochs: 3}}
tune: {epochs: EPOCHS, search: {optimizer.lr: {low: 1.0e-4, high: 1.0e-2, log: true}}}
"""
    make_plan(write(tmp_path, text.replace("EPOCHS", "4")))
    with pytest.raises(InputError, match=r"tune.search.unfreeze.epochs: Expected less than the 3 of `epochs`"):
        make_plan(write(tmp_path, text.replace("EPOCHS", "3")))


def test_fingerprint_ignores_name_and_groups_but_nothing_else(tmp_path: Path) -> None:
    member = make_plan(write(tmp_path, OPTIONAL)).members[0]
    same = member.model_copy(update={"name": "z", "groups": ("q",)})
    assert member.fingerprint("d") == same.fingerprint("d")
    assert member.fingerprint("d") != member.fingerprint("e")
    changes = {"seed": 9, "epochs": 99, "batch_size": 7, "clip": 1.0, "ema": 0.5, "select": "last", "precision": "auto"}
    prints = {member.model_copy(update={key: value}).fingerprint("d") for key, value in changes.items()}
    assert len(prints | {member.fingerprint("d")}) == len(changes) + 1


@pytest.mark.parametrize("source", ["file", "synthetic"])
def test_another_kind_of_data_leaves_the_reader_of_the_yaml_behind(tmp_path: Path, source: str) -> None:
    (tmp_path / "faces.csv").write_text("emotion,pixels,Usage\n")
    faces = str(tmp_path / "faces.csv")
    drawn = "{source: synthetic, count: 3000, dedupe: true}"
    own = drawn if source == "file" else f"{{source: {faces}, reader: fer_csv, classes: {{joy: happy}}, dedupe: true}}"
    text = f"data: {own}\nmembers: [{{name: a, backbone: {{kind: pixels}}}}]\n"
    data = make_plan(write(tmp_path, text), data=faces if source == "file" else "synthetic").data
    assert (data.reader, data.classes, data.options, data.dedupe) == (None, None, {}, True)


def test_a_number_of_groups_that_absent_weights_leave_nothing_of_goes_too(tmp_path: Path) -> None:
    text = """
data: synthetic
members:
  - {name: a, backbone: {kind: pixels}}
  - {name: b, backbone: {kind: light_cnn}, weights: {file: absent.pt, optional: true}}
committee: {groups: disagreement, count: 2}
"""
    plan = make_plan(write(tmp_path, text))
    assert [member.name for member in plan.members] == ["a"]
    assert plan.committee.members == ("a",)
