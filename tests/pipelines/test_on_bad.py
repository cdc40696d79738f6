"""`on_bad: skip` leaves out what cannot be read and says so; the rest is as if the bad ones had never been there."""

from __future__ import annotations

import csv
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hostile.archives import zipped
from hostile.case import csv_text, image_files, png, png_claiming, put
from support import Outcome

from backbones.errors import InputError
from ensemble.data_spec import DataSpec
from pipelines.face_loading import load_faces
from pipelines.face_store import FaceStore
from pipelines.skip_report import SKIPPED

Cli = Callable[..., Outcome]

BAD = {"sad/w.png": b"hello", "sad/x.jpg": b"", "angry/y.png": png()[:60], "fear/z.png": png_claiming(60_000, 60_000)}


def _load(source: Path, on_bad: str = "error", **options: object) -> FaceStore:
    return load_faces(source, on_bad=on_bad, cache=Path("cache"), **options)


def _reported(store: FaceStore) -> list[list[str]]:
    with (store.folder / SKIPPED).open(encoding="utf-8", newline="") as file:
        header, *rows = csv.reader(file)
    assert header == ["file", "reason"]
    assert len(rows) == store.skipped
    return rows


def _folder(name: str, files: dict[str, bytes]) -> Path:
    for file, data in files.items():
        put(Path(name) / file, data)
    return Path(name)


def test_bad_images_are_left_out_and_named() -> None:
    good, bad = _load(_folder("good", image_files())), _folder("bad", image_files(BAD.items()))
    with pytest.raises(InputError, match=r"angry/y\.png to be a readable image"):
        _load(bad)
    store = _load(bad, "skip")
    assert store.digest == good.digest
    assert store.counts == good.counts
    rows = _reported(store)
    assert sorted(file for file, _ in rows) == sorted(f"bad/{name}" for name in BAD)
    assert all(f": {file.partition('/')[2]} to " in reason for file, reason in rows)
    assert "60,000 by 60,000" in dict(rows)["bad/fear/z.png"]


def test_nothing_bad_nothing_reported() -> None:
    folder = _folder("good", image_files())
    store = _load(folder, "skip")
    assert store.skipped == 0
    assert not (store.folder / SKIPPED).exists()
    assert store.digest == _load(folder).digest


def test_bad_files_in_a_zip_are_left_out_and_named() -> None:
    Path("good.zip").write_bytes(zipped())
    Path("bad.zip").write_bytes(zipped(BAD))
    data = bytearray(Path("bad.zip").read_bytes())
    with zipfile.ZipFile("bad.zip") as archive:
        start = archive.getinfo("sad/3.png").header_offset + 60
    data[start] ^= 255  # its checksum no longer fits
    Path("bad.zip").write_bytes(data)
    store = _load(Path("bad.zip"), "skip")
    assert {file for file, _ in _reported(store)} == {f"bad.zip/{name}" for name in (*BAD, "sad/3.png")}
    assert sum(store.counts.values()) == sum(_load(Path("good.zip")).counts.values()) - 1


def test_bad_rows_are_left_out_and_keep_the_others_names() -> None:
    def spoil(rows: list[list[str]]) -> None:
        rows[0].pop()
        rows[3][0] = "glad-ish"
        rows[5][1] = "1 2 3"
        rows[6][1] = "999" + rows[6][1][1:]
        rows[8][2] = ""
        rows[9][2] = "Trainig"

    Path("bad.csv").write_bytes(csv_text(spoil))
    Path("good.csv").write_bytes(csv_text())
    store, good = _load(Path("bad.csv"), "skip"), _load(Path("good.csv"))
    assert [file.rpartition(" ")[2] for file, _ in sorted(_reported(store))] == ["0", "3", "5", "6", "8", "9"]
    kept = [1, 2, 4, 7, 10, 11, 12, 13]
    assert store.split("train").ids.tolist() == [f"Training_{row}" for row in kept]
    np.testing.assert_array_equal(store.split("train").images, good.split("train").images[kept])


def test_votes_still_go_by_row() -> None:
    emotions = "neutral,happiness,surprise,sadness,anger,disgust,fear,contempt"
    votes = ["0,0,0,0,10,0,0,0", "0,0,0,0,0,10,0,0", "0,0,0,0,0,0,10,0", "0,10,0,0,0,0,0,0", "0,0,0,10,0,0,0,0",
             "0,0,10,0,0,0,0,0", "10,0,0,0,0,0,0,0"]  # fmt: skip
    usages = ["Training"] * 14 + ["PublicTest"] * 7
    lines = [f"Image name,Usage,{emotions}", *(f",{usage},{votes[row % 7]}" for row, usage in enumerate(usages))]
    Path("votes.csv").write_text("\n".join(lines) + "\n")
    Path("bad.csv").write_bytes(csv_text(lambda rows: rows[2].pop()))
    train = _load(Path("bad.csv"), "skip", votes=Path("votes.csv")).split("train")
    assert train.votes is not None
    np.testing.assert_array_equal(train.votes.argmax(axis=1), train.labels)


def test_classes_and_skipping_go_together() -> None:
    folder = _folder("bad", image_files(BAD.items()))
    store = load_faces(folder, on_bad="skip", classes={"fear": None}, cache=Path("cache"))
    assert "fear" not in store.classes
    assert sum(store.counts.values()) == 36
    assert store.skipped == 4


@pytest.mark.parametrize("name", ["../x.png", "sad/link.png"])
def test_harm_is_refused_in_any_case(name: str) -> None:
    files = zipped({name: png()})
    Path("f.zip").write_bytes(files.replace(b"\0\0\x80\x01", b"\0\0\xff\xa1") if "link" in name else files)
    with pytest.raises(InputError, match="points outside" if ".." in name else "is a link"):
        _load(Path("f.zip"), "skip")


def test_all_bad_is_an_error() -> None:
    folder = _folder("bad", {f"{name}/{i}.png": b"no" for name in ("sad", "happy") for i in range(3)})
    with pytest.raises(InputError, match=r"Expected a readable image in bad, but none of 6 is\. .*bad: happy/0\.png"):
        _load(folder, "skip")


def test_the_default_changes_nothing() -> None:
    assert DataSpec(source="x").on_bad == "error"
    keys = {store.folder.name for store in (_load(_folder("good", image_files())), _load(Path("good"), "error"))}
    assert len(keys) == 1
    assert _load(Path("good"), "skip").folder.name not in keys


def test_a_committee_keeps_the_report(tiny: Path, cli: Cli) -> None:
    _folder("faces", image_files(BAD.items()))
    text = (tiny / "tiny.yaml").read_text().replace("{source: synthetic, count: 210}", "{source: faces, on_bad: skip}")
    text = (
        text.replace("name: tiny", "name: skipping").replace("epochs: 3", "epochs: 1").replace("size: 48", "size: 24")
    )
    (tiny / "skip.yaml").write_text(text)
    outcome = cli("fit", "--members", "skip.yaml", "--no-track", "--jobs", "1")
    assert outcome.code == 0, outcome.err
    assert "4 left out, which cannot be read: " in outcome.err
    report = Path("mlruns/committees/skipping") / SKIPPED
    assert report.read_text().count("\n") == 5
    assert cli("predict", "--committee", "skipping", "--out", "p.csv").code == 0
    shutil.rmtree("faces")
    _folder("faces", image_files())
    assert cli("fit", "--members", "skip.yaml", "--no-track", "--jobs", "1").code == 0
    assert not report.exists()


def test_predict_skips_photos(tiny: Path, cli: Cli) -> None:
    _folder("photos", {"a.png": png(1, 48), "b.png": b"hello", "c.png": png(2, 48), "d.jpg": png(3, 48)[:90]})
    assert cli("predict", "photos", "--detect", "none").code == 2
    assert not Path("predictions.csv").exists()
    outcome = cli("predict", "photos", "--detect", "none", "--on-bad", "skip")
    assert outcome.code == 0, outcome.err
    assert "2 skipped, which cannot be read: predictions.skipped.csv" in outcome.err
    assert pd.read_csv("predictions.csv")["id"].tolist() == ["photos/a.png", "photos/c.png"]
    assert pd.read_csv("predictions.skipped.csv")["file"].tolist() == ["photos/b.png", "photos/d.jpg"]
    for options in (("--on-bad", "skip"), ()):  # a report of an earlier run goes with its predictions
        Path("predictions.skipped.csv").write_text("file,reason\nphotos/b.png,broken\n")
        assert cli("predict", "photos/a.png", "--detect", "none", *options).code == 0
        assert not Path("predictions.skipped.csv").exists()
    Path("predictions.skipped.csv").write_text("a file of somebody's own\n")
    assert cli("predict", "photos/a.png", "--detect", "none").code == 0
    assert Path("predictions.skipped.csv").exists()


def test_predict_skips_rows_and_labelled_images(tiny: Path, cli: Cli) -> None:
    Path("f.csv").write_bytes(csv_text(lambda rows: rows[4].pop()))
    assert cli("predict", "f.csv", "--on-bad", "skip", "--out", "rows.csv").code == 0
    assert len(pd.read_csv("rows.csv")) == 20
    assert pd.read_csv("rows.skipped.csv")["file"].tolist() == ["f.csv, data row 4"]
    _folder("faces", image_files(BAD.items()))
    assert cli("predict", "faces", "--on-bad", "skip", "--out", "faces.csv").code == 0
    assert len(pd.read_csv("faces.csv")) == 42
    assert len(pd.read_csv("faces.skipped.csv")) == 4


def test_predict_with_nothing_left(tiny: Path, cli: Cli) -> None:
    _folder("photos", {"b.png": b"hello"})
    outcome = cli("predict", "photos", "--detect", "none", "--on-bad", "skip")
    assert outcome.code == 2
    assert "photos/b.png" in outcome.err
    assert not list(Path().glob("predictions*"))
