"""Members and data of another class list, end to end: taken in, asked to predict, evaluated; and refused."""

from __future__ import annotations

import csv
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support import Outcome

import pipelines
from ensemble.bank import load_posteriors
from ensemble.expression import EXPRESSIONS
from pipelines.bundle import changed_files, read_json, seal, unseal
from pipelines.face_loading import load_faces
from pipelines.yaml_file import read_yaml

Cli = Callable[..., Outcome]

EIGHT = (*EXPRESSIONS, "contempt")
NET = "backbone: {kind: scratch_cnn, blocks: [{filters: 4}]}"
DEFAULTS = "defaults: {epochs: 1, batch_size: 64, input: {size: 16}}"
LENDER = f"""
name: lender
data: eight
{DEFAULTS}
members:
  - {{name: plain, {NET}}}
"""
MAPPED = f"""
name: mapped
data: {{source: eight, classes: {{contempt: null}}}}
views: 2
{DEFAULTS}
members:
  - {{name: old, committee: {{folder: lender, member: plain, classes: {{contempt: null}}}}}}
  - {{name: their_net, posteriors: {{file: theirs.csv, classes: {{scorn: disgust}}}}}}
  - {{name: plain, {NET}}}
"""
MEMBERS = Path("mlruns/committees/mapped/members")


def write_faces(
    root: str, rename: Callable[[str, int], str], splits: tuple[str, ...] = ("train", "validation")
) -> None:
    """Small synthetic faces in folders; `rename` turns a class and a number into a folder, or "" for none."""
    store = load_faces("synthetic", options={"count": 210}, cache=Path("faces"))
    for split in splits:
        faces = store.split(split)
        for number, (image, label) in enumerate(zip(faces.images, faces.labels, strict=True)):
            name = rename(EXPRESSIONS[label], number)
            if name:
                folder = Path(root) / split / name
                folder.mkdir(parents=True, exist_ok=True)
                Image.fromarray(np.array(image)).resize((16, 16)).save(folder / f"{split}{number}.png")


def validation(classes: dict[str, str | None] | None = None):
    return load_faces("eight", classes=classes, cache=Path("mlruns/cache")).split("validation")


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A committee of 8 classes, and one of 7 that borrows its member and takes another tool's 8 in."""
    folder, before = tmp_path_factory.mktemp("mapping"), Path.cwd()
    os.chdir(folder)
    try:
        write_faces("eight", lambda name, number: "contempt" if number % 7 == 0 else name)
        Path("lender.yaml").write_text(LENDER)
        pipelines.fit("lender.yaml", jobs=1, track=False, quiet=True)
        faces = validation()
        probs = np.random.default_rng(0).dirichlet(np.ones(8), size=len(faces))
        with Path("theirs.csv").open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["id", "p_scorn", *(f"p_{name}" for name in EXPRESSIONS)])
            writer.writerows([name, *row] for name, row in zip(faces.ids.tolist(), probs.tolist(), strict=True))
        Path("mapped.yaml").write_text(MAPPED)
        pipelines.fit("mapped.yaml", jobs=1, track=False, quiet=True)
    finally:
        os.chdir(before)
    return folder


@pytest.fixture
def work(fitted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it, as the working directory."""
    shutil.copytree(fitted, tmp_path / "work")
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path / "work"


def read_rows(name: str) -> list[dict[str, str]]:
    with Path(name).open() as file:
        return list(csv.DictReader(file))


def without_contempt(probs: np.ndarray) -> np.ndarray:
    return probs[..., :7] / (1 - probs[..., 7:])


def test_members_of_other_classes_give_the_committees(work: Path) -> None:
    assert changed_files(MEMBERS.parent) == []
    faces = validation({"contempt": None})
    lender = pipelines.load("lender")
    assert lender.classes == EIGHT
    expected = without_contempt(lender.members["plain"].probabilities(faces.images))
    banks = {name: load_posteriors(MEMBERS / name / "posteriors.npz") for name in ("old", "their_net", "plain")}
    assert {bank.classes for bank in banks.values()} == {EXPRESSIONS}
    np.testing.assert_allclose(banks["old"].splits["validation"].probs[0], expected, atol=1e-7)

    rows = {row["id"]: row for row in read_rows("theirs.csv")}
    for name, own in zip(faces.ids, banks["their_net"].splits["validation"].probs[0], strict=True):
        row = {key: float(value) for key, value in rows[name].items() if key != "id"}
        summed = [row[f"p_{e}"] + (row["p_scorn"] if e == "disgust" else 0) for e in EXPRESSIONS]
        np.testing.assert_allclose(own, summed, rtol=1e-9)

    spec = json.loads((MEMBERS / "old" / "spec.json").read_text())
    assert spec["classes"] == list(EXPRESSIONS)
    assert spec["class_map"] == {
        "source": list(EIGHT), "target": list(EXPRESSIONS), "becomes": [*EXPRESSIONS, None],
    }  # fmt: skip
    assert "class_map" not in json.loads((MEMBERS / "plain" / "spec.json").read_text())
    content = read_yaml(MEMBERS.parent / "committee.yaml")
    assert content["data"]["classes"] == {"contempt": None}
    assert [m.get("committee", {}).get("classes") for m in content["members"] if m["name"] == "old"] == [
        {"contempt": None}
    ]


def test_prediction_applies_the_stored_map_without_the_lender(work: Path, cli: Cli) -> None:
    shutil.rmtree("mlruns/committees/lender")
    committee = pipelines.load("mapped", posteriors={"their_net": "theirs.csv"})
    assert committee.members["old"].classes == EXPRESSIONS
    faces = validation({"contempt": None})
    predictions = committee.predict(np.array(faces.images), ids=faces.ids.tolist(), tta=2)
    banks = {name: load_posteriors(MEMBERS / name / "posteriors.npz") for name in committee.committee.members}
    expected = committee.committee({name: b.splits["validation"].probs.mean(axis=0) for name, b in banks.items()})
    np.testing.assert_allclose(predictions.probs, expected, atol=1e-6)
    done = cli("predict", "--committee", "mapped", "--posteriors", "their_net=theirs.csv")
    assert done.code == 0, done.err
    rows = read_rows("predictions.csv")
    assert [row["true_label"] for row in rows] == [faces.classes[label] for label in faces.labels]
    assert "p_contempt" not in rows[0]
    assert "not scored" not in done.out


def test_a_map_that_leads_elsewhere_is_refused_at_load(work: Path, cli: Cli) -> None:
    """Where a manifest takes the file for right: by itself it is refused for its changed sha256."""
    path = MEMBERS / "old" / "spec.json"
    content = read_json(path)
    swapped = {**content["class_map"], "target": ["disgust", "angry", *EXPRESSIONS[2:]]}
    for change, message in (
        ({"class_map": swapped}, "to lead to"),
        ({"class_map": {"source": []}}, "Expected a class map with"),
        ({"class_map": swapped, "classes": swapped["target"]}, "Expected member `old`"),
    ):
        path.write_text(json.dumps({**content, **change}))
        unseal(MEMBERS.parent)
        seal(MEMBERS.parent, members=sorted(member.name for member in MEMBERS.iterdir()))
        done = cli("predict", "--committee", "mapped", "--posteriors", "their_net=theirs.csv")
        assert done.code == 2
        assert message in done.err


def test_a_second_fit_touches_nothing_and_another_map_makes_another_member(work: Path, cli: Cli) -> None:
    def fit() -> Outcome:
        done = cli("fit", "--members", "mapped.yaml", "--jobs", "1", "--no-track")
        assert done.code == 0, done.err
        return done

    before = {p: p.stat().st_mtime_ns for p in MEMBERS.rglob("*") if p.is_file()}
    done = fit()
    assert "eight mapped: contempt left out; " in done.err
    assert "rows of `" in done.err
    assert "ignored: 3 of the classes left out" in done.err
    assert {p: p.stat().st_mtime_ns for p in MEMBERS.rglob("*") if p.is_file()} == before

    old, plain = (json.loads((MEMBERS / name / "spec.json").read_text())["fingerprint"] for name in ("old", "plain"))
    text = Path("mapped.yaml").read_text()
    Path("mapped.yaml").write_text(
        text.replace("member: plain, classes: {contempt: null}", "member: plain, classes: {contempt: disgust}")
    )
    fit()
    again = [json.loads((MEMBERS / name / "spec.json").read_text())["fingerprint"] for name in ("old", "plain")]
    assert again[0] != old
    assert again[1] == plain
    lender = pipelines.load("lender").members["plain"]
    probs = lender.probabilities(validation({"contempt": None}).images)
    probs[:, 1] += probs[:, 7]
    stored = load_posteriors(MEMBERS / "old" / "posteriors.npz").splits["validation"].probs[0]
    np.testing.assert_allclose(stored, probs[:, :7], atol=1e-7)


def test_a_member_that_lacks_a_class_or_has_one_too_many_is_refused_with_what_to_do(work: Path, cli: Cli) -> None:
    for data, loan, message in (
        ("{source: eight, classes: {contempt: null}}", "", "`classes: {contempt: null}` leaves it out"),
        ("{source: eight, classes: {neutral: bored}}", "", "Expected the classes angry, disgust, fear, happy, sad, "),
        ("eight", ", classes: {contempt: sad}", "but contempt has none: it knows"),
        ("eight", ", classes: {contempt: null}", "a member with `weights: {run: "),
        ("eight", ", classes: {contemt: null}", "Did you mean `contempt`?"),
    ):
        member = f"{{name: x, committee: {{folder: lender, member: plain{loan}}}}}"
        Path("own.yaml").write_text(f"data: {data}\n{DEFAULTS}\nmembers: [{member}]\n")
        done = cli("fit", "--members", "own.yaml", "--jobs", "1", "--no-track")
        assert done.code == 2
        assert message in done.err
        assert not Path("mlruns/committees/own/manifest.json").exists()


def report(name: str) -> dict:
    return json.loads(Path(f"mlruns/committees/lender/evaluation/{name}-validation/report.json").read_text())


def test_evaluation_compares_names_on_data_that_lacks_classes(work: Path, cli: Cli) -> None:
    """Folders in another order of classes, two of the committee's eight missing."""
    write_faces("few", lambda name, number: {"neutral": "", "happy": "Joy"}.get(name, name))
    done = cli("evaluate", "--committee", "lender", "--data", "few")
    assert done.code == 0, done.err
    assert "no validation face of few is of neutral, contempt: macro F1 is that of the others" in done.err
    found = report("few")
    assert found["classes"] == list(EIGHT)
    faces = load_faces("few", cache=Path("mlruns/cache")).split("validation")
    votes = pipelines.load("lender").predict(np.array(faces.images), ids=faces.ids.tolist()).names
    truths = ["happy" if "/Joy/" in name else name.split("/")[-2] for name in faces.ids.tolist()]
    assert found["committee"]["accuracy"] == pytest.approx(
        np.mean([v == t for v, t in zip(votes, truths, strict=True)])
    )
    support = {row["class"]: row["support"] for row in found["class_scores"]}
    assert support == {name: truths.count(name) for name in EIGHT}
    f1 = [row["f1"] for row in found["class_scores"] if row["support"]]
    assert found["committee"]["macro_f1"] == pytest.approx(np.mean(f1))
    assert len(f1) == 6


def test_evaluation_on_classes_that_the_committee_does_not_know(work: Path, cli: Cli) -> None:
    write_faces("bored", lambda name, number: "bored" if name == "neutral" else "calm" if name == "sad" else name)
    done = cli("evaluate", "--committee", "lender", "--data", "bored")
    assert done.code == 2
    assert "of its validation faces are of bored" in done.err
    assert "`--classes bored=` leaves them out" in done.err
    done = cli("evaluate", "--committee", "lender", "--data", "bored", "--classes", "bored=,calm=sad")
    assert done.code == 0, done.err
    supports = {row["class"]: row["support"] for row in report("bored")["class_scores"]}
    assert supports["neutral"] == 0
    assert supports["sad"] > 0
    done = cli("evaluate", "--committee", "lender", "--classes", "bored=")
    assert done.code == 2
    assert "Expected `--classes` beside `--data` only" in done.err


def predicted(cli: Cli, *more: str) -> tuple[list[dict[str, str]], str]:
    done = cli("predict", "bored", "--committee", "lender", *more)
    assert done.code == 0, done.err
    return read_rows("predictions.csv"), done.out


def test_prediction_shows_the_sources_names_and_scores_those_it_knows(work: Path, cli: Cli) -> None:
    write_faces("bored", lambda name, number: "bored" if name == "neutral" else name, splits=("validation",))
    shutil.move("bored/validation", "inner")
    shutil.rmtree("bored")
    shutil.move("inner", "bored")  # folders of classes alone, which are divided
    rows, out = predicted(cli)
    assert {row["id"]: row["true_label"] for row in rows} == {row["id"]: row["id"].split("/")[0] for row in rows}
    bored = [row for row in rows if row["true_label"] == "bored"]
    assert bored
    assert f"not scored, of classes that the committee does not know: bored {len(bored)}." in out
    assert len(rows) == sum(1 for _ in Path("bored").rglob("*.png"))

    fewer, out = predicted(cli, "--classes", "bored=")
    assert fewer == [row for row in rows if row["true_label"] != "bored"]
    assert "not scored, of" not in out
    merged, out = predicted(cli, "--classes", "bored=neutral")
    assert [row["true_label"] for row in merged] == [row["true_label"].replace("bored", "neutral") for row in rows]
    assert "not scored, of" not in out


def test_classes_belong_to_labelled_data(work: Path, cli: Cli) -> None:
    image = next(Path("eight").rglob("*.png"))
    for args, message in (
        ((str(image),), "Expected one labelled data set"),
        (("eight", "--detect", "mtcnn"), "Expected one labelled data set"),
        ((), "Expected INPUT beside `--classes`"),
    ):
        done = cli("predict", *args, "--committee", "lender", "--classes", "contempt=")
        assert done.code == 2
        assert message in done.err
    done = cli("predict", "eight", "--committee", "lender", "--classes", "contemt=")
    assert done.code == 2
    assert "Did you mean `contempt`?" in done.err
