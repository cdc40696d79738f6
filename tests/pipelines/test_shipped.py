"""The committee inside the package: what answers where none has been fitted."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import pipelines
from backbones.errors import InputError
from pipelines.workspace import Workspace


@pytest.fixture
def shipped(tiny: Path, cli: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A pack as the package's own, and a working directory in which nothing has been fitted."""
    assert cli("pack", "--out", str(tmp_path / "package" / "own"), "-q").code == 0
    monkeypatch.setattr("pipelines.workspace.SHIPPED", tmp_path / "package")
    (tmp_path / "fresh").mkdir()
    monkeypatch.chdir(tmp_path / "fresh")
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (48, 48), dtype=np.uint8)).save("face.png")
    return tmp_path / "package" / "own"


def test_it_answers_where_none_has_been_fitted(shipped: Path, cli: Any) -> None:
    outcome = cli("predict", "--tta", "2", "face.png")
    assert outcome.code == 0, outcome.err
    assert "since none has been fitted here" in outcome.err
    assert str(shipped / "MODEL_CARD.md") in outcome.err
    assert len(Path("predictions.csv").read_text().splitlines()) == 2
    assert pipelines.load().folder == shipped


def test_it_has_a_name(shipped: Path, cli: Any) -> None:
    outcome = cli("predict", "--committee", "own", "face.png")
    assert outcome.code == 0, outcome.err
    assert "since none has been fitted" not in outcome.err
    assert "Did you mean" in cli("predict", "--committee", "owm", "face.png").err


def test_what_was_fitted_here_comes_first(shipped: Path, tiny: Path, cli: Any) -> None:
    shutil.copytree(tiny / "mlruns/committees/tiny", "mlruns/committees/mine")
    assert pipelines.load().folder == Path("mlruns/committees/mine")
    assert pipelines.load("own").folder == shipped


def test_it_has_no_faces_of_its_own_to_predict(shipped: Path, cli: Any) -> None:
    outcome = cli("predict")
    assert outcome.code == 2
    assert "Expected INPUT: the faces that the package's own committee was fitted on are not here" in outcome.err
    assert not Path("predictions.csv").exists()


def test_other_commands_want_a_committee_of_ones_own(shipped: Path) -> None:
    with pytest.raises(InputError, match="Fit one first"):
        Workspace().find(None)
