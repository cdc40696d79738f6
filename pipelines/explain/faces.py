"""Which faces are explained: those given, or validation faces chosen by what the committee says of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from backbones.errors import InputError
from ensemble.bank import load_posteriors
from ensemble.data_spec import DataSpec
from pipelines.bundle import POSTERIORS, read_resolved
from pipelines.console import Console
from pipelines.data_opening import open_faces_of_fit
from pipelines.detection import FaceDetector
from pipelines.face_block import Shape
from pipelines.predictor import Predictor
from pipelines.stream_opening import open_stream
from pipelines.workspace import Workspace

__all__ = ["Choice", "ShownFaces", "choose_rows", "chosen_faces", "given_faces"]

Choice = Literal["mistakes", "confident", "uncertain", "random"]

_MEAN_OF = 1024


@dataclass(frozen=True, kw_only=True)
class ShownFaces:
    """Faces to explain, of the committee's own size.

    Attributes:
        ids: N names.
        images: (N, H, W) or (N, H, W, 3) uint8.
        truths: N names of true classes, empty where unknown.
        outside: (N, K) probabilities by member without a network, where they are known.
        start: (H, W) or (H, W, 3) uint8: the face that dreams start from.
        start_name: What that face is.
    """

    ids: tuple[str, ...]
    images: npt.NDArray[np.uint8]
    truths: tuple[str, ...]
    outside: Mapping[str, npt.NDArray[np.float64]]
    start: npt.NDArray[np.uint8]
    start_name: str


def choose_rows(
    probs: npt.NDArray[np.float64], labels: npt.NDArray[np.int64], *, choice: Choice, count: int, seed: int = 0
) -> list[int]:
    """Rows of the faces most worth a look, as many of each true class as there are.

    Args:
        probs: (N, K) probabilities.
        labels: (N,) true class indices.
        choice: `mistakes`: wrong, the most confident first; `confident`: right, likewise; `uncertain`: the least
            confident first; `random`: any.
        count: How many in all.
        seed: Of `random`.

    Returns:
        At most `count` rows, sorted by true class; fewer if no more are of that kind.

    Example:
        >>> p = np.array([[0.9, 0.1], [0.4, 0.6], [0.2, 0.8], [0.3, 0.7]])
        >>> choose_rows(p, np.array([0, 0, 0, 1]), choice="mistakes", count=1)
        [2]
    """
    sure, right = probs.max(axis=1), probs.argmax(axis=1) == labels
    order = {
        "mistakes": np.where(right, np.nan, -sure),
        "confident": np.where(right, -sure, np.nan),
        "uncertain": sure,
        "random": np.random.default_rng(seed).permutation(len(labels)).astype(np.float64),
    }[choice]
    queues = [
        [int(row) for row in np.argsort(order, kind="stable") if labels[row] == k and not np.isnan(order[row])]
        for k in range(probs.shape[1])
    ]
    ranked = [(rank, k, row) for k, queue in enumerate(queues) for rank, row in enumerate(queue)]
    return [row for _, _, row in sorted(sorted(ranked)[:count], key=lambda entry: (entry[1], entry[0]))]


def chosen_faces(
    predictor: Predictor,
    speaker: str | None,
    *,
    choice: Choice,
    count: int,
    seed: int,
    console: Console,
    workspace: Workspace,
) -> ShownFaces:
    """Validation faces of the committee's data, chosen by the stored probabilities of the faces themselves (view 0).

    Args:
        predictor: The committee.
        speaker: The member whose word counts; None for the committee's.
        choice: As in `choose_rows`.
        count: How many.
        seed: Of a random choice.
        console: Told which data are read.
        workspace: Holds the cache.

    Raises:
        InputError: No face is of that kind, or the data have changed since the fit.
    """
    posteriors, ids, labels = _stored(predictor)
    probs = predictor.committee(posteriors) if speaker is None else posteriors[speaker]
    rows = choose_rows(probs, labels, choice=choice, count=count, seed=seed)
    if not rows:
        raise InputError(
            f"Expected validation faces for `--choose {choice}`, but {speaker or 'the committee'} makes none of that "
            f"kind. Choose `random`."
        )
    store = open_faces_of_fit(predictor.folder, workspace, console, device=str(predictor.device))
    faces = store.split("validation")
    place = {str(name): row for row, name in enumerate(faces.ids)}
    names = [str(ids[row]) for row in rows]
    spread = np.unique(np.linspace(0, len(faces) - 1, min(_MEAN_OF, len(faces))).astype(int))
    return ShownFaces(
        ids=tuple(names), images=np.stack([faces.images[place[name]] for name in names]),
        truths=tuple(predictor.classes[labels[row]] for row in rows),
        outside={name: posteriors[name][rows] for name in predictor.outside},
        start=faces.images[spread].mean(axis=0).round().astype(np.uint8), start_name="mean validation face",
    )  # fmt: skip


def given_faces(inputs: Sequence[str], predictor: Predictor, *, count: int, console: Console) -> ShownFaces:
    """The first faces in images, folders, zips or a labelled data set.

    Raises:
        InputError: An input cannot be read, or there is no face in them.
    """
    data = DataSpec.model_validate(read_resolved(predictor.folder)["data"])
    detector = FaceDetector("auto", device=predictor.device, align=data.align)
    shape = Shape(size=predictor.face_size, channels=predictor.face_channels, rows=count)
    missed: list[str] = []
    stream = open_stream(inputs, detector=detector, shape=shape, missed=lambda name, _: missed.append(name))
    block = next(iter(stream.blocks()), None)
    if block is None:
        raise InputError(
            f"Expected at least one face, but found none in {len(stream)} image(s), {', '.join(missed[:3])}. "
            f"Give pictures with a face in them."
        )
    if len(stream) > len(block.images):
        console.note(f"the first {len(block.images[:count])} faces are explained; `--faces` takes more")
    return ShownFaces(
        ids=tuple(block.keys[:count]), images=block.faces[:count], truths=tuple(block.truths[:count]), outside={},
        start=block.faces[0], start_name=block.keys[0],
    )  # fmt: skip


def _stored(
    predictor: Predictor,
) -> tuple[dict[str, npt.NDArray[np.float64]], npt.NDArray[np.str_], npt.NDArray[np.int64]]:
    """What every member says of the validation faces themselves, their names, and their labels."""
    splits = {
        name: load_posteriors(predictor.folder / "members" / name / POSTERIORS).splits["validation"]
        for name in (*predictor.members, *predictor.outside)
    }
    first = next(iter(splits.values()))
    if first.labels is None:
        raise InputError(f"Expected labelled validation faces in `{predictor.folder}`, but got none. Give INPUT.")
    return {name: split.probs[0] for name, split in splits.items()}, first.ids, first.labels
