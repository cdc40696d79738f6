"""A committee as an MLflow model. MLflow copies this file into the model and runs it there ("models from code").

Input: a table with the column `image`, a face per row, as text (base64 of a PNG, JPEG or other image file) or as pixels
(H, W) or (H, W, 3) from 0 to 255, and optionally the column `id`. Faces are ready-cropped, as those of the fit were.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.models import set_model
from mlflow.pyfunc.model import PythonModel

__all__ = ["ServedCommittee"]

_LARGEST = 64 * 2**20
"""Characters of one base64 image; an image file of a face has some thousand."""


class ServedCommittee(PythonModel):
    """Answers requests with the committee that lies in the model's artifacts: plain JSON and safetensors, no pickle."""

    def load_context(self, context: Any) -> None:
        """Load the networks; `model_config={"device": "cpu"}` chooses the device."""
        import pipelines

        device = (context.model_config or {}).get("device") or None
        self.predictor = pipelines.load(context.artifacts["bundle"], device=device)
        self.predictor.check_complete()

    def predict(self, context: Any, model_input: pd.DataFrame, params: Any = None) -> pd.DataFrame:
        """Predict the faces of a request.

        Args:
            context: The model's; loaded already.
            model_input: The table.
            params: `tta` views of each face; `seed` of the views; `calibrated` probabilities or those as fused.

        Returns:
            A row per face: id, label, confidence, agreement, p_<class> ….

        Raises:
            MlflowException: The input is wrong; the server answers 400 with the message.
        """
        from backbones.errors import InputError

        try:
            return self._answer(_checked(model_input), dict(params or {}))
        except InputError as error:
            raise MlflowException.invalid_parameter_value(str(error)) from None

    def _answer(self, table: pd.DataFrame, params: Mapping[str, Any]) -> pd.DataFrame:
        faces = _faces(table["image"].tolist())
        ids = _ids(table["id"].tolist(), len(faces)) if "id" in table and table["id"].notna().any() else None
        found = self.predictor.predict(
            faces,
            ids=ids or [str(number) for number in range(len(faces))],
            tta=int(params.get("tta", 1)),
            seed=int(params.get("seed", 0)),
            calibrated=bool(params.get("calibrated", False)),
        )
        answer = pd.DataFrame({"id": list(found.ids), "label": found.names, "confidence": found.confidence})
        answer["agreement"] = found.agreement
        for name, values in zip(found.classes, found.probs.T, strict=True):
            answer[f"p_{name}"] = values
        return answer


def _checked(table: pd.DataFrame) -> pd.DataFrame:
    if "image" not in table:
        raise _wrong(f"Expected a column `image`, but got {', '.join(map(str, table.columns)) or 'none'}.")
    if not len(table):
        raise _wrong("Expected at least one face, but got none.")
    return table


def _faces(cells: list[Any]) -> list[npt.NDArray[np.uint8]]:
    """The cells as faces. `inputs` has two forms that come as something else than a face per cell, see below."""
    if len(cells) == 1 and isinstance(cells[0], list | tuple | np.ndarray) and len(cells[0]):
        if all(isinstance(one, str | bytes) for one in cells[0]):
            cells = list(cells[0])  # {"inputs": {"image": ["iVBO…", "iVBO…"]}}: one cell with all of them
    elif all(_is_row(cell) for cell in cells):
        cells = [cells]  # {"inputs": {"image": [[0, 255, …], …]}}: one face, its rows in a cell each
    return [_face(cell, number) for number, cell in enumerate(cells)]


def _is_row(cell: Any) -> bool:
    return isinstance(cell, list | tuple | np.ndarray) and len(cell) > 0 and np.isscalar(cell[0]) and not isinstance(
        cell[0], str | bytes
    )  # fmt: skip


def _face(cell: Any, number: int) -> npt.NDArray[np.uint8]:
    """One face as (H, W) or (H, W, 3) uint8."""
    if isinstance(cell, str | bytes):
        return _decoded(cell, f"image {number}")
    try:
        pixels = np.asarray(cell)
    except ValueError:  # rows of several lengths
        pixels = np.empty(0, dtype=object)
    numbers = np.issubdtype(pixels.dtype, np.number) and pixels.size > 0
    if not numbers or not (pixels.ndim == 2 or (pixels.ndim == 3 and pixels.shape[2] in (1, 3))):
        got = f"an array of shape {pixels.shape}" if numbers else f"{str(cell)[:40]!r}"
        raise _wrong(f"Expected image {number} to be base64 text, or pixels (H, W) or (H, W, 3), but got {got}.")
    if not ((pixels >= 0) & (pixels <= 255)).all():
        raise _wrong(f"Expected pixels from 0 to 255, but got {pixels.min():g} to {pixels.max():g} in image {number}.")
    return np.asarray(np.rint(pixels), dtype=np.uint8)


def _decoded(text: str | bytes, name: str) -> npt.NDArray[np.uint8]:
    """An image file given as base64; the prefix of a data URL is taken off."""
    from pipelines.image_file import decode_image

    raw = text.encode() if isinstance(text, str) else text
    if raw.startswith(b"data:"):
        raw = raw.partition(b",")[2]
    if len(raw) > _LARGEST:
        raise _wrong(f"Expected {name} to have at most {_LARGEST:,} characters of base64, but got {len(raw):,}.")
    try:
        content = base64.b64decode(b"".join(raw.split()), validate=True)
    except (binascii.Error, ValueError) as error:
        raise _wrong(f"Expected {name} to be base64 of an image file, but got: {error}.") from None
    return decode_image(content, name=name)


def _ids(given: list[Any], count: int) -> list[str]:
    if len(given) != count or any(not isinstance(one, str) for one in given):
        raise _wrong(f"Expected `id` to be a text for each of the {count} images.")
    return given


def _wrong(message: str) -> Exception:
    from backbones.errors import InputError

    return InputError(message)


set_model(ServedCommittee())
