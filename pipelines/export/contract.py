"""What an exported file says of itself: its input, its outputs, where it comes from. In the file, and beside it."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from ensemble.data_spec import DataSpec
from pipelines.bundle import read_resolved
from pipelines.export.exportable import Exportable
from pipelines.export.parity import Parity
from pipelines.export.program import INPUT, OPSET
from pipelines.fingerprint import digest_file
from pipelines.predictor import Predictor
from pipelines.workspace import MANIFEST

__all__ = ["FORMAT", "describe"]

FORMAT = "ensemble onnx 1"


def describe(exportable: Exportable, predictor: Predictor, parity: Parity) -> dict[str, Any]:
    """All facts about a file, as JSON; those of committee and rule as well where it holds a single member."""
    return {
        "format": FORMAT,
        "name": exportable.name,
        **exportable.facts,
        "classes": list(predictor.classes),
        "input": _input(predictor),
        "outputs": dict(exportable.outputs),
        "opset": OPSET,
        "ensemble": _version("ensemble"),
        "torch": _version("torch"),
        "onnxruntime": _version("onnxruntime"),
        "committee": {"name": predictor.folder.name, "sha256": digest_file(predictor.folder / MANIFEST)},
        "parity": parity.describe(),
    }


def _input(predictor: Predictor) -> dict[str, Any]:
    size, channels = predictor.face_size, predictor.face_channels
    return {
        "name": INPUT,
        "type": "uint8",
        "shape": ["N", channels, size, size],
        "size": size,
        "channels": channels,
        "colour": "RGB" if channels == 3 else "grey (luma 0.299 R + 0.587 G + 0.114 B)",
        "values": [0, 255],
        **_alignment(predictor.folder),
        "resize": "area means when shrinking, bilinear when growing; nothing else: normalisation is inside",
    }


def _alignment(folder: Path) -> dict[str, Any]:
    align = DataSpec.model_validate(read_resolved(folder)["data"]).align
    if align is None:
        return {"faces": "cropped as in the data that the committee was fitted on, one face an image", "align": None}
    return {
        "faces": f"aligned by five landmarks to the template `{align.template}`, one face an image",
        "align": align.model_dump(mode="json"),
    }


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "unknown"
