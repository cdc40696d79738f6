"""A committee as a folder that MLflow can load and serve: its files, the product's code, requirements and signature.

Nothing in it is pickled: MLflow runs `pipelines.served_committee` from the copy of the code in the folder.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

__all__ = ["BUNDLE", "save_committee"]

BUNDLE = "bundle"
"""Name of the committee's folder among the model's artifacts."""

_REQUIREMENTS = (
    "torch", "torchvision", "timm", "facenet-pytorch", "albumentations", "opencv-python-headless", "scikit-learn",
    "scipy", "numpy", "pandas", "mlflow", "matplotlib", "pillow", "psutil", "pydantic", "pyyaml", "rich", "safetensors",
    "threadpoolctl", "annotated-types", "typing-extensions", "typer",
)  # fmt: skip
"""What the model's environment needs, with the versions of here: MLflow is not asked to guess, nor to run pip."""


def save_committee(path: Path, files: Sequence[tuple[Path, str]], classes: Sequence[str], *, entry: Any = None) -> None:
    """Write the folder.

    Args:
        path: The folder, which is made.
        files: The committee's files, with the folder of each within the bundle.
        classes: Class names.
        entry: What MLflow knows of the model; None if it is logged nowhere.
    """
    from mlflow.pyfunc import save_model

    code = Path(__file__).resolve().parent
    with tempfile.TemporaryDirectory(prefix="ensemble-bundle-") as scratch:
        bundle = Path(scratch) / BUNDLE
        for file, place in files:
            (bundle / place).mkdir(parents=True, exist_ok=True)
            shutil.copy2(file, bundle / place)
        save_model(
            path,
            python_model=str(code / "served_committee.py"),
            artifacts={BUNDLE: str(bundle)},
            code_paths=[str(code.parent / package) for package in ("backbones", "ensemble", "pipelines")],
            pip_requirements=_pinned(),
            signature=_signature(classes),
            input_example=_example(),
            mlflow_model=entry,
        )
    for cache in path.rglob("__pycache__"):
        shutil.rmtree(cache)


def _example() -> Any:
    """A request, which MLflow keeps beside the model and shows: one grey face of nothing."""
    import base64
    import io

    import pandas as pd
    from PIL import Image

    content = io.BytesIO()
    Image.new("L", (48, 48), 128).save(content, format="PNG")
    return pd.DataFrame({"image": [base64.b64encode(content.getvalue()).decode()]})


def _signature(classes: Sequence[str]) -> Any:
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, DataType, ParamSchema, ParamSpec, Schema
    from mlflow.types.schema import AnyType  # takes text and nested lists alike

    anything: Any = AnyType
    numbers = ("confidence", "agreement", *(f"p_{name}" for name in classes))
    return ModelSignature(
        inputs=Schema([ColSpec(anything(), "image"), ColSpec(DataType.string, "id", required=False)]),
        outputs=Schema([
            *(ColSpec(DataType.string, name) for name in ("id", "label")),
            *(ColSpec(DataType.double, name) for name in numbers),
        ]),
        params=ParamSchema([
            ParamSpec("tta", DataType.long, 1),
            ParamSpec("seed", DataType.long, 0),
            ParamSpec("calibrated", DataType.boolean, False),
        ]),
    )  # fmt: skip


def _pinned() -> list[str]:
    pinned = []
    for name in _REQUIREMENTS:
        try:
            pinned.append(f"{name}=={version(name).split('+')[0]}")  # "+cpu" is on no index
        except PackageNotFoundError:
            continue
    return pinned
