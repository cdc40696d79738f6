"""Which faces an exported program is compared on: those given, stored validation faces, and odd ones in any case."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from backbones.errors import InputError
from ensemble.data_spec import DataSpec
from pipelines.bundle import read_resolved
from pipelines.console import Console
from pipelines.data_opening import open_faces_of_fit
from pipelines.detection import FaceDetector
from pipelines.export.parity import edge_faces
from pipelines.face_block import Shape
from pipelines.predictor import Predictor
from pipelines.stream_opening import open_stream
from pipelines.workspace import Workspace

__all__ = ["compared_faces"]

_REAL = 128


def compared_faces(
    predictor: Predictor, source: str | None, *, console: Console, workspace: Workspace
) -> tuple[npt.NDArray[np.uint8], str]:
    """Faces of the committee's own size, and what they are in words.

    Args:
        predictor: The committee.
        source: Images or data to take them from; None for the validation faces of the fit, or without them none but
            odd ones.
        console: Told which data are read.
        workspace: Holds the cache of faces.

    Returns:
        (N, S, S) or (N, S, S, 3) uint8, real faces first.

    Raises:
        InputError: The source cannot be read, or has no face.
    """
    odd = edge_faces(predictor.face_size, predictor.face_channels)
    real, what = _given(predictor, source), f"faces of {source}" if source else ""
    if source is None:
        real, what = _stored(predictor, console, workspace), "validation faces"
    if real is None:
        console.note("no faces of the fit at hand: compared on drawn images alone; `--data` takes faces")
        return odd, f"{len(odd)} drawn images"
    return np.concatenate([real, odd]), f"{len(real)} {what}, {len(odd)} drawn images"


def _given(predictor: Predictor, source: str | None) -> npt.NDArray[np.uint8] | None:
    if source is None:
        return None
    data = DataSpec.model_validate(read_resolved(predictor.folder)["data"])
    detector = FaceDetector("auto", device=predictor.device, align=data.align)
    shape = Shape(size=predictor.face_size, channels=predictor.face_channels, rows=_REAL)
    stream = open_stream([source], detector=detector, shape=shape, missed=lambda _name, _content: None)
    block = next(iter(stream.blocks()), None)
    if block is None:
        raise InputError(f"Expected at least one face in `--data {source}`, but found none. Give images of faces.")
    return block.faces[:_REAL]


def _stored(predictor: Predictor, console: Console, workspace: Workspace) -> npt.NDArray[np.uint8] | None:
    """Validation faces of the fit, spread over all of them; None if they are gone or are others now."""
    try:
        store = open_faces_of_fit(predictor.folder, workspace, console, device=str(predictor.device))
    except (InputError, OSError):
        return None
    faces = store.split("validation")
    rows = np.unique(np.linspace(0, len(faces) - 1, min(_REAL, len(faces))).astype(int))
    return np.array(faces.images[rows])
