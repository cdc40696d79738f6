"""Data sets with `align`: what is stored, what is left out, and that prediction aligns the same way."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from support import Outcome

import pipelines
from backbones.errors import InputError
from ensemble.align_spec import AlignSpec
from pipelines import landmarks
from pipelines.aligned_reader import whole_images
from pipelines.alignment import align_face
from pipelines.detectors import DETECTORS, Detection, Detector, search
from pipelines.face_loading import load_faces
from pipelines.landmarks import find_landmarks
from pipelines.plan import make_plan
from pipelines.reader.class_folder import ClassFolder

Cli = Callable[..., Outcome]


@pytest.fixture(scope="module")
def portrait() -> np.ndarray:
    """(200, 160, 3): a photo with one face."""
    from skimage import data

    return np.asarray(data.astronaut())[10:210, 140:300]


@pytest.fixture(scope="module")
def photos(portrait: np.ndarray, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sizes and colours differ; one of four training photos of each class, and one of validation, is of a wall."""
    folder = tmp_path_factory.mktemp("data") / "photos"
    wall = np.full((180, 200, 3), 90, np.uint8)
    grey = np.ascontiguousarray(portrait[..., 1])
    images = {"a": grey, "b": portrait[:, ::-1], "c": wall, "d": portrait[:190, 10:150]}
    for split, chosen in (("train", "abcd"), ("validation", "bc")):
        for name in ("happy", "sad"):
            (folder / split / name).mkdir(parents=True)
            for letter in chosen if name == "happy" or split == "train" else "b":
                Image.fromarray(images[letter]).save(folder / split / name / f"{letter}.png")
    return folder


def test_faces_are_aligned_and_images_without_one_left_out(photos: Path, portrait: np.ndarray, tmp_path: Path) -> None:
    align = AlignSpec(size=48, template="lightcnn")
    store = load_faces(photos, align=align, cache=tmp_path, device="cpu")
    assert store.counts == {"train": 6, "validation": 2}
    assert store.excluded == {"train": 2, "validation": 1}
    assert (store.size, store.channels) == (48, 3)
    faces = store.split("train")
    assert [name.rpartition("/")[2] for name in faces.ids] == ["a.png", "b.png", "d.png"] * 2
    mtcnn = DETECTORS.build("mtcnn", torch.device("cpu"))
    points = search(mtcnn, portrait[:, ::-1])[0].landmarks
    assert points is not None
    expected = align_face(portrait[:, ::-1], points, template="lightcnn", size=48)
    np.testing.assert_array_equal(faces.images[1], expected)
    assert np.array_equal(faces.images[0][..., 0], faces.images[0][..., 2])  # grey, repeated


def test_every_option_is_stored_apart_and_landmarks_are_found_once(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = load_faces(photos, cache=tmp_path)
    assert plain.excluded is None
    first = load_faces(photos, align=AlignSpec(size=48), cache=tmp_path, device="cpu")
    monkeypatch.setattr(landmarks, "search", lambda *_: pytest.fail("searched again"))
    assert load_faces(photos, align=AlignSpec(size=48), cache=tmp_path, device="cpu") == first
    smaller = load_faces(photos, align=AlignSpec(size=40), cache=tmp_path, device="cpu")
    other = load_faces(photos, align=AlignSpec(size=48, template="facenet"), cache=tmp_path, device="cpu")
    grey = load_faces(photos, align=AlignSpec(size=48, channels=1), cache=tmp_path, device="cpu")
    native = load_faces(photos, align=AlignSpec(template="arcface"), cache=tmp_path, device="cpu")
    stores = (plain, first, smaller, other, grey, native)
    assert len({store.digest for store in stores}) == len({store.folder for store in stores}) == 6
    assert (grey.channels, native.size) == (1, 112)
    assert grey.split("train").images.shape == (6, 48, 48)
    assert {path.name for path in tmp_path.iterdir()} == {"faces", "landmarks"}
    assert len(list((tmp_path / "landmarks").iterdir())) == 1


def test_small_grey_faces_of_no_image_file_are_aligned_and_stay_grey(tmp_path: Path) -> None:
    done: list[tuple[int, int]] = []
    store = load_faces(
        "synthetic", options={"count": 50}, align=AlignSpec(size=32), cache=tmp_path, device="cpu",
        progress=lambda *at: done.append(at),
    )  # fmt: skip
    assert store.excluded is not None
    assert sum(store.counts.values()) + sum(store.excluded.values()) == 50
    assert store.split("train").images.shape == (store.counts["train"], 32, 32)
    assert sum(store.counts.values()) > 35
    assert (50, 50) in done
    groups = store.groups("train")
    assert groups is not None
    assert len(groups) == store.counts["train"]


def test_a_split_without_any_face_is_one_clear_message(photos: Path, tmp_path: Path) -> None:
    walls = tmp_path / "photos"
    for path in photos.rglob("*.png"):
        copy = walls / path.relative_to(photos)
        copy.parent.mkdir(parents=True, exist_ok=True)
        data = (
            path.read_bytes() if "train" in str(copy.relative_to(walls)) else (photos / "train/sad/c.png").read_bytes()
        )
        copy.write_bytes(data)
    with pytest.raises(InputError, match=r"faces to align in the validation images of .* found none in all 3"):
        load_faces(walls, align=AlignSpec(size=48), cache=tmp_path / "cache", device="cpu")


class Counting(Detector):
    """Finds a face in every second image, and says how many it was shown; ends like a killed process after some."""

    shown, last = 0, 10**9

    def detect(self, image: np.ndarray) -> list[Detection]:
        if self.shown == self.last:
            raise KeyboardInterrupt
        self.shown += 1
        number = int(image[0, 0])
        return [Detection(box=(0, 0, 9, 9), landmarks=np.full((5, 2), float(number)))] if number % 2 else []


def test_an_interrupted_search_goes_on_where_it_was(tmp_path: Path) -> None:
    images = [np.full((160, 160), number, np.uint8) for number in range(50)]

    def run(detector: Detector) -> np.ndarray:
        return find_landmarks(lambda start: iter(images[start:]), 50, detector=detector, folder=tmp_path / "found")

    killed, after = Counting(torch.device("cpu")), Counting(torch.device("cpu"))
    killed.last = 40
    with pytest.raises(KeyboardInterrupt):
        run(killed)
    found = run(after)
    assert after.shown == 18  # 32 of the 40 had been noted
    assert np.isnan(found[::2]).all()
    np.testing.assert_array_equal(found[1::2, 0, 0], np.arange(1, 50, 2))
    np.testing.assert_array_equal(run(Counting(torch.device("cpu"))), found)


def test_whole_images_are_what_the_files_hold(photos: Path) -> None:
    reader = ClassFolder()
    listing = reader.scan(photos)
    whole = list(whole_images(reader, photos, listing))
    assert {image.shape for image in whole} == {(200, 160), (200, 160, 3), (180, 200), (190, 140, 3)}
    rows = np.arange(len(listing)) % 2 == 1
    for one, other in zip(whole_images(reader, photos, listing, rows=rows), whole[1::2], strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(
    ("align", "messages"),
    [
        ("{sise: 144, template: arcfac}", ["data.align.sise", "Did you mean `size`?", "Did you mean `arcface`?"]),
        ("{detector: haar}", ["data.align.detector", "'mtcnn', but got 'haar'"]),
        ("{size: 4, channels: 2}", ["data.align.size", "at least 16", "data.align.channels", "1 or 3"]),
        ("lightcnn", ["data.align", "Expected `align` to be a mapping, but got 'lightcnn'"]),
    ],
)
def test_a_wrong_alignment_is_told_before_anything_is_read(tmp_path: Path, align: str, messages: list[str]) -> None:
    path = tmp_path / "members.yaml"
    path.write_text(f"data: {{source: synthetic, align: {align}}}\nmembers: [{{name: a, backbone: light_cnn}}]\n")
    with pytest.raises(InputError) as caught:
        make_plan(path)
    for message in messages:
        assert message in str(caught.value)


ALIGNED = """
name: aligned
data: {source: SOURCE, align: {size: 40, template: lightcnn}}
members:
  - name: small
    backbone: {kind: scratch_cnn, pooling: average, blocks: [{filters: 4, stride: 2}]}
    input: {size: 32, crop: 36}
    augment: channel_noise
    epochs: 1
    batch_size: 4
committee: {rule: mean}
"""


def test_a_committee_of_aligned_faces_aligns_what_it_predicts(
    photos: Path, portrait: np.ndarray, tmp_path: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("aligned.yaml").write_text(ALIGNED.replace("SOURCE", str(photos)))
    fitted = cli("fit", "--members", "aligned.yaml", "--jobs", "1", "--no-track", "--device", "cpu")
    assert fitted.code == 0, fitted.err
    assert "aligned to lightcnn at 40 px; left out, no face found: 2 of 8 train, 1 of 3 validation" in fitted.err
    committee = pipelines.load("aligned", device="cpu")
    assert committee.face_size == 40

    assert cli("predict", "--device", "cpu").code == 0
    stored = pd.read_csv("predictions.csv")
    assert len(stored) == 2
    assert stored["x0"].isna().all()

    # The same photos, found and aligned anew: in a labelled tree, and as one image file.
    outcome = cli("predict", str(photos), "--device", "cpu", "--out", "tree.csv")
    assert "no face found in train/happy/c.png" in outcome.err
    tree = pd.read_csv("tree.csv").set_index("id")
    assert len(tree) == 8
    assert tree["x0"].notna().all()
    assert list(tree.loc[stored["id"], "confidence"]) == pytest.approx(list(stored["confidence"]), abs=1e-6)
    photo = photos / "validation" / "happy" / "b.png"
    assert cli("predict", str(photo), "--device", "cpu", "--detect", "mtcnn", "--out", "one.csv").code == 0
    (row,) = pd.read_csv("one.csv").itertuples()
    assert row.confidence == pytest.approx(stored["confidence"][0], abs=1e-6)
    assert 0 < row.x0 < row.x1 < 160

    # Ready-cropped faces are searched too, unless told not to.
    tight = cv2.resize(np.ascontiguousarray(portrait[50:170, 25:145]), (48, 48), interpolation=cv2.INTER_AREA)
    Image.fromarray(np.asarray(tight)).save("tight.png")
    assert cli("predict", "tight.png", "--device", "cpu", "--out", "p.csv").code == 0
    assert pd.read_csv("p.csv")["x0"].notna().all()
    assert cli("predict", "tight.png", "--device", "cpu", "--detect", "none", "--out", "p.csv").code == 0
    assert pd.read_csv("p.csv")["x0"].isna().all()
    refused = cli("predict", "tight.png", "--device", "cpu", "--detect", "haar")
    assert refused.code == 2
    assert "haar finds no landmarks" in refused.err
