"""The committee's most confident mistakes: which faces they are, and their pixels as PNG inside the page."""

from __future__ import annotations

import io
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from backbones.errors import InputError
from ensemble.data_spec import DataSpec
from ensemble.faces import Faces
from pipelines.evaluation import Answers
from pipelines.face_loading import load_faces
from pipelines.stored_posteriors import StoredPosteriors

__all__ = ["Mistake", "most_confident_mistakes", "own_faces", "png_uri"]

_LARGEST = 112
"""Side in pixels of the largest face put into the page; larger ones are made smaller."""


@dataclass(frozen=True, kw_only=True)
class Mistake:
    """A face with a wrong label.

    Attributes:
        row: Its place among the validation faces.
        face: Its name.
        true: Its class.
        predicted: The committee's answer.
        confidence: Probability of that answer.
        agree: Members whose own vote is the committee's.
        right: Members whose own vote is right.
    """

    row: int
    face: str
    true: str
    predicted: str
    confidence: float
    agree: int
    right: int


def most_confident_mistakes(answers: Answers, ids: npt.NDArray[np.str_], *, count: int) -> list[Mistake]:
    """The wrong answers of the highest confidence, the surest first; of equal ones the first face.

    Args:
        answers: What committee and members say.
        ids: (N,) names of the faces.
        count: Most faces to return.
    """
    votes, confidence = answers.committee.argmax(axis=1), answers.committee.max(axis=1)
    own = np.stack([probs.argmax(axis=1) for probs in answers.members.values()])  # (M, N)
    wrong = np.flatnonzero(votes != answers.labels)
    chosen = wrong[np.argsort(-confidence[wrong], kind="stable")][:count]
    return [
        Mistake(
            row=int(row), face=str(ids[row]), true=answers.classes[answers.labels[row]],
            predicted=answers.classes[votes[row]], confidence=float(confidence[row]),
            agree=int((own[:, row] == votes[row]).sum()), right=int((own[:, row] == answers.labels[row]).sum()),
        )
        for row in chosen
    ]  # fmt: skip


def own_faces(resolved: Mapping[str, Any], bank: StoredPosteriors, *, cache: Path, decode: bool) -> Faces:
    """The validation faces that a committee was fitted on.

    Args:
        resolved: The committee's YAML.
        bank: What its members say of them.
        cache: Of decoded faces.
        decode: Whether to read them from their source where they are not in the cache.

    Raises:
        InputError: They are not here any more, or are others.
    """
    spec = DataSpec.model_validate(resolved["data"])
    store = load_faces(
        spec.source, reader=spec.reader, options=spec.options, votes=None if spec.votes is None else Path(spec.votes),
        align=spec.align, classes=spec.classes, on_bad=spec.on_bad, cache=cache, make=decode,
    )  # fmt: skip
    faces = store.split("validation")
    if not (np.array_equal(faces.ids, bank.ids) and np.array_equal(faces.labels, bank.labels)):
        raise InputError(
            f"Expected the validation faces of `{spec.source}` to be those of the fit, but they are others."
        )
    return faces


def png_uri(pixels: npt.NDArray[np.uint8]) -> str:
    """A face (H, W) or (H, W, 3) as a `data:` address."""
    from PIL import Image

    image = Image.fromarray(np.ascontiguousarray(pixels))
    if max(image.size) > _LARGEST:
        image.thumbnail((_LARGEST, _LARGEST))
    buffer = io.BytesIO()
    image.save(buffer, format="PNG", optimize=True)
    return "data:image/png;base64," + b64encode(buffer.getvalue()).decode("ascii")
