"""Members that a fit does not train: taken in, fused, evaluated, asked to predict; and refused where they are wrong."""

from __future__ import annotations

import csv
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from support import Outcome

import pipelines
from ensemble.bank import load_posteriors
from ensemble.expression import EXPRESSIONS
from pipelines.bundle import changed_files
from pipelines.face_loading import load_faces

Cli = Callable[..., Outcome]

NET = "backbone: {kind: scratch_cnn, blocks: [{filters: 4}]}"
DEFAULTS = "defaults: {epochs: 1, batch_size: 64, groups: [all], input: {size: 24}}"
LENDER = f"""
name: lender
data: colour
{DEFAULTS}
members:
  - {{name: plain, {NET}}}
"""
MIXED = f"""
name: mixed
data: {{source: synthetic, count: 210}}
views: 2
{DEFAULTS}
members:
  - {{name: old, groups: [lent], committee: {{folder: lender, member: plain}}}}
  - {{name: their_net, groups: [outside], posteriors: {{file: theirs.csv}}}}
  - {{name: plain, {NET}}}
"""
VOTED = f"""
name: voted
data: {{source: synthetic, count: 210, votes: votes.csv}}
{DEFAULTS}
members:
  - {{name: lent, committee: {{folder: mixed, member: plain}}}}
  - {{name: judged, targets: both, {NET}}}
"""
DATA = {"options": {"count": 210}, "cache": Path("mlruns/cache")}
MEMBERS = Path("mlruns/committees/mixed/members")


def posteriors(order: Any = slice(None)) -> list[dict[str, Any]]:
    """Rows of a foreign net that is right more often than not."""
    faces = load_faces("synthetic", **DATA).split("validation")
    probs = np.random.default_rng(1).dirichlet(np.ones(7), size=len(faces)) + 0.5 * np.eye(7)[faces.labels]
    probs /= probs.sum(axis=1, keepdims=True)
    rows = [
        {"id": str(name), **{f"p_{c}": float(p) for c, p in zip(EXPRESSIONS, row, strict=True)}}
        for name, row in zip(faces.ids, probs, strict=True)
    ]
    return [rows[k] for k in np.arange(len(rows))[order]]


def write_colour_faces() -> None:
    """Training and validation faces of the lender: smaller than those of `mixed`, and in colour."""
    store = load_faces("synthetic", **DATA)
    for split in ("train", "validation"):
        faces = store.split(split)
        for number, (image, label) in enumerate(zip(faces.images, faces.labels, strict=True)):
            folder = Path("colour") / split / EXPRESSIONS[label]
            folder.mkdir(parents=True, exist_ok=True)
            small = Image.fromarray(np.array(image)).resize((32, 32))
            Image.merge("RGB", (small, small.point(lambda p: p // 2), small)).save(folder / f"{number}.png")


def write(rows: list[dict[str, Any]], name: str = "theirs.csv") -> None:
    with Path(name).open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A working directory with the committees `lender` and `mixed`."""
    folder, before = tmp_path_factory.mktemp("outside"), Path.cwd()
    os.chdir(folder)
    try:
        write_colour_faces()
        Path("lender.yaml").write_text(LENDER)
        pipelines.fit("lender.yaml", jobs=1, track=False, quiet=True)
        write(posteriors())
        Path("mixed.yaml").write_text(MIXED)
        pipelines.fit("mixed.yaml", jobs=1, quiet=True)
    finally:
        os.chdir(before)
    return folder


@pytest.fixture
def mixed(fitted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it, as the working directory."""
    shutil.copytree(fitted, tmp_path / "work")
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path / "work"


def fit(cli: Cli) -> Outcome:
    return cli("fit", "--members", "mixed.yaml", "--jobs", "1", "--no-track")


def test_they_are_stored_fused_and_reported_like_others(mixed: Path, cli: Cli) -> None:
    folder = mixed / "mlruns" / "committees" / "mixed"
    assert changed_files(folder) == []
    assert {p.name for p in (MEMBERS / "their_net").iterdir()} == {"spec.json", "posteriors.npz"}
    stored = load_posteriors(MEMBERS / "their_net" / "posteriors.npz").splits["validation"]
    np.testing.assert_allclose(stored.probs[0], [list(row.values())[1:] for row in posteriors()])
    spec = json.loads((MEMBERS / "their_net" / "spec.json").read_text())
    assert (spec["kind"], spec["parameters"], spec["epochs"]) == ("outside", None, None)
    report = json.loads((folder / "report.json").read_text())
    assert [m["name"] for m in report["members"]] == ["old", "their_net", "plain"]
    assert [m["parameters"] is None for m in report["members"]] == [False, True, False]
    rows = (folder / "report.md").read_text().splitlines()
    assert next(row for row in rows if "their_net" in row).endswith("|  |  |  |")
    before = (folder / "committee.json").read_bytes()
    for command in ("fuse", "evaluate"):
        outcome = cli(command, "--committee", "mixed")
        assert outcome.code == 0, outcome.err
        assert "their_net" in outcome.out
    assert (folder / "committee.json").read_bytes() == before


NO_TORCH = """
import sys
from pipelines.fuse import fuse_committee
fuse_committee("mixed", groups=GROUPS)
networks = ("torch", "torchvision", "timm", "facenet_pytorch", "mlflow")
print("LOADED", [name for name in networks if name in sys.modules], "sklearn" in sys.modules, "pandas" in sys.modules)
"""


@pytest.mark.parametrize(("groups", "clustered"), [(None, False), ("family", False), ("disagreement", True)])
def test_a_refit_with_a_member_without_a_network_loads_no_torch(
    mixed: Path, groups: str | None, clustered: bool
) -> None:
    path = MEMBERS.parent / "committee.json"
    before = json.loads(path.read_text())
    path.unlink()
    done = subprocess.run(
        [sys.executable, "-c", NO_TORCH.replace("GROUPS", repr(groups))], capture_output=True, text=True, check=True
    )
    # Only the clustering needs scikit-learn, which brings pandas along.
    assert done.stdout.splitlines()[-1] == f"LOADED [] {clustered} {clustered}"
    assert "their_net" in done.stdout
    after = json.loads(path.read_text())
    assert (after == before) == (groups is None)
    assert changed_files(MEMBERS.parent) == []


def test_runs_in_mlflow(mixed: Path) -> None:
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{mixed}/mlruns/mlflow.db")
    runs = {run.info.run_name: run for run in client.search_runs(["1"])}
    assert set(runs) == {"mixed", "old", "their_net", "plain"}
    tags, metrics = runs["their_net"].data.tags, runs["their_net"].data.metrics
    assert (tags["stage"], tags["family"], tags["groups"]) == ("member", "outside", "outside")
    assert "validation/accuracy" in metrics
    assert "fit/parameters" not in metrics
    assert {run.info.status for run in runs.values()} == {"FINISHED"}
    assert runs["mixed"].data.params["members"] == "3"


def test_a_second_fit_touches_nothing(mixed: Path, cli: Cli) -> None:
    before = {p: p.stat().st_mtime_ns for p in MEMBERS.rglob("*") if p.is_file()}
    outcome = fit(cli)
    assert outcome.code == 0, outcome.err
    assert "their_net: taken in before, kept" in outcome.err
    assert outcome.err.count("finished before, kept") == 2
    assert "plain` was trained on other data (colour)" in outcome.err
    assert {p: p.stat().st_mtime_ns for p in MEMBERS.rglob("*") if p.is_file()} == before


def test_a_lender_that_judged_the_same_faces_is_not_suspected(mixed: Path, cli: Cli) -> None:
    """Votes make the data another one, but not its validation faces."""
    store = load_faces("synthetic", **DATA)
    emotions = {"angry": "anger", "happy": "happiness", "sad": "sadness"}
    rows = []
    for split, usage in (("train", "Training"), ("validation", "PublicTest"), ("test", "PrivateTest")):
        faces = store.split(split)
        for name, label in zip(faces.ids, faces.labels, strict=True):
            counts = {emotions.get(c, c): 8 * (k == label) + (k == 0) for k, c in enumerate(EXPRESSIONS)}
            rows.append({"file": str(name), "Usage": usage, **counts, "contempt": 1, "unknown": 0, "NF": 0})
    write(rows, "votes.csv")
    Path("voted.yaml").write_text(VOTED)
    outcome = cli("fit", "--members", "voted.yaml", "--jobs", "1", "--no-track")
    assert outcome.code == 0, outcome.err
    assert "was trained on other data" not in outcome.err
    assert json.loads(Path("mlruns/committees/voted/members/judged/spec.json").read_text())["spec"]["targets"] == "both"
    assert cli("pack", "voted", "--out", "small", "-q").code == 0
    texts = {path: path.read_text() for path in Path("small").rglob("*") if path.suffix in (".json", ".yaml", ".md")}
    assert [str(path) for path, text in texts.items() if str(mixed.resolve()) in text] == []
    assert "votes: votes.csv" in texts[Path("small/committee.yaml")]


def test_another_order_of_rows_gives_the_same_bytes_and_another_file_another_member(mixed: Path, cli: Cli) -> None:
    files = [MEMBERS.parent / "committee.json", MEMBERS / "their_net" / "posteriors.npz"]
    before = [file.read_bytes() for file in files]
    rows = posteriors(np.random.default_rng(0).permutation(len(posteriors())))
    write([{key: row[key] for key in sorted(row, reverse=True)} for row in rows])
    assert "their_net: taken from" in fit(cli).err
    assert [file.read_bytes() for file in files] == before
    turned = {f"p_{a}": f"p_{b}" for a, b in zip(EXPRESSIONS, EXPRESSIONS[1:] + EXPRESSIONS[:1], strict=True)}
    write([{key: row[turned.get(key, key)] for key in row} for row in rows])
    assert fit(cli).code == 0
    assert [a == b for a, b in zip([file.read_bytes() for file in files], before, strict=True)] == [False, False]
    assert len([p for p in (MEMBERS.parent / "replaced").iterdir() if p.name.startswith("their_net-")]) == 2


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda rows: rows[2:], "of the 18 validation faces in"),
        (lambda rows: [*rows, {**rows[0], "id": "stranger"}], "but 1 are of none: 'stranger', the first in row 19"),
    ],
)
def test_other_faces_are_refused_before_anything_changes(
    mixed: Path, cli: Cli, change: Callable[[Any], Any], message: str
) -> None:
    write(change(posteriors()))
    outcome = fit(cli)
    assert outcome.code == 2
    assert "member `their_net`: Expected" in outcome.err
    assert message in outcome.err
    assert changed_files(mixed / "mlruns" / "committees" / "mixed") == []


def test_rows_of_other_splits_are_ignored_with_a_note(mixed: Path, cli: Cli) -> None:
    rows, store = posteriors(), load_faces("synthetic", **DATA)
    write([*rows, *({**rows[0], "id": name} for name in (*store.names("train")[:3], store.names("test")[0]))])
    outcome = fit(cli)
    assert outcome.code == 0, outcome.err
    assert "ignored: 3 of the train split and 1 of the test split" in outcome.err


def test_a_borrowed_member_keeps_its_weights_and_needs_its_lender_no_more(mixed: Path, cli: Cli) -> None:
    lender = Path("mlruns/committees/lender")
    weights = [place / "weights.safetensors" for place in (MEMBERS / "old", lender / "members" / "plain")]
    assert weights[0].read_bytes() == weights[1].read_bytes()
    shutil.rmtree(lender)
    write(posteriors(), "again.csv")
    committee = pipelines.load("mixed", posteriors={"their_net": "again.csv"})
    assert (committee.face_size, committee.members["old"].face_size) == (48, 32)
    faces = load_faces("synthetic", **DATA).split("validation")
    stored = load_posteriors(MEMBERS / "old" / "posteriors.npz").splits["validation"]
    np.testing.assert_allclose(committee.members["old"].probabilities(faces.images), stored.probs[0], atol=1e-6)
    assert stored.views == 2
    predictions = committee.predict(np.array(faces.images), ids=faces.ids.tolist(), tta=2)
    banks = {name: load_posteriors(MEMBERS / name / "posteriors.npz") for name in committee.committee.members}
    expected = committee.committee({name: b.splits["validation"].probs.mean(axis=0) for name, b in banks.items()})
    np.testing.assert_allclose(predictions.probs, expected, atol=1e-6)


def test_a_committee_may_have_no_network_at_all(mixed: Path, cli: Cli) -> None:
    Path("theirs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in posteriors()))
    outside = [f"{{name: {s}, posteriors: {{file: theirs.{s}}}}}" for s in ("csv", "jsonl")]
    Path("own.yaml").write_text(f"data: {{source: synthetic, count: 210}}\nmembers: [{', '.join(outside)}]\n")
    outcome = cli("fit", "--members", "own.yaml", "--no-track")
    assert outcome.code == 0, outcome.err
    banks = [Path(f"mlruns/committees/own/members/{s}/posteriors.npz").read_bytes() for s in ("csv", "jsonl")]
    assert banks[0] == banks[1]
    given = [part for s in ("csv", "jsonl") for part in ("--posteriors", f"{s}=theirs.{s}")]
    outcome = cli("predict", "--committee", "own", *given)
    assert outcome.code == 0, outcome.err
    assert "18 faces" in outcome.out


def test_prediction_needs_answers_for_the_faces_at_hand(mixed: Path, cli: Cli) -> None:
    outcome = cli("predict", "--committee", "mixed")
    assert outcome.code == 2
    assert "the outside member has none: their_net" in outcome.err
    assert "`ensemble predict --posteriors their_net=FILE`" in outcome.err
    outcome = cli("evaluate", "--committee", "mixed", "--split", "test")
    assert outcome.code == 2
    assert "their_net" in outcome.err
    outcome = cli("predict", "--committee", "mixed", "--tta", "2", "--posteriors", "their_net=theirs.csv")
    assert outcome.code == 0, outcome.err
    assert "mixed: 3 members" in outcome.err
    with Path("predictions.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["id"] for row in rows] == [row["id"] for row in posteriors()]
    assert {float(row["agreement"]) for row in rows} <= {0.0, 0.3333, 0.6667, 1.0}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["their_net"], "Expected `--posteriors` as NAME=FILE, but got 'their_net'"),
        (["their_nt=theirs.csv"], "Did you mean `their_net`?"),
        (["plain=theirs.csv"], "a member without a network, but got 'plain'"),
        (["their_net=absent.csv"], "Expected `absent.csv` to hold posteriors"),
        (["their_net=few.csv"], "Expected a row for each of the 18 faces to predict in few.csv, but 1 are missing"),
    ],
)
def test_wrong_answers_are_refused(mixed: Path, cli: Cli, given: list[str], message: str) -> None:
    write(posteriors()[1:], "few.csv")
    options = [part for text in given for part in ("--posteriors", text)]
    outcome = cli("predict", "--committee", "mixed", *options)
    assert outcome.code == 2
    assert message in outcome.err
    assert not Path("predictions.csv").exists()
