"""The committee that comes with the package: what it is, that its card tells it, and that a bare install answers."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from support import Outcome

import pipelines
from ensemble.expression import EXPRESSIONS
from pipelines.bundle import WEIGHTS, read_json
from pipelines.model_card import CARD
from pipelines.workspace import MANIFEST, SHIPPED

ROOT = Path(__file__).parents[2]
MIB = 1 << 20


@pytest.fixture(scope="module")
def box() -> Path:
    """The only committee inside the package."""
    folders = sorted(path.parent for path in SHIPPED.glob(f"*/{MANIFEST}"))
    assert len(folders) == 1
    return folders[0]


def test_it_is_small_whole_and_of_half_precision(box: Path, cli: Callable[..., Outcome]) -> None:
    assert sum(path.stat().st_size for path in box.rglob("*") if path.is_file()) <= 12 * MIB
    committee = pipelines.load(box)
    assert committee.classes == EXPRESSIONS
    assert all(read_json(path)["weights_precision"] == "float16" for path in box.glob("members/*/spec.json"))
    held = {path.relative_to(box).as_posix() for path in box.rglob("*") if path.is_file()} - {MANIFEST}
    assert held == set(json.loads((box / MANIFEST).read_text())["files"])
    assert cli("verify", box.name, "--quiet").code == 0


def test_nothing_in_it_tells_of_the_machine_that_made_it(box: Path) -> None:
    for path in (path for path in box.rglob("*") if path.is_file() and path.name != WEIGHTS):
        text = path.read_text(encoding="utf-8")
        assert not [place for place in ("/tmp", "/home", "/root", "/work", "\\Users", "http://") if place in text], path


def test_the_card_is_a_page_of_the_docs(box: Path) -> None:
    page = (ROOT / "docs" / "model-card.md").read_text(encoding="utf-8")
    card = (box / CARD).read_text(encoding="utf-8")
    assert page == card
    report = read_json(box / "report.json")
    assert f"{report['rules']['committee']['nested_accuracy']:.4f}" in card
    for part in ("## Numbers", "### Classes", "## Data", "## Limits", "## Ethics", *EXPRESSIONS):
        assert part in card


def test_a_photo_gets_a_box_and_a_label(box: Path, cli: Callable[..., Outcome]) -> None:
    data = pytest.importorskip("skimage.data", reason="scikit-image has the photo")
    Image.fromarray(np.asarray(data.astronaut())).save("astronaut.png")
    outcome = cli("predict", "--tta", "10", "astronaut.png")
    assert outcome.code == 0, outcome.err
    assert f"committee {box.name}" in outcome.err
    (row,) = pd.read_csv("predictions.csv").to_dict("records")
    assert row["label"] == "happy"
    assert 150 < (row["x0"] + row["x1"]) / 2 < 280
    assert 50 < (row["y0"] + row["y1"]) / 2 < 200


def test_it_travels_in_the_wheel(box: Path, tmp_path: Path) -> None:
    """Built from a copy, so that nothing is left in the project."""
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tmp_path / name)
    for name in ("backbones", "ensemble", "pipelines"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    code = "from setuptools.build_meta import build_wheel; print(build_wheel('.'))"
    made = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert made.returncode == 0, made.stderr
    with zipfile.ZipFile(tmp_path / made.stdout.splitlines()[-1]) as wheel:
        names = set(wheel.namelist())
    for path in (path for path in box.rglob("*") if path.is_file()):
        assert f"pipelines/shipped/{path.relative_to(SHIPPED).as_posix()}" in names
