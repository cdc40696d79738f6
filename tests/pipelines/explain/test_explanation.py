from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support import Outcome

import pipelines
from pipelines.atomic import CHECKSUM, write_checked_json
from pipelines.bundle import changed_files
from pipelines.explain.request import METHODS, QUICK, read_methods
from pipelines.explain.saliency import gradcam_maps, occlusion_maps
from pipelines.explain.subject import Subject
from pipelines.face_loading import load_faces

Cli = Callable[..., Outcome]
FOLDER = Path("mlruns/committees/tiny")


def read(folder: Path) -> dict[str, object]:
    content = json.loads((folder / "index.json").read_text())
    assert isinstance(content, dict)
    return content


@pytest.fixture
def faces(tiny: Path) -> np.ndarray:
    return np.array(
        load_faces("synthetic", options={"count": 210}, cache=Path("mlruns/cache")).split("validation").images
    )


def test_sheets_are_written_listed_and_logged(tiny: Path, cli: Cli) -> None:
    outcome = cli("explain", "--faces", "2", "--choose", "random")
    assert outcome.code == 0, outcome.err
    index = read(FOLDER / "explain")
    files = {sheet["file"] for sheet in index["sheets"]}  # type: ignore[attr-defined]
    members = ("plain", "residual")
    assert files == {"gradcam.png", "occlusion.png", "agreement.png"} | {
        f"{method}-{name}.png" for method in ("filters", "activations") for name in members
    }
    for name in files:
        pixels = np.asarray(Image.open(FOLDER / "explain" / name).convert("L"))
        assert pixels.std() > 5, name  # not blank
    assert len(index["faces"]) == 2  # type: ignore[arg-type]
    matrix = next(s for s in index["sheets"] if s["method"] == "agreement")["rank_correlation"]["occlusion"]  # type: ignore[attr-defined]
    assert matrix["names"] == [*members, "COMMITTEE"]
    assert np.allclose(np.diag(matrix["matrix"]), 1)
    assert all(name in (FOLDER / "explain" / "index.md").read_text() for name in files)
    assert changed_files(FOLDER) == []
    from mlflow import MlflowClient

    runs = json.loads((FOLDER / "tracking.json").read_text())
    client = MlflowClient(f"sqlite:///{Path('mlruns/mlflow.db').resolve()}")
    logged = {Path(f.path).name for f in client.list_artifacts(runs["parent"], "figures/explain")}
    assert logged == {"gradcam.png", "occlusion.png", "agreement.png", "index.json", "index.md"}
    own = {Path(f.path).name for f in client.list_artifacts(runs["members"]["plain"], "figures/explain")}
    assert own == {"filters-plain.png", "activations-plain.png"}


def test_the_same_call_gives_the_same_bytes_and_replaces_its_sheets(tiny: Path, cli: Cli) -> None:
    args = (
        "explain",
        "--no-track",
        "--faces",
        "1",
        "--choose",
        "confident",
        "--what",
        "gradcam,ascent",
        "--member",
        "plain",
    )
    for out in ("a", "b"):
        assert cli(*args, "--out", out).code == 0
    names = sorted(path.name for path in Path("a").iterdir())
    assert names == ["ascent-plain.png", "gradcam.png", "index.json", "index.md"]
    for name in names:
        assert (Path("a") / name).read_bytes() == (Path("b") / name).read_bytes()
    (Path("b") / "mine.png").write_bytes(b"kept")
    assert (
        cli("explain", "--no-track", "--faces", "1", "--what", "filters", "--choose", "random", "--out", "b").code == 0
    )
    assert {path.name for path in Path("b").iterdir()} == {
        "filters-plain.png", "filters-residual.png", "index.json", "index.md", "mine.png",
    }  # fmt: skip


def test_given_faces_and_a_class_are_explained(tiny: Path, cli: Cli, faces: np.ndarray) -> None:
    Image.fromarray(faces[0]).save("one.png")
    Image.fromarray(faces[1]).save("two.png")
    outcome = cli(
        "explain", "one.png", "two.png", "--no-track", "--what", "gradcam,dream", "--expression", "joy", "--out", "x"
    )
    assert outcome.code == 0, outcome.err
    index = read(Path("x"))
    assert [face["id"] for face in index["faces"]] == ["one.png", "two.png"]  # type: ignore[attr-defined]
    assert {face["explained"] for face in index["faces"]} == {"happy"}  # type: ignore[attr-defined]
    dream = next(s for s in index["sheets"] if s["file"] == "dream-plain.png")  # type: ignore[attr-defined]
    assert dream["start"] == "one.png"
    assert all(dream["after"][name] >= dream["before"][name] for name in dream["before"])
    said = pipelines.load("tiny").predict(["one.png"])
    assert index["faces"][0]["predicted"] == said.names[0]  # type: ignore[index]
    assert index["faces"][0]["probability"] == pytest.approx(float(said.probs.max()), abs=1e-6)  # type: ignore[index]


def test_the_committees_occlusion_is_that_of_asking_it(tiny: Path, faces: np.ndarray) -> None:
    committee = pipelines.load("tiny")
    subjects = [Subject(name=name, member=member) for name, member in committee.members.items()]
    target = np.array([0, 3])
    own = occlusion_maps(subjects, faces[:2], target, committee=committee.committee, outside={})

    class Whole:
        name = "whole"
        member = type("Answers", (), {"probabilities": staticmethod(lambda f: committee.predict(f).probs)})

    asked = occlusion_maps([Whole()], faces[:2], target, committee=None, outside={})  # type: ignore[list-item]
    assert own.committee is not None
    np.testing.assert_allclose(own.committee, asked.members["whole"], atol=1e-12)
    assert (np.abs(own.committee).max(axis=(1, 2)) > 0).all()


def test_members_maps_lie_on_the_face_and_repeat(tiny: Path, faces: np.ndarray) -> None:
    committee = pipelines.load("tiny")
    for name, member in committee.members.items():
        subject = Subject(name=name, member=member)
        first, again = (gradcam_maps(subject, faces[:3], np.array([0, 1, 2])) for _ in range(2))
        assert not isinstance(first, str)
        assert not isinstance(again, str)
        assert first.maps.shape == faces[:3].shape
        np.testing.assert_array_equal(first.maps, again.maps)
        assert (np.ptp(first.maps, axis=(1, 2)) > 0).any()


def test_members_without_a_map_are_told_and_passed_over(tiny: Path, cli: Cli) -> None:
    Path("flat.yaml").write_text(
        "name: flat\ndata: {source: synthetic, count: 210}\n"
        "defaults: {epochs: 1, augment: none, input: {size: 48, channels: 1}}\n"
        "members:\n  - {name: svm, backbone: {kind: pixels}, head: {kind: linear_svm}}\n"
        "  - name: net\n    backbone: {kind: scratch_cnn, blocks: [{filters: 4}]}\ncommittee: {rule: mean}\n"
    )
    pipelines.fit("flat.yaml", jobs=1, quiet=True, track=False)
    what = "gradcam,filters,activations,ascent,agreement"
    outcome = cli("explain", "--committee", "flat", "--faces", "1", "--choose", "random", "--what", what, "--out", "f")
    assert outcome.code == 0, outcome.err
    assert "no gradcam of svm: the backbone `pixels` has no convolutional map" in outcome.err
    assert "not on an MLflow run" in outcome.err
    index = read(Path("f"))
    skipped = {(s["method"], s["member"]) for s in index["skipped"]}  # type: ignore[attr-defined]
    assert skipped == {("gradcam", "svm"), ("activations", "svm"), ("ascent", "svm")}
    files = {s["file"] for s in index["sheets"]}  # type: ignore[attr-defined]
    assert {
        "gradcam.png",
        "agreement.png",
        "filters-svm.png",
        "ascent-net.png",
    } <= files


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--what", "gradcamp"], "Expected methods in `--what`, but got 'gradcamp'. Did you mean `gradcam`?"),
        (["--what", ","], "Expected methods in `--what`, but got ','."),
        (
            ["--member", "plian"],
            "Expected `--member` to be one of the committee's, but got 'plian'. Did you mean `plain`?",
        ),
        (["--expression", "hapy"], "but got 'hapy'. Did you mean `happy`?"),
        (["--faces", "0"], "Expected `--faces` to be at least 1, but got 0."),
        (["x.png", "--choose", "random"], "Expected `--choose random` without INPUT"),
        (["nothing-here.png"], "but found no 'nothing-here.png'"),
        (["--committee", "tinny"], "Did you mean `tiny`?"),
    ],
)
def test_wrong_input_is_told(tiny: Path, cli: Cli, args: list[str], message: str) -> None:
    outcome = cli("explain", *args, "--no-track")
    assert outcome.code == 2
    assert message in outcome.err
    assert "Traceback" not in outcome.err


def test_outside_members_alone_cannot_be_explained(tiny: Path, cli: Cli) -> None:
    shutil.copytree(FOLDER, "outside")
    for name in ("plain", "residual"):
        path = Path("outside/members") / name / "spec.json"
        content = {key: value for key, value in json.loads(path.read_text()).items() if key != CHECKSUM}
        write_checked_json(path, {**content, "kind": "outside"})
    outcome = cli("explain", "--committee", "outside", "--no-track")
    assert outcome.code == 2
    assert "but all are outside members" in outcome.err


def test_methods_keep_their_order() -> None:
    assert read_methods(None) == QUICK
    assert read_methods("all") == METHODS
    assert read_methods(" Dream,gradcam ") == ("gradcam", "dream")
    assert set(QUICK) < set(METHODS)
