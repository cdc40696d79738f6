from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
from PIL import Image
from support import Outcome

import pipelines
from backbones.errors import InputError
from ensemble.expression import EXPRESSIONS
from pipelines.bundle import seal, unseal
from pipelines.face_loading import load_faces

Cli = Callable[..., Outcome]


@pytest.fixture
def faces(tiny: Path) -> np.ndarray:
    store = load_faces("synthetic", options={"count": 210}, cache=Path("mlruns/cache"))
    return np.array(store.split("validation").images)


def test_one_view_equals_no_perturbation(tiny: Path, faces: np.ndarray) -> None:
    committee = pipelines.load("tiny")
    predictions = committee.predict(faces, tta=1)
    expected = committee.committee({name: m.probabilities(faces) for name, m in committee.members.items()})
    np.testing.assert_array_equal(predictions.probs, expected)


@pytest.mark.parametrize("tta", [1, 10])
def test_neither_batches_nor_order_change_an_answer(tiny: Path, cli: Cli, faces: np.ndarray, tta: int) -> None:
    texts = []
    for size in (1, 7, 256):
        outcome = cli("predict", "--tta", str(tta), "--batch-size", str(size), "--out", f"p{size}.csv")
        assert outcome.code == 0, outcome.err
        texts.append(Path(f"p{size}.csv").read_text())
    assert texts[0] == texts[1] == texts[2]
    committee = pipelines.load("tiny")
    ids = [f"face{i}" for i in range(len(faces))]
    straight = committee.predict(faces, ids=ids, tta=tta)
    order = np.random.default_rng(3).permutation(len(faces))
    shuffled = committee.predict(faces[order], ids=[ids[i] for i in order], tta=tta)
    np.testing.assert_array_equal(shuffled.probs, straight.probs[order])
    alone = committee.predict(faces[4], ids=[ids[4]], tta=tta)
    np.testing.assert_array_equal(alone.probs[0], straight.probs[4])


def test_bare_predict_writes_the_validation_split(tiny: Path, cli: Cli, faces: np.ndarray) -> None:
    outcome = cli("predict", "--tta", "2")
    frame = pd.read_csv("predictions.csv")
    assert len(frame) == len(faces)
    assert list(frame.columns) == [
        "id", "face", "x0", "y0", "x1", "y1", "label", "confidence", "agreement",
        *(f"p_{name}" for name in EXPRESSIONS), "true_label",
    ]  # fmt: skip
    assert frame[["x0", "y0", "x1", "y1"]].isna().all(axis=None)
    np.testing.assert_allclose(frame[[f"p_{n}" for n in EXPRESSIONS]].sum(axis=1), 1, atol=1e-5)
    accuracy = (frame["label"] == frame["true_label"]).mean()
    assert f"validation: accuracy {accuracy:.4f}" in outcome.out


def test_bare_predict_tells_what_the_committee_is_judged_by(tiny: Path, cli: Cli) -> None:
    report = json.loads((tiny / "mlruns" / "committees" / "tiny" / "report.json").read_text())
    outcome = cli("predict")
    assert outcome.code == 0, outcome.err
    said = f"judged on the same by cross-fitting: {report['rules']['committee']['nested_accuracy']:.4f}"
    assert said in outcome.err.replace("\n", " ")


def test_formats_hold_the_same(tiny: Path, cli: Cli) -> None:
    frames = []
    for name, read in (
        ("a.csv", pd.read_csv),
        ("a.jsonl", lambda p: pd.read_json(p, lines=True)),
        ("a.parquet", pd.read_parquet),
    ):
        assert cli("predict", "--out", name, "--batch-size", "4").code == 0
        frames.append(read(name))
    for other in frames[1:]:
        assert list(other.columns) == list(frames[0].columns)
        assert list(other["label"]) == list(frames[0]["label"])
        np.testing.assert_allclose(other["confidence"], frames[0]["confidence"])


def test_images_zip_folder_glob_and_labelled_tree_agree(tiny: Path, cli: Cli, faces: np.ndarray) -> None:
    tree = tiny / "tree"
    for index, face in enumerate(faces):
        path = tree / EXPRESSIONS[index % 7] / f"{index:02}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(face).save(path)
    with zipfile.ZipFile("tree.zip", "w") as archive:
        for path in sorted(tree.rglob("*.png")):
            archive.write(path, path.relative_to(tiny))
    flat = tiny / "flat"
    flat.mkdir()
    for path in tree.rglob("*.png"):
        (flat / path.name).write_bytes(path.read_bytes())
    results = {}
    for source in ("tree", "tree.zip", "flat", "flat/*.png", "flat/00.png"):
        outcome = cli("predict", source, "--out", "p.csv")
        assert outcome.code == 0, outcome.err
        frame = pd.read_csv("p.csv")
        assert ("true_label" in frame) == source.startswith("tree")
        assert ("accuracy" in outcome.out) == source.startswith("tree")
        results[source] = {Path(row.id).name: row.confidence for row in frame.itertuples()}
    assert results["flat/00.png"] == {"00.png": results["tree"]["00.png"]}
    assert results["tree"] == results["tree.zip"] == results["flat"] == results["flat/*.png"]
    assert len(results["tree"]) == len(faces)


@pytest.mark.parametrize("size", ["1", "32"])
def test_a_file_named_twice_is_predicted_once(tiny: Path, cli: Cli, faces: np.ndarray, size: str) -> None:
    Path("flat").mkdir()
    for index in range(3):
        Image.fromarray(faces[index]).save(f"flat/{index}.png")
    outcome = cli("predict", "flat", "flat/1.png", "--out", "p.csv", "--batch-size", size)
    assert outcome.code == 0, outcome.err
    assert [Path(name).name for name in pd.read_csv("p.csv").id] == ["0.png", "1.png", "2.png"]


def test_csv_of_the_training_layout_predicts_like_the_cache(tiny: Path, cli: Cli, faces: np.ndarray) -> None:
    store = load_faces("synthetic", options={"count": 210}, cache=Path("mlruns/cache"))
    lines = ["emotion,pixels,Usage"]
    for split, usage in (("train", "Training"), ("validation", "PublicTest"), ("test", "PrivateTest")):
        part = store.split(split)
        lines += [f"{k},{' '.join(map(str, i.ravel()))},{usage}" for k, i in zip(part.labels, part.images, strict=True)]
    Path("fer2013.csv").write_text("\n".join(lines) + "\n")
    outcome = cli("predict", "fer2013.csv", "--out", "p.csv")
    assert "test: 2" in outcome.out
    assert "not scored here" in outcome.out
    frame = pd.read_csv("p.csv")
    assert len(frame) == 210
    own = frame[frame["id"].str.startswith("PublicTest")]
    direct = pipelines.load("tiny").predict(faces)
    np.testing.assert_allclose(own["confidence"], direct.confidence, atol=1e-6)


def photo() -> np.ndarray:
    from skimage import data

    return np.asarray(data.astronaut())


def test_a_photo_goes_through_the_detector(tiny: Path, cli: Cli) -> None:
    image = photo()
    both = np.concatenate([image, image[:, ::-1]], axis=1)
    Image.fromarray(both).save("two.png")
    Image.fromarray(np.zeros((300, 300, 3), np.uint8)).save("none.png")
    outcome = cli("predict", "two.png", "none.png", "--tta", "2", "--out", "p.csv")
    assert outcome.code == 0, outcome.err
    assert "no face found in none.png" in outcome.err
    frame = pd.read_csv("p.csv")
    assert list(frame["id"]) == ["two.png"] * 2
    assert list(frame["face"]) == [0, 1]
    centres = sorted((frame["x0"] + frame["x1"]) / 2)
    assert centres[0] == pytest.approx(225, abs=25)
    assert centres[1] == pytest.approx(1024 - 225, abs=25)
    assert ((frame["x1"] - frame["x0"]).between(80, 200)).all()
    assert cli("predict", "two.png", "--detect", "none", "--out", "p.csv").code == 0
    assert pd.read_csv("p.csv")["x0"].isna().all()


def test_a_photo_goes_through_the_haar_cascade(tiny: Path, cli: Cli) -> None:
    Image.fromarray(photo()).save("colour.png")
    Image.fromarray(photo()[..., 1]).save("grey.png")
    Image.fromarray(np.zeros((300, 300, 3), np.uint8)).save("none.png")
    outcome = cli("predict", "colour.png", "grey.png", "none.png", "--detect", "haar", "--out", "p.csv")
    assert outcome.code == 0, outcome.err
    assert "no face found in none.png" in outcome.err
    frame = pd.read_csv("p.csv")
    assert list(frame["id"]) == ["colour.png", "grey.png"]
    assert ((frame["x0"] + frame["x1"]) / 2).between(200, 250).all()
    assert (frame["x1"] - frame["x0"] == frame["y1"] - frame["y0"]).all()


def test_a_photo_without_a_face_is_told(tiny: Path, cli: Cli) -> None:
    Image.fromarray(np.full((400, 300, 3), 90, np.uint8)).save("wall.jpg")
    outcome = cli("predict", "wall.jpg", "--out", "p.csv")
    assert outcome.code == 2
    assert "--detect none" in outcome.err
    assert not Path("p.csv").exists()


def test_inputs_from_python(tiny: Path, faces: np.ndarray) -> None:
    committee = pipelines.load("tiny")
    Image.fromarray(faces[0]).save("f.png")
    colour = cv2.cvtColor(faces[0], cv2.COLOR_GRAY2RGB)
    expected = committee.predict(faces[0], ids=["x"]).probs
    for image in (Path("f.png"), "f.png", Image.fromarray(faces[0]), Image.fromarray(colour), colour, [faces[0]]):
        np.testing.assert_array_equal(committee.predict(image, ids=["x"]).probs, expected)
    assert committee.predict([]).probs.shape == (0, 7)
    one = committee.predict(faces[0]).probs
    np.testing.assert_array_equal(committee.predict(faces[0][..., None]).probs, one)
    with pytest.raises(InputError, match=r"Expected images as uint8 arrays .* but got uint8 of shape .48, 48, 4."):
        committee.predict(np.zeros((48, 48, 4), np.uint8))
    with pytest.raises(InputError, match="uint8"):
        committee.predict(faces[0] / 255.0)
    with pytest.raises(InputError, match="`tta` to be at least 1"):
        committee.predict(faces, tta=0)
    with pytest.raises(InputError, match="`min_confidence` to be above 0 and at most 1, but got 2"):
        committee.predict(faces, min_confidence=2)
    with pytest.raises(InputError, match="2 ids and 1 images"):
        committee.predict(faces[0], ids=["a", "b"])
    with pytest.raises(InputError, match="absent"):
        committee.predict("absent.png")


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["absent.png"], "found no 'absent.png'"),
        (["--tta", "0"], "Expected `--tta` to be at least 1, but got 0."),
        (["--batch-size", "0"], "--batch-size"),
        (["--min-confidence", "0"], "Expected `--min-confidence` to be above 0 and at most 1, but got 0."),
        (["--min-confidence", "1.5"], "Expected `--min-confidence` to be above 0 and at most 1, but got 1.5."),
        (["--min-confidence", "nan"], "Expected `--min-confidence` to be above 0 and at most 1, but got nan."),
        (["--min-confidence", "much"], "--min-confidence"),
        (["--out", "p.txt"], "end in one of .csv, .jsonl, .parquet"),
        (["--out", "no/such/p.csv"], "folder to write to"),
        (["--committee", "tinny"], "Did you mean `tiny`?"),
        (["--device", "cuda:7"], "--device"),
        (["--device", "toaster"], "--device"),
        (["broken.png"], "broken.png to be a readable image"),
        (["notes.txt"], "notes.txt"),
        (["empty"], "empty"),
    ],
)
def test_bad_input_is_one_clear_message(tiny: Path, cli: Cli, args: list[str], message: str) -> None:
    Path("broken.png").write_bytes(b"\x89PNG\r\n\x1a\nbroken")
    Path("notes.txt").write_text("no image")
    Path("empty").mkdir()
    before = {p.name for p in Path().iterdir()}
    outcome = cli("predict", *args)
    assert outcome.code == 2
    assert message in outcome.err
    assert "Traceback" not in outcome.err
    assert {p.name for p in Path().iterdir()} == before


def test_damaged_committees_are_told(tiny: Path, cli: Cli) -> None:
    folder = tiny / "mlruns" / "committees" / "tiny"
    weights = folder / "members" / "plain" / "weights.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes(whole[: len(whole) // 2])
    outcome = cli("predict")
    assert outcome.code == 2
    assert "weights.safetensors" in outcome.err
    weights.write_bytes(whole)
    (folder / "committee.json").write_text("{")
    assert "committee.json" in cli("predict").err
    (folder / "manifest.json").unlink()
    assert "has not ended" in cli("predict", "--committee", "tiny").err
    assert "ensemble fit" in cli("predict").err


def test_predict_without_any_committee_says_what_to_do(cli: Cli) -> None:
    outcome = cli("predict")
    assert outcome.code == 2
    assert "or fit a committee: `ensemble fit --members members.yaml`" in outcome.err


def temperature(folder: Path) -> float:
    return float(json.loads((folder / "committee.json").read_text())["temperature"])


def test_calibrated_probabilities_are_the_committees_at_its_temperature(
    tiny: Path, cli: Cli, faces: np.ndarray
) -> None:
    assert cli("predict", "--tta", "2", "--out", "plain.csv").code == 0
    assert cli("predict", "--tta", "2", "--calibrated", "--out", "p.csv").code == 0
    plain, frame = pd.read_csv("plain.csv"), pd.read_csv("p.csv")
    assert list(frame.columns) == list(plain.columns)
    assert list(frame["label"]) == list(plain["label"])
    assert list(frame["agreement"]) == list(plain["agreement"])
    columns = [f"p_{name}" for name in EXPRESSIONS]
    powers = plain[columns].to_numpy() ** (1 / temperature(tiny / "mlruns" / "committees" / "tiny"))
    np.testing.assert_allclose(frame[columns], powers / powers.sum(axis=1, keepdims=True), atol=2e-5)
    np.testing.assert_allclose(frame["confidence"], frame[columns].max(axis=1))
    committee = pipelines.load("tiny")
    direct = committee.predict(faces, calibrated=True)
    np.testing.assert_array_equal(direct.probs, committee.committee.calibrated(committee.predict(faces).probs))


def test_unsure_faces_are_left_undecided(tiny: Path, cli: Cli, faces: np.ndarray) -> None:
    assert cli("predict", "--calibrated", "--out", "all.csv").code == 0
    sure = pd.read_csv("all.csv")
    least = float(sure["confidence"].sort_values().iloc[len(sure) // 3]) - 1e-5
    outcome = cli("predict", "--min-confidence", str(least), "--out", "p.csv")
    assert outcome.code == 0, outcome.err
    frame = pd.read_csv("p.csv")
    decided = frame["confidence"] >= least
    assert 0 < (~decided).sum() < len(frame)
    assert list(frame["label"]) == list(sure["label"].where(decided, "uncertain"))
    others = [column for column in frame.columns if column != "label"]
    pd.testing.assert_frame_equal(frame[others], sure[others])
    accuracy = (frame["label"] == frame["true_label"])[decided].mean()
    assert f"validation: accuracy {accuracy:.4f} (95 %" in outcome.out
    assert f" of {decided.sum()} decided faces, coverage {decided.mean():.4f} of {len(frame)}, " in outcome.out
    assert f", left undecided {(~decided).sum()})" in outcome.out
    direct = pipelines.load("tiny").predict(faces, ids=list(frame["id"]), min_confidence=least)
    assert direct.names == list(frame["label"])


def test_nothing_may_be_decided(tiny: Path, cli: Cli) -> None:
    outcome = cli("predict", "--min-confidence", "1", "--out", "p.csv")
    assert outcome.code == 0, outcome.err
    frame = pd.read_csv("p.csv")
    assert set(frame["label"]) == {"uncertain"}
    count = len(frame)
    assert f"validation: no face decided, coverage 0.0000 of {count}, {count} left undecided" in outcome.out
    assert f"p.csv: {count} faces (left undecided {count})" in outcome.out


def test_an_older_committee_without_a_temperature_is_told(tiny: Path, cli: Cli) -> None:
    path = tiny / "mlruns" / "committees" / "tiny" / "committee.json"
    content = json.loads(path.read_text())
    del content["temperature"]
    path.write_text(json.dumps(content))
    unseal(path.parent)
    seal(path.parent, members=["plain", "residual"])
    assert cli("predict", "--out", "plain.csv").code == 0
    outcome = cli("predict", "--calibrated", "--out", "p.csv")
    assert "committee tiny has no temperature: confidence as it is; `ensemble fuse` fits one" in outcome.err
    assert Path("p.csv").read_text() == Path("plain.csv").read_text()
    assert cli("fuse").code == 0
    assert json.loads(path.read_text())["temperature"] > 0
