"""`ensemble predict`: streams faces through a committee into a prediction file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from backbones.errors import InputError
from ensemble.metric import accuracy_interval
from ensemble.perturbation import FusionMode, PerturbationPlan
from ensemble.predictions import Predictions
from ensemble.spec import DataSpec
from pipelines.committee_fit import open_data
from pipelines.console import Console
from pipelines.detection import Detect, FaceDetector
from pipelines.face_block import FaceBlock, Shape
from pipelines.face_stream import AlignedStream, ImageStream, LabelledStream, StoreStream, open_stream
from pipelines.prediction_file import PredictionWriter, check_output, prediction_frame
from pipelines.predictor import Predictor
from pipelines.workspace import Workspace
from pipelines.yaml_file import read_yaml

__all__ = ["Summary", "predict_files"]

_NAMED = 10


@dataclass
class Summary:
    """What a prediction run found.

    Attributes:
        faces: Faces predicted.
        labels: How often each class was predicted.
        right: Right answers by split, for labelled faces.
        known: Labelled faces by split.
        missed: Photos without a face.
    """

    faces: int = 0
    labels: Counter[str] = field(default_factory=Counter)
    right: Counter[str] = field(default_factory=Counter)
    known: Counter[str] = field(default_factory=Counter)
    missed: list[str] = field(default_factory=list)

    def add(self, block: FaceBlock, predictions: Predictions) -> None:
        """Count a block."""
        self.faces += len(predictions)
        self.labels.update(predictions.names)
        for vote, label, split in zip(predictions.votes, block.labels, block.splits, strict=True):
            if label >= 0:
                self.known[split] += 1
                self.right[split] += int(vote == label)

    def lines(self) -> list[str]:
        """Accuracy per split in words; the test split is left to `ensemble evaluate`, which records the look."""
        lines = []
        for split, count in self.known.items():
            if split == "test":
                lines.append(f"test: {count:,} faces, not scored here.")
                continue
            right = self.right[split]
            hits = np.eye(2)[np.r_[np.zeros(right, int), np.ones(count - right, int)]]
            low, high = accuracy_interval(hits, np.zeros(count, int))
            lines.append(
                f"{split or 'labelled'}: accuracy {right / count:.4f} (95 % {low:.4f}-{high:.4f}) of {count:,} faces"
            )
        return lines


def predict_files(
    inputs: Sequence[str] = (),
    *,
    out: str | Path = "predictions.csv",
    committee: str | Path | None = None,
    tta: int = 1,
    vote: FusionMode = "mean_probability",
    detect: Detect = "auto",
    batch_size: int = 64,
    seed: int = 0,
    device: str | None = None,
    quiet: bool = False,
    posteriors: Mapping[str, str | Path] | None = None,
) -> Summary:
    """Predict every face of the inputs.

    Args:
        inputs: Images, folders, zips, globs or one labelled data set; none for the validation split of the data the
            committee was fitted on.
        out: Prediction file; its suffix (.csv, .jsonl, .parquet) decides the format.
        committee: Folder or name; default the newest finished one.
        tta: Views that each member votes over.
        vote: How one member's votes are fused.
        detect: Where faces are searched for: `auto` in images larger than a face, or in all if the committee was fitted
            on aligned faces; `mtcnn` and `haar` in all, with that detector; `none` in none.
        batch_size: Faces in memory at a time; never changes an answer.
        seed: Seed of the views.
        device: Torch device.
        quiet: Print only the results.
        posteriors: For members without a network, files of their probabilities of these faces, under the names that the
            prediction file gives them.

    Raises:
        InputError: An input is wrong; no file is written.
    """
    _check(tta, batch_size, Path(out))
    console, workspace = Console(quiet=quiet), Workspace()
    predictor = Predictor.load(committee, device=device, posteriors=posteriors)
    predictor.check_complete()
    count = len(predictor.members) + len(predictor.outside)
    console.note(f"committee {predictor.folder.name}: {count} members, {tta} view(s) of each face")
    summary, plan = Summary(), PerturbationPlan(seed=seed)
    stream = _stream(inputs, predictor, detect, batch_size, summary, console, workspace)
    with PredictionWriter(Path(out)) as writer, console.bar("predicting", len(stream)) as bar:
        for block in stream.blocks():
            probs, agreement = predictor.block(block.faces, block.keys, plan=plan, tta=tta, vote=vote)
            predictions = Predictions(
                ids=np.array(block.keys, dtype=np.str_), probs=probs, classes=predictor.classes, labels=block.labels,
                agreement=agreement,
            )  # fmt: skip
            writer.write(
                prediction_frame(
                    predictions,
                    images=block.images,
                    faces=block.numbers,
                    boxes=block.boxes,
                    with_labels=stream.labelled,
                )
            )
            summary.add(block, predictions)
            bar.advance(len(set(block.images)))
    _tell_missed(summary, console)
    if not summary.faces:
        raise InputError(
            f"Expected at least one face, but found none in {len(stream)} image(s). "
            f"If they are ready-cropped faces, say `--detect none`."
        )
    return summary


def _tell_missed(summary: Summary, console: Console) -> None:
    for name in summary.missed[:_NAMED]:
        console.note(f"no face found in {name}")
    if len(summary.missed) > _NAMED:
        console.note(f"no face found in {len(summary.missed) - _NAMED:,} other images")


def _check(tta: int, batch_size: int, out: Path) -> None:
    if tta < 1:
        raise InputError(f"Expected `--tta` to be at least 1, but got {tta}.")
    if batch_size < 1:
        raise InputError(f"Expected `--batch-size` to be at least 1, but got {batch_size}.")
    check_output(out)


def _stream(
    inputs: Sequence[str],
    predictor: Predictor,
    detect: Detect,
    batch_size: int,
    summary: Summary,
    console: Console,
    workspace: Workspace,
) -> StoreStream | LabelledStream | AlignedStream | ImageStream:
    shape = Shape(size=predictor.face_size, channels=predictor.face_channels, rows=batch_size)
    data = DataSpec.model_validate(read_yaml(predictor.folder / "committee.yaml")["data"])
    device = predictor.device
    if not inputs:
        return StoreStream(store=open_data(data, workspace, console, device=str(device)), shape=shape)
    detector = FaceDetector(detect, device=device, align=data.align)
    return open_stream(inputs, detector=detector, classes=predictor.classes, shape=shape, missed=summary.missed.append)
