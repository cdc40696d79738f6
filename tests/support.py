"""A tiny committee, the command line in a process of its own, and what all processes of a run make only once."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from ensemble.faces import Faces
from pipelines.lock import locked
from pipelines.tracking_store import open_client

ROOT = Path(__file__).resolve().parents[1]
_PLACES = (
    ("experiments", "artifact_location"), ("runs", "artifact_uri"), ("logged_models", "artifact_location"),
    ("model_versions", "source"), ("model_versions", "storage_location"),
)  # fmt: skip
"""Where MLflow keeps whole paths."""

TINY = """
name: tiny
data: {source: synthetic, count: 210}
views: 2
defaults: {epochs: 3, batch_size: 32, augment: shift_flip, input: {size: 48, channels: 1}}
members:
  - name: plain
    groups: [scratch]
    backbone: {kind: scratch_cnn, blocks: [{filters: 8}, {filters: 12}]}
    head: {kind: mlp, hidden: [24], dropout: 0.2}
    optimizer: {kind: adamw, lr: 3.0e-3}
  - name: residual
    groups: [scratch, averaged]
    backbone:
      kind: scratch_cnn
      pooling: average
      blocks: [{filters: 8, pool: none}, {convs: 2, filters: 12, stride: 2, residual: true}]
    input: {normalize: equalize}
    ema: 0.8
    optimizer: {kind: sgd, lr: 0.05}
committee: {rule: log_likelihood, over: [{rule: va_expo, members: [scratch]}, {rule: mean, members: [averaged]}]}
"""


@dataclass(frozen=True)
class Outcome:
    """What a command did."""

    code: int
    out: str
    err: str


def run_process(*args: str, cwd: Path, timeout: float = 300, env: dict[str, str] | None = None) -> Outcome:
    """Run the command line in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "pipelines.cli", *args],
        cwd=cwd, capture_output=True, text=True, timeout=timeout, check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT), **(env or {})},
    )  # fmt: skip
    return Outcome(done.returncode, done.stdout, done.stderr)


def made_once(folder: Path, make: Callable[[Path], object]) -> Path:
    """Fill a folder, if no other process has; whoever asks while it is being filled waits."""
    with locked(folder.with_name(f"{folder.name}-lock"), wait=True):
        done = folder.with_name(f"{folder.name}-lock") / "done"
        if not done.exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            make(folder)
            done.touch()
    return folder


def make_empty_store(folder: Path) -> None:
    """An MLflow store `mlflow.db` without an experiment, whose tables take MLflow seconds to make."""
    path = folder / "mlflow.db"
    open_client(f"sqlite:///{path}").search_experiments()
    with closing(sqlite3.connect(path)) as store, store:
        store.execute("DELETE FROM experiments")  # the default one knows the folder that it was made in


def copy_workspace(source: Path, target: Path) -> None:
    """Copy a fitted workspace; what MLflow stores for the copy goes into it, not into the one that others copy."""
    shutil.copytree(source, target, symlinks=True)
    with closing(sqlite3.connect(target / "mlruns/mlflow.db")) as database, database:
        for table, column in _PLACES:
            database.execute(
                f"UPDATE {table} SET {column} = replace({column}, ?, ?)", (f"{source}/mlruns", f"{target}/mlruns")
            )
    known = sys.modules.get("mlflow.tracking._tracking_service.utils")
    if known is not None:
        known._artifact_repos_cache.clear()  # places by run, and all copies have the same runs


def write_class_folders(root: Path, faces: Faces) -> None:
    """Write faces as PNG files, one folder per class, named after their split and number."""
    for number, (image, label) in enumerate(zip(faces.images, faces.labels, strict=True)):
        folder = root / faces.classes[label]
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.array(image)).save(folder / f"{faces.split}{number}.png")
