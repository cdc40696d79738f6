"""The face store: one content, one digest; one split, one set of files; one folder, whole or not at all."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
import zipfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from backbones.errors import InputError
from ensemble.expression import EXPRESSIONS
from ensemble.faces import content_digest, face_digests
from pipelines import face_loading
from pipelines.face_loading import load_faces
from pipelines.fit_data import FitData
from pipelines.reader.fer_csv import FerCsv

USAGES = ("Training",) * 14 + ("PublicTest",) * 7 + ("PrivateTest",) * 3
SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"
real_data = pytest.mark.skipif(not (SHARED / "fer2013.zip").exists(), reason="the real FER2013 faces are not at hand")


@pytest.fixture
def images() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (24, 48, 48), dtype=np.uint8)


@pytest.fixture
def sources(tmp_path, images) -> dict[str, Path]:
    """The same faces as csv, zip and folder."""
    rows = [f"{i % 7},{' '.join(map(str, images[i].ravel()))},{USAGES[i]}" for i in range(24)]
    paths = {"csv": tmp_path / "fer.csv", "zip": tmp_path / "fer.zip", "folder": tmp_path / "fer"}
    paths["csv"].write_text("\n".join(["emotion,pixels,Usage", *rows]))
    with zipfile.ZipFile(paths["zip"], "w") as archive:
        for i in reversed(range(24)):
            name = f"{'train' if i < 14 else 'test'}/{EXPRESSIONS[i % 7]}/{USAGES[i]}_{i + 70}.png"
            data = cv2.imencode(".png", images[i])[1].tobytes()
            archive.writestr(name, data)
            (paths["folder"] / name).parent.mkdir(parents=True, exist_ok=True)
            (paths["folder"] / name).write_bytes(data)
    return paths


def test_csv_zip_and_folder_have_one_digest(sources, tmp_path):
    stores = [load_faces(source, cache=tmp_path / "cache") for source in sources.values()]
    assert [store.reader for store in stores] == ["fer_csv", "fer_folder", "fer_folder"]
    assert len({store.digest for store in stores}) == 1
    assert len({store.folder for store in stores}) == 3
    assert len({store.order_digests["train"] for store in stores}) == 3


def test_the_same_faces_in_another_order_are_another_fit(sources, tmp_path):
    before = load_faces(sources["csv"], cache=tmp_path)
    header, *rows = sources["csv"].read_text().splitlines()
    sources["csv"].write_text("\n".join([header, rows[1], rows[0], *rows[2:]]))  # the ids are numbers of rows
    after = load_faces(sources["csv"], cache=tmp_path)
    assert before.digest == after.digest
    assert before.split("train").ids.tolist() == after.split("train").ids.tolist()
    assert FitData(train=before.split("train"), validation=before.split("validation")).digest != (
        FitData(train=after.split("train"), validation=after.split("validation")).digest
    )


def test_a_split_is_what_was_read(sources, images, tmp_path):
    store = load_faces(sources["csv"], cache=tmp_path)
    assert store.counts == {"train": 14, "validation": 7, "test": 3}
    assert (store.size, store.channels, store.classes) == (48, 1, EXPRESSIONS)
    assert store.class_counts["test"] == (1, 1, 1, 0, 0, 0, 0)

    faces = store.split("validation")
    assert isinstance(faces.images, np.memmap)
    np.testing.assert_array_equal(faces.images, images[14:21])
    assert faces.labels.tolist() == [i % 7 for i in range(14, 21)]
    assert faces.ids.tolist() == [f"PublicTest_{i}" for i in range(14, 21)]
    assert faces.digest == content_digest(face_digests(images[14:21], faces.labels))
    assert faces.digest == faces.take(np.arange(7)).digest
    assert faces.order_digest == faces.take(np.arange(7)).order_digest
    assert faces.votes is None
    assert store.groups("train") is None
    with pytest.raises(ValueError, match="read-only"):
        faces.images[0] = 0


def test_opening_one_split_leaves_the_others_closed(sources, tmp_path):
    store = load_faces(sources["zip"], cache=tmp_path)
    for file in store.folder.glob("test.*"):
        file.unlink()
    assert len(store.split("train")) == 14
    with pytest.raises(InputError, match=r"files of the test split have changed.*run the same command again"):
        store.split("test")


def test_a_missing_split_is_named(sources, tmp_path):
    text = [line for line in sources["csv"].read_text().splitlines() if "PrivateTest" not in line]
    sources["csv"].write_text("\n".join(text))
    store = load_faces(sources["csv"], cache=tmp_path)
    with pytest.raises(InputError, match=r"to have a test split, but it has train .14 faces., validation .7 faces."):
        store.split("test")


def test_a_second_load_decodes_nothing(sources, tmp_path, monkeypatch):
    first = load_faces(sources["csv"], cache=tmp_path)
    monkeypatch.setattr(FerCsv, "scan", lambda *_: pytest.fail("read again"))
    assert load_faces(sources["csv"], cache=tmp_path) == first


def test_another_content_option_or_version_is_stored_anew(sources, tmp_path, monkeypatch):
    source, folders = sources["csv"], []
    folders.append(load_faces(source, cache=tmp_path).folder)
    assert load_faces(source, options={"seed": 0}, cache=tmp_path).folder == folders[0]  # the default, said aloud
    folders.append(load_faces(source, options={"seed": 1}, cache=tmp_path).folder)
    with monkeypatch.context() as patch:
        patch.setattr(face_loading, "STORE_VERSION", -1)
        folders.append(load_faces(source, cache=tmp_path).folder)
    source.write_text(source.read_text().replace("\n0,", "\n1,", 1))
    folders.append(load_faces(source, cache=tmp_path).folder)
    assert len(set(folders)) == 4


@pytest.mark.parametrize("damage", ["meta", "cut", "missing"])
def test_a_damaged_folder_is_made_anew(damage, sources, tmp_path):
    store = load_faces(sources["csv"], cache=tmp_path)
    file = store.folder / ("meta.json" if damage == "meta" else "train.images.npy")
    _ = file.unlink() if damage == "missing" else file.write_bytes(file.read_bytes()[:-100])
    again = load_faces(sources["csv"], cache=tmp_path)
    assert again == store
    assert len(again.split("train")) == 14


@pytest.mark.parametrize("name", ["train.images.npy", "train.labels.npy", "validation.ids.npy", "meta.json"])
def test_a_flipped_bit_of_what_a_fit_sees_makes_it_anew(sources, tmp_path, name):
    store = load_faces(sources["csv"], cache=tmp_path)
    before = (store.folder / name).read_bytes()
    (store.folder / name).write_bytes(before[:-3] + bytes([before[-3] ^ 1]) + before[-2:])
    assert load_faces(sources["csv"], cache=tmp_path) == store
    assert (store.folder / name).read_bytes() == before


def test_a_flipped_bit_of_the_test_split_is_told_when_it_is_opened(sources, tmp_path):
    store = load_faces(sources["csv"], cache=tmp_path)
    images = store.folder / "test.images.npy"
    images.write_bytes(images.read_bytes()[:-1] + b"\xff")
    assert load_faces(sources["csv"], cache=tmp_path) == store, "the test split was opened"
    with pytest.raises(InputError, match="files of the test split have changed"):
        store.split("test")
    assert len(load_faces(sources["csv"], cache=tmp_path).split("test")) == store.counts["test"]


def test_what_a_killed_process_of_this_machine_left_goes_at_once(sources, tmp_path):
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    faces = tmp_path / "faces"
    killed = faces / f".{'0' * 32}.{socket.gethostname()}.{process.pid}.01234567"
    running = faces / f".{'0' * 32}.{socket.gethostname()}.{os.getpid()}.01234567"
    elsewhere = faces / f".{'0' * 32}.another-host.{process.pid}.01234567"
    for folder in (killed, running, elsewhere):
        folder.mkdir(parents=True)
    load_faces(sources["csv"], cache=tmp_path)
    assert [folder.exists() for folder in (killed, running, elsewhere)] == [False, True, True]


def test_processes_at_once_agree(sources, tmp_path):
    with ThreadPoolExecutor(4) as pool:
        stores = list(pool.map(lambda _: load_faces(sources["zip"], cache=tmp_path), range(4)))
    assert all(store == stores[0] for store in stores)
    assert [path.name for path in (tmp_path / "faces").iterdir() if path.name != "facts"] == [stores[0].folder.name]


def test_a_failure_leaves_nothing_and_old_leftovers_go(sources, tmp_path):
    left = tmp_path / "cache" / "faces" / ".killed"
    left.mkdir(parents=True)
    os.utime(left, (time.time() - 3 * 86400,) * 2)
    sources["csv"].write_text(sources["csv"].read_text()[:-3000])
    with pytest.raises(InputError, match=r"Expected 3 fields in .*data row 23"):
        load_faces(sources["csv"], cache=tmp_path / "cache")
    assert [path.name for path in (tmp_path / "cache" / "faces").iterdir() if path.name != "facts"] == []


def test_progress_counts_to_the_end(sources, tmp_path):
    seen: list[tuple[int, int]] = []
    load_faces(sources["folder"], cache=tmp_path, progress=lambda done, total: seen.append((done, total)))
    assert seen[-1] == (24, 24)


def test_votes_are_stored_and_count_in_the_digest(sources, tmp_path):
    header = "file,Usage,neutral,happiness,surprise,sadness,anger,disgust,fear,contempt,unknown,NF,duplicate"
    rows = [f"train/x/{USAGES[i]}_{i + 70}.png,{USAGES[i]},5,0,0,0,5,0,0,0,0,0,0" for i in range(24)]
    votes = tmp_path / "ferplus.csv"
    votes.write_text("\n".join([header, *rows]))
    plain = load_faces(sources["zip"], cache=tmp_path / "cache")
    stores = [load_faces(sources[kind], votes=votes, cache=tmp_path / "cache") for kind in ("zip", "folder", "csv")]
    assert len({store.digest for store in stores}) == 1
    assert stores[0].digest != plain.digest
    np.testing.assert_allclose(stores[0].split("test").votes, [[0.5, 0, 0, 0, 0, 0, 0.5]] * 3)


def test_uneven_and_coloured_images_are_stored_in_one_shape(tmp_path):
    rng = np.random.default_rng(0)
    for i in range(40):
        shape = [(16, 16), (24, 20), (30, 30, 3)][min(i // 10, 2)]
        file = tmp_path / "data" / ("joy" if i % 2 else "fear") / f"{i:02}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(file), rng.integers(0, 256, shape, dtype=np.uint8))
    store = load_faces(tmp_path / "data", cache=tmp_path / "cache")
    assert store.split("train").images.shape == (32, 25, 25, 3)  # the median of 16, 20, 30, 30
    assert (store.size, store.channels) == (25, 3)


def test_groups_are_stored(tmp_path):
    store = load_faces("synthetic", options={"count": 150}, cache=tmp_path)
    people = {split: set(store.groups(split).tolist()) for split in store.counts}
    assert not people["train"] & people["validation"]
    assert not people["train"] & people["test"]


def test_groups_are_those_of_the_faces_that_are_opened(tmp_path):
    store = load_faces("synthetic", options={"count": 150}, cache=tmp_path)
    person = dict(zip(store.split("train").ids, store.groups("train"), strict=True))
    fewer = replace(store, left_out={"train": (0, 5)})
    assert len(fewer.split("train")) == len(person) - 2
    assert fewer.groups("train").tolist() == [person[name] for name in fewer.split("train").ids]


def test_wrong_options_are_named(sources, tmp_path):
    with pytest.raises(InputError, match=r"sed.*seed"):
        load_faces(sources["csv"], options={"sed": 1}, cache=tmp_path)
    with pytest.raises(InputError, match="Did you mean `fer_csv`"):
        load_faces(sources["csv"], reader="fer_cvs", cache=tmp_path)
    with pytest.raises(InputError, match="found no such file"):
        load_faces(sources["csv"], votes=tmp_path / "absent.csv", cache=tmp_path)


def test_meta_is_plain(sources, tmp_path):
    store = load_faces(sources["csv"], cache=tmp_path)
    meta = json.loads((store.folder / "meta.json").read_text())
    assert set(meta["files"]) == {f"{s}.{a}.npy" for s in store.counts for a in ("images", "labels", "ids")}


@real_data
def test_the_real_zip_and_csv_have_one_digest(tmp_path):
    source, table = SHARED / "fer2013.zip", tmp_path / "fer2013.csv"
    store = load_faces(source, votes=SHARED / "ferplus.csv", cache=tmp_path)
    assert store.counts == {"train": 28560, "validation": 3579}
    assert store.class_counts["train"] == (3970, 435, 4079, 7186, 4797, 3161, 4932)

    # The csv lists the faces in the zip's order; the store keeps that order within each split.
    words = np.array([list(f"{value} ".ljust(4, "\0").encode()) for value in range(256)], dtype=np.uint8)  # (256, 4)
    faces = {name: store.split(name) for name in store.counts}
    rows = {name: iter(zip(f.labels, f.images, strict=True)) for name, f in faces.items()}
    with zipfile.ZipFile(source) as archive, table.open("wb") as out:
        out.write(b"emotion,pixels,Usage\n")
        for entry in archive.namelist():
            usage = entry.rpartition("/")[2].partition("_")[0]
            label, image = next(rows["train" if usage == "Training" else "validation"])
            pixels = words[image.ravel()].tobytes().translate(None, b"\0").strip()
            out.write(b"%d,%s,%s\n" % (label, pixels, usage.encode()))
    again = load_faces(table, votes=SHARED / "ferplus.csv", cache=tmp_path)
    assert again.digest == store.digest
    assert again.digests == store.digests
