"""Prediction files: csv, jsonl or parquet, written block by block and put in place whole."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pandas as pd

from ensemble.predictions import Predictions
from pipelines.atomic import sweep_beside, sync_folder
from pipelines.output_place import check_file

__all__ = ["FORMATS", "PredictionWriter", "is_prediction_file", "prediction_frame"]

FORMATS = (".csv", ".jsonl", ".parquet")
_DIGITS = 6
_BOX = ("x0", "y0", "x1", "y1")
_FIRST = ["id", "face", *_BOX, "label", "confidence", "agreement"]
"""The columns with which every prediction file begins."""


def prediction_frame(
    predictions: Predictions,
    *,
    images: Sequence[str] | None = None,
    faces: Sequence[int] | None = None,
    boxes: npt.NDArray[np.float64] | None = None,
    truths: Sequence[str] | None = None,
) -> pd.DataFrame:
    """Predictions as a table.

    Args:
        predictions: N faces.
        images: Names for the column `id`; default the predictions' ids.
        faces: Number of each face within its image; default 0.
        boxes: (N, 4) pixel coordinates in the image; NaN or None for ready-cropped faces.
        truths: Names of the true classes, empty where unknown; default those of the predictions' labels, if known.
            They may be none of the predictions' classes.

    Returns:
        Columns id, face, x0, y0, x1, y1, label, confidence, agreement, p_<class> …, and true_label if known.
    """
    count = len(predictions)
    box = np.full((count, 4), np.nan) if boxes is None else boxes
    agreement = np.ones(count) if predictions.agreement is None else predictions.agreement
    frame = pd.DataFrame({"id": list(predictions.ids if images is None else images)})
    frame["face"] = np.zeros(count, np.int64) if faces is None else np.asarray(faces, np.int64)
    for column, values in zip(_BOX, box.T, strict=True):
        frame[column] = values.round(1)
    frame["label"] = predictions.names
    frame["confidence"] = predictions.confidence.round(_DIGITS)
    frame["agreement"] = agreement.round(4)
    for name, values in zip(predictions.classes, predictions.probs.T, strict=True):
        frame[f"p_{name}"] = values.round(_DIGITS)
    if truths is None and predictions.labels is not None:
        truths = [predictions.classes[k] if k >= 0 else "" for k in predictions.labels]
    if truths is not None:
        frame["true_label"] = [name or None for name in truths]
    return frame


def is_prediction_file(path: Path) -> bool:
    """Whether a file was written by `PredictionWriter`, by its columns."""
    try:
        if path.suffix == ".parquet":
            from pyarrow import ArrowException, parquet

            try:
                names = parquet.read_schema(path).names
            except ArrowException:
                return False
        else:
            with path.open(encoding="utf-8") as file:
                line = file.readline(2**16).strip()
            names = list(json.loads(line)) if path.suffix == ".jsonl" else line.split(",")
    except (OSError, ValueError, TypeError):
        return False
    return list(names[: len(_FIRST)]) == _FIRST


class PredictionWriter:
    """Writes blocks of rows; the file appears when all are written, and not at all after an error.

    Args:
        path: Its suffix decides the format.
    """

    def __init__(self, path: Path) -> None:
        check_file(path, suffixes=FORMATS, ours=is_prediction_file)
        self.path = path
        self.rows = 0
        self._temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
        self._parquet: Any = None

    def __enter__(self) -> Self:
        self._temporary.unlink(missing_ok=True)
        sweep_beside(self.path)
        return self

    def write(self, frame: pd.DataFrame) -> None:
        """Append a block; all blocks have the same columns."""
        match self.path.suffix:
            case ".csv":
                frame.to_csv(self._temporary, mode="a", header=self.rows == 0, index=False)
            case ".jsonl":
                frame.to_json(self._temporary, orient="records", lines=True, mode="a", double_precision=_DIGITS)
            case _:
                self._write_parquet(frame)
        self.rows += len(frame)

    def _write_parquet(self, frame: pd.DataFrame) -> None:
        import pyarrow as pa
        from pyarrow import parquet

        table = pa.Table.from_pandas(frame, preserve_index=False)
        if self._parquet is None:
            fields = [pa.field(f.name, pa.string()) if pa.types.is_null(f.type) else f for f in table.schema]
            self._parquet = parquet.ParquetWriter(self._temporary, pa.schema(fields))
        self._parquet.write_table(table.cast(self._parquet.schema))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if self._parquet is not None:
                self._parquet.close()
            if kind is None and self.rows:
                with self._temporary.open("rb+") as file:
                    os.fsync(file.fileno())
                self._temporary.replace(self.path)
                sync_folder(self.path.parent)
        except OSError as failure:
            if failure.filename in (None, str(self._temporary)):
                failure.filename = str(self.path)
            raise
        finally:
            with suppress(OSError):
                self._temporary.unlink(missing_ok=True)
