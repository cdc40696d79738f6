"""`ensemble export` on a fitted committee: the files, what they say, and what is refused."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from PIL import Image
from support import ROOT, Outcome, copy_workspace

import pipelines
from backbones.errors import InputError
from ensemble.expression import EXPRESSIONS
from pipelines.export import parity, request
from pipelines.export.export import Exported, export_committee
from pipelines.export.exportable import single_members, whole_committee
from pipelines.export.parity import channels_first, compare, edge_faces
from pipelines.face_loading import load_faces
from pipelines.normalizer import equalize
from pipelines.predictor import Predictor

Cli = Callable[..., Outcome]


@pytest.fixture(scope="module")
def work(tiny_workspace: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Exported]:
    """The fitted workspace with `models/tiny.onnx` in it, and what its export told."""
    copy = tmp_path_factory.mktemp("export") / "work"
    copy_workspace(tiny_workspace, copy)
    before = Path.cwd()
    os.chdir(copy)
    try:
        (done,) = export_committee("tiny", out="models", quiet=True)
    finally:
        os.chdir(before)
    return copy, done


@pytest.fixture
def exported(work: tuple[Path, Exported], monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file, in its workspace; tests leave both as they are."""
    monkeypatch.chdir(work[0])
    return Path("models/tiny.onnx")


def test_the_file_says_what_predict_says(exported: Path) -> None:
    session = onnxruntime.InferenceSession(exported.read_bytes())
    (given,) = session.get_inputs()
    assert (given.name, given.type, given.shape) == ("faces", "tensor(uint8)", ["N", 1, 48, 48])
    assert [(out.name, out.shape) for out in session.get_outputs()] == [
        ("probs", ["N", 7]), ("calibrated", ["N", 7]), ("members", ["N", 2, 7]),
    ]  # fmt: skip
    faces = np.array(
        load_faces("synthetic", options={"count": 210}, cache=Path("mlruns/cache")).split("validation").images
    )
    committee = pipelines.load("tiny")
    expected, calibrated = committee.predict(faces).probs, committee.predict(faces, calibrated=True).probs
    for batch in (slice(0, 1), slice(1, 18), slice(None)):
        found = session.run(None, {"faces": faces[batch, None]})
        np.testing.assert_allclose(found[0], expected[batch], atol=1e-5)
        np.testing.assert_allclose(found[1], calibrated[batch], atol=1e-5)
        for column, name in enumerate(("plain", "residual")):
            own = committee.members[name].probabilities(faces[batch])
            np.testing.assert_allclose(found[2][:, column], own, atol=1e-5)


def test_the_file_tells_what_it_is(exported: Path) -> None:
    beside = json.loads(exported.with_suffix(".json").read_text())
    inside = onnxruntime.InferenceSession(exported.read_bytes()).get_modelmeta().custom_metadata_map
    texts = {
        key: value if isinstance(value, str) else json.dumps(value) for key, value in beside.items() if key != "file"
    }
    assert inside == texts
    assert beside["classes"] == list(EXPRESSIONS)
    assert beside["rule"] == {
        "rule": "log_likelihood",
        "over": [{"rule": "va_expo", "over": ["plain", "residual"]}, {"rule": "mean", "over": ["residual"]}],
    }
    assert beside["input"]["shape"] == ["N", 1, 48, 48]
    assert (beside["opset"], beside["members"]) == (18, ["plain", "residual"])
    manifest = Path("mlruns/committees/tiny/manifest.json").read_bytes()
    assert beside["committee"] == {"name": "tiny", "sha256": hashlib.sha256(manifest).hexdigest()}
    assert beside["file"]["sha256"] == hashlib.sha256(exported.read_bytes()).hexdigest()
    assert beside["parity"]["batches"][:2] == [1, 17]
    assert beside["parity"]["same_label"] == 1.0
    assert 0 < max(beside["parity"]["largest_difference"].values()) < 1e-5
    assert str(ROOT).encode() not in exported.read_bytes()


def test_what_the_user_is_told(work: tuple[Path, Exported]) -> None:
    size, same, speed = work[1].lines()
    assert re.fullmatch(r"models/tiny\.onnx: 0\.\d MB, opset 18, outputs probs, calibrated, members", size)
    assert re.search(r"largest difference \S+e-\d\d .* on 18 validation faces, 19 drawn images", same)
    assert re.search(r"torch \d+\.\d\d, onnxruntime \d+\.\d\d \(\d+\.\d\d times as fast\)", speed)


def test_the_program_in_the_docs_runs_by_itself(exported: Path, tmp_path: Path) -> None:
    text = (ROOT / "docs/export.md").read_text()
    (code,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert "pipelines" not in code
    assert "ensemble" not in code
    face = np.array(
        load_faces("synthetic", options={"count": 210}, cache=Path("mlruns/cache")).split("validation").images[3]
    )
    Image.fromarray(face).save(tmp_path / "face.png")
    (tmp_path / "say.py").write_text(code)
    done = subprocess.run(
        [sys.executable, "-I", "say.py", str(exported.resolve()), "face.png"],
        cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    probs = pipelines.load("tiny").predict(face).probs[0]
    assert done.stdout.split()[0] == EXPRESSIONS[probs.argmax()]
    np.testing.assert_allclose(
        [float(number) for number in re.findall(r"[\d.]+", done.stdout.partition("[")[2])], probs, atol=6e-4
    )


def test_single_members_through_the_command_line(tiny: Path, cli: Cli) -> None:
    face = tiny / "face.png"
    Image.fromarray(edge_faces(48, 1)[-1]).save(face)
    outcome = cli("export", "--members", "plain", "--out", "own/p.onnx", "--data", str(face), "--quiet")
    assert outcome.code == 0, outcome.err
    assert "own/p.onnx: " in outcome.out
    assert f"1 faces of {face}, 19 drawn images" in outcome.out
    facts = json.loads(Path("own/p.json").read_text())
    assert (facts["kind"], facts["name"], list(facts["outputs"])) == ("member", "plain", ["probs"])
    faces = edge_faces(48, 1)
    found = onnxruntime.InferenceSession("own/p.onnx").run(None, {"faces": channels_first(faces)})[0]
    np.testing.assert_allclose(found, pipelines.load("tiny").members["plain"].probabilities(faces), atol=1e-5)
    assert sorted(path.name for path in Path("own").iterdir()) == ["p.json", "p.onnx"]


def test_other_answers_end_the_command_and_leave_nothing(tiny: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parity, "TOLERANCE", 0.0)  # float32 never agrees to the last digit
    outcome = cli("export", "--members", "plain", "--out", "own")
    assert outcome.code == 2
    assert re.search(
        r"Expected `plain` in ONNX to differ .* probs \S+ \(18 validation faces.*Nothing was written", outcome.err
    )
    assert not Path("own").exists()


def test_a_wrong_answer_is_seen(exported: Path) -> None:
    predictor = Predictor.load("tiny", device="cpu")
    (plain,) = single_members(predictor, ["plain"])
    (other,) = single_members(predictor, ["residual"])

    class Off:
        outputs = ("probs",)

        def __call__(self, faces: np.ndarray) -> dict[str, Any]:
            return {"probs": other.answers(faces[:, 0])["probs"].astype(np.float32)}

    found: Any = Off()
    faces = edge_faces(48, 1)
    assert not compare(found, plain.answers, faces, source="").holds
    assert compare(found, other.answers, faces, source="").holds


@pytest.mark.parametrize("how", ["gone", "others"])
def test_without_the_faces_of_the_fit_drawn_ones_are_taken(
    tiny: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    from pipelines.console import Console
    from pipelines.export.faces import compared_faces
    from pipelines.workspace import Workspace

    def gone(*_: object, **__: object) -> None:
        raise InputError("Expected `faces.zip`, but there is no such file.")

    if how == "gone":
        monkeypatch.setattr("pipelines.data_opening.open_data", gone)
    else:
        monkeypatch.setattr("pipelines.fit_data.FitData.digest", "that of a source that was replaced")
    predictor = Predictor.load("tiny", device="cpu")
    faces, source = compared_faces(predictor, None, console=Console(quiet=True), workspace=Workspace())
    assert source == "19 drawn images"
    assert faces.shape == (19, 48, 48)
    assert (faces[0].max(), faces[1].min()) == (0, 255)


@pytest.mark.parametrize("size_channels", [(48, 1), (20, 3)])
def test_drawn_images_fill_two_batches(size_channels: tuple[int, int]) -> None:
    size, channels = size_channels
    faces = edge_faces(size, channels)
    assert len(faces) >= 1 + 17
    assert channels_first(faces).shape[1:] == (channels, size, size)


BAD = [
    (("--members", "plian"), r"Expected `--members` to name members .* got 'plian'\. Did you mean `plain`\?"),
    (("--members", " ,"), r"Expected names of members in `--members`, but got ' ,'"),
    (("--members", "plain,residual", "--out", "x.onnx"), r"`--out` to be a folder for 2 files, but got `x.onnx`"),
    (("--members", "plain", "--out", "tiny.yaml"), r"ends in \.onnx, but got the file `tiny\.yaml`"),
    (("--members", "plain", "--data", "nowhere.png"), r"nowhere\.png"),
    (("nobody",), r"but got 'nobody'"),
]  # fmt: skip


@pytest.mark.parametrize(("options", "message"), BAD, ids=[" ".join(options) for options, _ in BAD])
def test_wrong_input(tiny: Path, cli: Cli, options: tuple[str, ...], message: str) -> None:
    outcome = cli("export", *options)
    assert outcome.code == 2
    assert re.search(message, outcome.err), outcome.err
    assert not list(tiny.glob("*.onnx"))


def test_a_missing_package_is_named(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(request, "find_spec", lambda name: None if name == "onnxruntime" else object())
    outcome = cli("export")
    assert outcome.code == 2
    assert "but onnxruntime is not installed. Install them: `pip install onnx onnxruntime onnxscript`" in outcome.err


def test_members_that_torch_cannot_write_are_named(tiny: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    honest = equalize.equalize_histogram
    monkeypatch.setattr(equalize, "equalize_histogram", lambda x: honest(x) * x.nonzero().shape[0].bit_length())
    outcome = cli("export", "--out", "own")
    assert outcome.code == 2
    assert re.search(
        r"cannot write: residual \(scratch_cnn: .*export others by themselves: `--members plain`", outcome.err
    )
    assert not Path("own").exists()


def test_outside_and_foreign_members_are_refused(tiny: Path) -> None:
    from dataclasses import replace

    predictor = Predictor.load("tiny", device="cpu")
    rest = {"plain": predictor.members["plain"]}
    outside: Any = {"residual": object()}
    lacking = replace(predictor, members=rest, outside=outside)
    with pytest.raises(InputError, match=r"outside members: residual\. .*`--members plain`"):
        whole_committee(lacking, "tiny")
    with pytest.raises(InputError, match=r"only probabilities are known of 'residual'"):
        single_members(lacking, ["residual"])
    with pytest.raises(
        InputError, match=r"faces of 64 px and 1 channel\(s\).* but plain, residual see others \(plain: 48 px"
    ):
        whole_committee(replace(predictor, face_size=64), "tiny")


def test_a_file_beyond_onnx_is_refused(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipelines.export.exportable._LARGEST", 1000)
    with pytest.raises(InputError, match=r"at most 2 GiB .*`--members plain,residual`"):
        whole_committee(Predictor.load("tiny", device="cpu"), "tiny")
