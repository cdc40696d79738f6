"""A tiny FER2013 in every layout that the readers know."""

from __future__ import annotations

import gzip
import io
import tarfile
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

import cv2
import numpy as np
import pytest

EMOTIONS = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
USAGES = ("Training",) * 14 + ("PublicTest",) * 7 + ("PrivateTest",) * 3


def png(image: np.ndarray) -> bytes:
    return cv2.imencode(".png", image)[1].tobytes()


@pytest.fixture
def images() -> np.ndarray:
    """(24, 48, 48) noise; face i has the label i mod 7 and the usage USAGES[i]."""
    return np.random.default_rng(0).integers(0, 256, (24, 48, 48), dtype=np.uint8)


@pytest.fixture
def csv_text(images: np.ndarray) -> str:
    rows = [f"{i % 7},{' '.join(map(str, images[i].ravel()))},{USAGES[i]}\n" for i in range(24)]
    return "emotion,pixels,Usage\n" + "".join(rows)


@pytest.fixture
def files(images: np.ndarray) -> dict[str, bytes]:
    """The image-folder distribution: path -> PNG."""
    tree = {}
    for i, usage in enumerate(USAGES):
        part = "train" if usage == "Training" else "test"
        tree[f"{part}/{EMOTIONS[i % 7]}/{usage}_{1000 + i}.png"] = png(images[i])
    return tree


def write_zip(target: Path, tree: Mapping[str, bytes]) -> None:
    with zipfile.ZipFile(target, "w") as archive:
        for path, data in tree.items():
            archive.writestr(path, data)


def write_tar(target: Path, tree: Mapping[str, bytes]) -> None:
    with tarfile.open(target, "w:gz") as tar:
        for path, data in tree.items():
            info = tarfile.TarInfo(path)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))


def write_folder(target: Path, tree: Mapping[str, bytes]) -> None:
    for path, data in tree.items():
        (target / path).parent.mkdir(parents=True, exist_ok=True)
        (target / path).write_bytes(data)


WRITERS = {
    ".zip": write_zip,
    ".tar.gz": write_tar,
    ".tgz": write_tar,
    ".csv.gz": lambda target, tree: target.write_bytes(gzip.compress(next(iter(tree.values())))),
    ".csv": lambda target, tree: target.write_bytes(next(iter(tree.values()))),
    "": write_folder,
}


@pytest.fixture
def write_tree(tmp_path: Path) -> Callable[..., Path]:
    """Write a mapping path -> bytes as what the name's suffix says: a zip, a tar, one csv, else a folder."""

    def write(name: str, tree: Mapping[str, bytes]) -> Path:
        suffix = next(suffix for suffix in WRITERS if name.endswith(suffix))
        WRITERS[suffix](tmp_path / name, tree)
        return tmp_path / name

    return write
