"""Other data is judged as it is divided: test faces alone, or the whole."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from support import Outcome, write_class_folders

from pipelines.face_loading import load_faces

Cli = Callable[..., Outcome]

USAGES = {"train": "Training", "validation": "PublicTest", "test": "PrivateTest"}


def write_faces(place: Path, splits: tuple[str, ...] = ("train",)) -> int:
    """Some of the synthetic faces, one folder per class; returns how many."""
    store = load_faces("synthetic", options={"count": 210}, cache=Path("mlruns/cache"))
    for split in splits:
        write_class_folders(place, store.split(split))
    return sum(store.counts[split] for split in splits)


def write_table(path: Path, split: str) -> int:
    faces = load_faces("synthetic", options={"count": 210}, cache=Path("mlruns/cache")).split(split)
    rows = [
        f"{label},{' '.join(map(str, np.asarray(image).ravel()))},{USAGES[split]}"
        for image, label in zip(faces.images, faces.labels, strict=True)
    ]
    path.write_text("\n".join(["emotion,pixels,Usage", *rows]) + "\n")
    return len(rows)


def looks_of(tiny: Path) -> list[dict[str, object]]:
    path = tiny / "mlruns" / "committees" / "tiny" / "evaluation" / "looks.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


@pytest.mark.parametrize("form", ["table", "folder"])
def test_data_of_test_faces_alone_is_judged_and_not_fitted_on(tiny: Path, cli: Cli, form: str) -> None:
    if form == "table":
        source, count = "other.csv", write_table(Path("other.csv"), "test")
    else:
        source, count = "other", write_faces(Path("other/test"), ("test",))
    done = cli("evaluate", "--data", source, "--split", "test")
    assert done.code == 0, done.err
    assert [(look["faces"], look["data"]) for look in looks_of(tiny)] == [(count, source)]
    refused = cli("evaluate", "--data", source)
    assert refused.code == 2
    assert f"but it has none. It has test {count}: say which, `--split`" in refused.err.replace("\n", " ")
    refused = cli("fit", "--members", "tiny.yaml", "--data", source, "--out", "none")
    assert refused.code == 2
    assert "Expected faces in the train split" in refused.err.replace("\n", " ")
    assert not Path("none").exists()


def test_undivided_data_is_judged_whole(tiny: Path, cli: Cli) -> None:
    count = write_faces(Path("other"), ("train", "test"))
    drawn = cli("evaluate", "--data", "other")
    assert drawn.code == 0, drawn.err
    assert "`--split all` takes all of its faces" in drawn.err.replace("\n", " ")
    whole = cli("evaluate", "--data", "other", "--split", "all")
    assert whole.code == 0, whole.err
    report = json.loads((tiny / "mlruns/committees/tiny/evaluation/other-all/report.json").read_text())
    assert report["faces"] == count
    assert report["split"] == "all"
    assert len(looks_of(tiny)) == 1


def test_all_faces_of_the_fit_are_no_split(tiny: Path, cli: Cli) -> None:
    done = cli("evaluate", "--split", "all")
    assert done.code == 2
    assert "name them, `--data`" in done.err
    assert not looks_of(tiny)
