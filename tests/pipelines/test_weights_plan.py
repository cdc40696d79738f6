"""Every way of naming weights is resolved, or refused, when a fit is planned: without torch, and all at once."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file
from support import Outcome

from backbones.errors import InputError
from ensemble.expression import EXPRESSIONS
from ensemble.spec import MemberSpec
from ensemble.weights_catalogue import CATALOGUE
from pipelines.plan import Plan, make_plan

Cli = Callable[..., Outcome]

INPUTS = {
    "vgg16": "input: {size: 48, channels: 3}",
    "facenet": "input: {size: 160, channels: 3, normalize: backbone}",
    "light_cnn": "input: {size: 128, normalize: backbone}",
    "mobile_facenet": "input: {size: 112, channels: 3, normalize: backbone}",
}


def plan(*members: str, **options: Any) -> Plan:
    """The plan of a file with these members."""
    listed = "".join(f"  - {{{member}}}\n" for member in members)
    Path("m.yaml").write_text(f"members:\n{listed}")
    return make_plan(Path("m.yaml"), **options)


def refusal(*members: str, **options: Any) -> str:
    with pytest.raises(InputError) as caught:
        plan(*members, **options)
    return str(caught.value)


def of_catalogue(name: str, more: str = "") -> str:
    """A member that suits the entry."""
    entry = CATALOGUE[name]
    flags = "".join(f", {key}: {str(value).lower()}" for key, value in entry.parameters.items())
    backbone = f"backbone: {{kind: {entry.backbone}{flags}}}"
    return f"name: {name}, {backbone}, {INPUTS[entry.backbone]}, weights: {name}{more}"


@pytest.fixture
def have(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Put bytes where an entry's file is looked for, and publish them."""

    def put(name: str, content: bytes = b"tensors") -> Path:
        monkeypatch.setitem(
            CATALOGUE,  # type: ignore[arg-type]
            name,
            replace(CATALOGUE[name], sha256=hashlib.sha256(content).hexdigest()),
        )
        file = Path("weights") / CATALOGUE[name].file
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(content)
        return file

    return put


@pytest.mark.parametrize("name", CATALOGUE)
def test_each_missing_entry_is_one_clear_error(cli: Cli, name: str) -> None:
    Path("m.yaml").write_text(f"members:\n  - {{{of_catalogue(name)}}}\n")
    outcome = cli("fit", "--members", "m.yaml")
    assert outcome.code == 2
    assert "1 problem, nothing was read or trained" in outcome.err
    assert f"`{name}` (the file {CATALOGUE[name].file}" in outcome.err
    assert (
        f"Run `ensemble weights fetch {name}`, or put the file there, or name its folder: `--weights DIR`"
        in outcome.err
    )
    assert "`weights`" in outcome.err
    assert "Traceback" not in outcome.err
    assert not Path("mlruns").exists()


def test_all_missing_entries_are_told_at_once_quickly_and_without_torch() -> None:
    Path("m.yaml").write_text("members:\n" + "".join(f"  - {{{of_catalogue(name)}}}\n" for name in CATALOGUE))
    code = (
        "import sys\nsys.argv = ['ensemble', 'fit', '--members', 'm.yaml']\n"
        "from pipelines.cli import main\n"
        "try:\n    main()\nexcept SystemExit as ending:\n    print(ending.code, 'torch' in sys.modules)\n"
    )
    started = time.monotonic()
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["2", "False"]
    for name in CATALOGUE:
        assert f"ensemble weights fetch {name}`" in done.stderr
    # 5 s on an idle machine; tests may share it.
    assert time.monotonic() - started < 15


def test_missing_optional_ones_leave_the_member_out_or_refuse_if_nobody_is_left() -> None:
    optional = "name: b, backbone: {kind: mobile_facenet}, weights: {name: mobilefacenet, optional: true}"
    made = plan("name: a, backbone: {kind: light_cnn}", optional)
    assert [m.name for m in made.members] == ["a"]
    assert "b is left out: `mobilefacenet` (the file mobilefacenet.pt, 4.1 MB) is not in" in made.notes[0]
    assert "ensemble weights fetch mobilefacenet" in made.notes[0]
    assert "ensemble weights fetch mobilefacenet" in refusal(optional)


def test_a_missing_file_of_the_catalogue_is_offered() -> None:
    text = refusal("name: b, backbone: {kind: mobile_facenet}, weights: {file: mobilefacenet.pt}")
    assert "'mobilefacenet.pt' is not in" in text
    assert "`ensemble weights fetch mobilefacenet` gets it" in text


def test_names_are_resolved_with_their_origin(have: Any) -> None:
    file = have("vggface2")
    made = plan(of_catalogue("vggface2"))
    weights = made.members[0].weights
    assert weights is not None
    assert made.weights == {"vggface2": file}
    assert weights.sha256 == hashlib.sha256(b"tensors").hexdigest()
    assert (weights.licence, weights.training_set) == ("MIT", "VGGFace2")
    assert str(weights.source).endswith("20180402-114759-vggface2.pt")
    assert not made.notes


def test_the_same_file_by_name_and_by_path_is_the_same_member(have: Any) -> None:
    have("mobilefacenet")
    by_name = plan(of_catalogue("mobilefacenet")).members[0]
    by_path = plan(of_catalogue("mobilefacenet").replace("weights: mobilefacenet", "weights: {file: mobilefacenet.pt}"))
    assert by_path.members[0].fingerprint("d") == by_name.fingerprint("d")
    assert by_path.members[0].weights is not None
    assert by_path.members[0].weights.licence == "Apache-2.0"  # known by its content


def test_a_name_may_stand_in_the_defaults(have: Any) -> None:
    have("mobilefacenet")
    text = f"defaults: {{weights: mobilefacenet, backbone: {{kind: mobile_facenet}}, {INPUTS['mobile_facenet']}}}\n"
    Path("m.yaml").write_text(f"{text}members: [{{name: a}}, {{name: b, weights: random}}]\n")
    first, second = make_plan(Path("m.yaml")).members
    assert (first.weights is not None, second.weights) == (True, None)


def test_another_content_is_refused(have: Any) -> None:
    file = have("vggface2")
    file.write_bytes(b"other")
    text = refusal(of_catalogue("vggface2"))
    assert "to be the weights `vggface2`, whose published sha256 is" in text
    assert "`ensemble weights fetch vggface2 --to weights` to replace it" in text


def test_folders_are_searched_in_order(have: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = have("vggface2").name
    places = [Path("weights"), Path(), Path("own"), Path("given")]
    monkeypatch.setenv("ENSEMBLE_WEIGHTS", "own")
    for place in places:
        place.mkdir(exist_ok=True)
        (place / name).write_bytes(b"tensors")
        made = plan(of_catalogue("vggface2"), weights_folders=[Path("given")])
        assert made.weights["vggface2"] == place / name


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Files whose digest was computed."""
    seen: list[Path] = []

    def digest(path: Path) -> str:
        seen.append(path)
        return hashlib.sha256(path.read_bytes()).hexdigest()

    monkeypatch.setattr("pipelines.weights_plan.digest_file", digest)
    return seen


def test_each_file_is_read_once_and_none_beside_a_mistake(have: Any, read: list[Path]) -> None:
    file = have("vggface2")
    members = [of_catalogue("vggface2"), of_catalogue("vggface2").replace("name: vggface2", "name: again", 1)]
    for wrong in ("name: c, backbone: {kind: facenett}", "name: c, backbone: {kind: facenet}, weights: {file: no.pt}"):
        refusal(*members, wrong)
        assert not read
    assert set(plan(*members).weights) == {"vggface2", "again"}
    assert read == [file]


def test_a_digest_may_be_written_in_capitals(have: Any) -> None:
    have("vggface2")
    sha256 = hashlib.sha256(b"tensors").hexdigest()
    member = of_catalogue("vggface2").replace(
        "weights: vggface2", f"weights: {{name: vggface2, sha256: {sha256.upper()}}}"
    )
    weights = plan(member).members[0].weights
    assert weights is not None
    assert weights.sha256 == sha256


def test_where_no_digest_is_published_the_record_counts(have: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    file = have("lightcnn9")
    monkeypatch.setitem(CATALOGUE, "lightcnn9", replace(CATALOGUE["lightcnn9"], sha256=None))  # type: ignore[arg-type]
    assert plan(of_catalogue("lightcnn9")).weights
    file.with_name(f"{file.name}.json").write_text(json.dumps({"sha256": "0" * 64}))
    assert f"recorded in {file.name}.json is 000" in refusal(of_catalogue("lightcnn9"))


@pytest.mark.parametrize(
    ("member", "message"),
    [
        ("backbone: {kind: light_cnn}, weights: vgface2", "Did you mean `vggface2`? For a file: `weights: {file: …}`"),
        (
            "backbone: {kind: light_cnn}, weights: vggface2",
            "weights for the backbone `light_cnn`, but `vggface2` is for `facenet`. Its own are `lightcnn9`.",
        ),
        (
            "backbone: {kind: scratch_cnn, blocks: [{filters: 4}]}, weights: vgg16",
            "for `vgg16`. The catalogue has none for that.",
        ),
        (
            "backbone: {kind: vgg16}, weights: vgg16_bn",
            "Expected `backbone.batch_norm` to be true for the weights `vgg16_bn`, but got false",
        ),
        (
            "backbone: {kind: vgg16, batch_norm: true}, weights: vgg16",
            "Expected `backbone.batch_norm` to be false for the weights `vgg16`, but got true",
        ),
        (
            "backbone: {kind: facenet}, weights: vggface2, input: {size: 160, channels: 1}",
            "Expected `input.channels` to be 3 for the weights `vggface2`, but got 1",
        ),
        (
            "backbone: {kind: facenet}, weights: vggface2, input: {size: 48, channels: 3}",
            "Expected `input.size` to be at least 75 for the weights `vggface2`, but got 48",
        ),
        (
            "backbone: {kind: light_cnn}, weights: lightcnn9, input: {size: 48}",
            "Expected `input.size` to be 128 for the weights `lightcnn9`, but got 48. Set it, or `backbone: {kind: "
            "light_cnn, grid: pool}`.",
        ),
    ],
)
def test_weights_that_cannot_work_are_refused_present_or_not(have: Any, member: str, message: str) -> None:
    assert message in refusal(f"name: a, {member}")
    for name in CATALOGUE:
        have(name)
    assert message in refusal(f"name: a, {member}")


@pytest.mark.parametrize(
    "change",
    [
        "backbone: {kind: light_cnn, grid: pool}, weights: lightcnn9",
        "backbone: {kind: light_cnn}, weights: {name: lightcnn9, minimum: 0.2}",
        "backbone: {kind: light_cnn}, weights: lightcnn9, head: {kind: dal, hidden: 64, attach: conv}",
    ],
)
def test_what_the_yaml_allows_is_allowed(have: Any, change: str) -> None:
    have("lightcnn9")
    assert plan(f"name: a, {change}, input: {{size: 48, normalize: backbone}}").weights


LENT = {"backbone": {"kind": "scratch_cnn", "blocks": [{"filters": 4, "dropout": 0.1}]}, "input": {"size": 24}}
OWN = "backbone: {kind: scratch_cnn, blocks: [{filters: 4}]}, input: {size: 24}"


@pytest.fixture
def lender() -> Path:
    """A committee of one member, as far as a plan looks at it."""
    folder = Path("mlruns/committees/first")
    member = folder / "members" / "plain"
    member.mkdir(parents=True)
    (member / "weights.safetensors").write_bytes(b"weights")
    spec = MemberSpec.model_validate({"name": "plain", **LENT, "weights": {"file": "a", "licence": "MIT"}})
    write_lent(member, spec)
    (folder / "manifest.json").write_text(json.dumps({"members": ["plain"], "files": {}}))
    return folder


def write_lent(member: Path, spec: MemberSpec, **more: Any) -> None:
    sha256 = hashlib.sha256((member / "weights.safetensors").read_bytes()).hexdigest()
    content = {"spec": spec.model_dump(mode="json"), "weights_sha256": sha256, "classes": EXPRESSIONS, "face_size": 48}
    (member / "spec.json").write_text(json.dumps(content | more))


@pytest.mark.parametrize(
    "given", ["run: first, member: plain", "run: first", "run: mlruns/committees/first, member: plain"]
)
def test_an_earlier_member_is_found(lender: Path, given: str) -> None:
    made = plan(f"name: a, {OWN}, weights: {{{given}}}")
    weights = made.members[0].weights
    assert weights is not None
    assert made.weights == {"a": lender / "members" / "plain" / "weights.safetensors"}
    assert (weights.run, weights.member, weights.licence) == (str(lender.resolve()), "plain", "MIT")
    assert weights.sha256 == hashlib.sha256(b"weights").hexdigest()
    assert weights.label == "first/plain"
    assert not made.notes


@pytest.mark.parametrize(
    ("member", "message"),
    [
        (f"{OWN}, weights: {{run: frist}}", "there is no backbone to take from `frist`: Expected `run`"),
        (f"{OWN}, weights: {{run: first, member: plian}}", "Did you mean `plain`?"),
        (
            "backbone: {kind: light_cnn}, weights: {run: first}",
            "a member with the backbone `light_cnn`, but that of `plain` of `first` is `scratch_cnn`",
        ),
        (
            f"{OWN}, weights: {{run: ~nosuchuser/first}}",
            "Expected `~nosuchuser/first` to begin with a home folder, but there is none for `~nosuchuser`",
        ),
        (f"{OWN}, weights: {{file: ~nosuchuser/x.pt}}", "members.a.weights.file: Expected `~nosuchuser/x.pt` to begin"),
        (
            f"{OWN}, weights: {{run: first}}".replace("filters: 4", "filters: 8"),
            "Expected `backbone.blocks` to be [{'filters': 4}] as in `plain` of `first`, but got [{'filters': 8}]",
        ),
        (f"{OWN}, weights: {{run: first, sha256: {'a' * 64}}}", "Expected sha256 aaa"),
        (f"{OWN}, weights: {{run: first, file: a.pt}}", "one of `name`, `file` and `run`"),
    ],
)
@pytest.mark.usefixtures("lender")
def test_earlier_members_that_cannot_be_taken_are_refused(member: str, message: str) -> None:
    assert message in refusal(f"name: a, {member}")


def test_earlier_members_that_are_not_whole_are_refused(lender: Path) -> None:
    member = f"name: a, {OWN}, weights: {{run: first}}"
    weights = lender / "members" / "plain" / "weights.safetensors"
    weights.write_bytes(b"other")
    assert "Expected sha256" in refusal(member)
    write_lent(weights.parent, MemberSpec.model_validate({"name": "plain", **LENT, "folds": 3}), kind="folded")
    assert "was trained in 3 folds. Name one of its copies: `member: plain/folds/0`" in refusal(member)
    copy = weights.parent / "folds" / "0"
    copy.mkdir(parents=True)
    (copy / "weights.safetensors").write_bytes(b"copy")
    write_lent(copy, MemberSpec.model_validate({"name": "plain", **LENT}))
    assert plan(member.replace("run: first", "run: first, member: plain/folds/0")).weights == {
        "a": copy / "weights.safetensors"
    }
    other = member.replace("run: first", "run: first, member: plain/folds/0").replace("filters: 4", "filters: 8")
    assert "as in `plain/folds/0` of `first`" in refusal(other)
    (weights.parent / "spec.json").write_text(json.dumps({"kind": "outside"}))
    assert "is an outside member itself" in refusal(member)
    (lender / "manifest.json").unlink()
    (lender / "committee.yaml").write_text("")
    assert "its fit has not ended" in refusal(member)


def test_an_absent_optional_one_leaves_the_member_out() -> None:
    made = plan("name: a, backbone: {kind: light_cnn}", f"name: b, {OWN}, weights: {{run: none, optional: true}}")
    assert [m.name for m in made.members] == ["a"]
    assert "b is left out: there is no backbone to take from `none`" in made.notes[0]


@pytest.mark.usefixtures("lender")
def test_another_input_than_the_earlier_members_is_noted() -> None:
    (note,) = plan(
        f"name: a, {OWN}, weights: {{run: first}}".replace("size: 24", "size: 32, normalize: equalize")
    ).notes
    assert "`plain` was trained on 1×24×24, mean_std; this member sees 1×32×32, equalize" in note


ON_TOP = """
data: {source: synthetic, count: 210}
defaults: {epochs: 1, batch_size: 32, input: {size: 48, channels: 1}}
members:
  - name: after
    backbone: {kind: scratch_cnn, blocks: [{filters: 8}, {filters: 12}]}
    weights: {run: tiny, member: plain, licence: ours}
    freeze: backbone
    head: {kind: mlp, hidden: [16]}
"""


def test_fine_tuning_starts_from_the_earlier_backbone_and_tells_so(tiny: Path, cli: Cli) -> None:
    (tiny / "after.yaml").write_text(ON_TOP)
    outcome = cli("fit", "--members", "after.yaml", "--jobs", "1")
    assert outcome.code == 0, outcome.err
    committees = tiny / "mlruns" / "committees"
    before = load_file(committees / "tiny" / "members" / "plain" / "weights.safetensors")
    after = load_file(committees / "after" / "members" / "after" / "weights.safetensors")
    backbone = [name for name in before if name.startswith("backbone.")]
    old_head = len(before) - len(backbone)
    line = f"{len(backbone)} tensors loaded, {old_head} of the old head dropped, none missing"
    assert f"after: weights tiny/plain (licence ours): {line}" in outcome.err
    assert all((after[name] == before[name]).all() for name in backbone)  # frozen, so as it was
    content = json.loads((committees / "after" / "members" / "after" / "spec.json").read_text())
    assert content["spec"]["weights"]["licence"] == "ours"
    assert content["weights_report"] == {
        "loaded": len(backbone), "adapted": 0, "missing": 0, "unexpected": 0, "dropped": old_head, "share": 1.0,
        "missing_names": [], "unexpected_names": [],
    }  # fmt: skip
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=f"sqlite:///{tiny / 'mlruns' / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("ensemble")
    runs = client.search_runs([experiment.experiment_id], "tags.member = 'after'")
    assert runs[0].data.tags["weights.licence"] == "ours"
    assert runs[0].data.tags["weights.name"] == runs[0].data.params["weights"] == "tiny/plain"
