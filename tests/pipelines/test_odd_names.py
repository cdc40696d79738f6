"""Names with any characters come through to the prediction file, readable, one row each."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from hostile.case import image_files, png, put
from support import Outcome

from pipelines.face_loading import load_faces
from pipelines.plain_name import plain_text

Cli = Callable[..., Outcome]

NAMES = {
    "new\nline.png": "new\nline.png",
    'quo"te, comma;.png': 'quo"te, comma;.png',
    "größe 表情 🙂.png": "größe 表情 🙂.png",
    "[bold]red[/].png": "[bold]red[/].png",
    "=1+1.png": "=1+1.png",
    "tab\tand\x1b[31mred.png": "tab\tand\x1b[31mred.png",
    os.fsdecode(b"caf\xe9.png"): "caf\\xe9.png",
    "x" * 200 + ".png": "x" * 200 + ".png",
    "-starts.png": "-starts.png",
}


@pytest.fixture
def photos(tiny: Path) -> Path:
    for seed, name in enumerate(NAMES):
        put(tiny / "photos" / name, png(seed, 48))
    return Path("photos")


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_names_come_through(suffix: str, photos: Path, cli: Cli) -> None:
    outcome = cli("predict", str(photos), "--detect", "none", "--out", f"p{suffix}")
    assert outcome.code == 0, outcome.err
    if suffix == ".jsonl":
        ids = [json.loads(line)["id"] for line in Path("p.jsonl").read_text(encoding="utf-8").splitlines()]
    else:
        ids = (pd.read_csv if suffix == ".csv" else pd.read_parquet)(f"p{suffix}")["id"].tolist()
    assert sorted(ids) == sorted(f"photos/{name}" for name in NAMES.values())


def test_names_come_through_the_stored_faces(tmp_path: Path) -> None:
    for name, data in image_files((f"sad/{name}", png(99 + i)) for i, name in enumerate(NAMES)).items():
        put(tmp_path / "faces" / name, data)
    store = load_faces(tmp_path / "faces", cache=Path("cache"))
    ids = {name for split in store.counts for name in store.split(split).ids.tolist()}
    assert {f"sad/{name}" for name in NAMES.values()} <= ids


def test_a_bad_one_is_named_without_moving_the_cursor(tiny: Path, cli: Cli) -> None:
    put(tiny / "photos" / "\x1b[2Jx.png", b"hello")
    put(tiny / "photos" / os.fsdecode(b"z\xff.png"), b"hello")
    outcome = cli("predict", "photos", "--detect", "none")
    assert outcome.code == 2
    assert "photos/\\x1b[2Jx.png" in outcome.err
    assert "\x1b" not in outcome.err


def test_plain_text_keeps_lines() -> None:
    assert plain_text("a\nb\tc\u202e\r") == "a\nb\tc\\u202e\\r"
