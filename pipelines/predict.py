"""`ensemble predict`: streams faces through a committee into a prediction file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from backbones.errors import InputError
from ensemble.class_map import Wanted
from ensemble.expression import class_named
from ensemble.metric import wilson_interval
from ensemble.perturbation import FusionMode, PerturbationPlan
from ensemble.predictions import Predictions, check_min_confidence
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
        min_confidence: Faces below it are left undecided; None decides all.
        faces: Faces predicted.
        labels: How often each class was predicted.
        undecided: Faces without a label.
        right: Right labels by split, for labelled faces.
        decided: Labelled faces with a label by split.
        known: Labelled faces of the committee's classes by split.
        strange: Labelled faces of other classes, by class.
        missed: Photos without a face.
    """

    min_confidence: float | None = None
    faces: int = 0
    labels: Counter[str] = field(default_factory=Counter)
    undecided: int = 0
    right: Counter[str] = field(default_factory=Counter)
    decided: Counter[str] = field(default_factory=Counter)
    known: Counter[str] = field(default_factory=Counter)
    strange: Counter[str] = field(default_factory=Counter)
    missed: list[str] = field(default_factory=list)

    def add(self, block: FaceBlock, predictions: Predictions) -> None:
        """Count a block."""
        sure = predictions.decided
        self.faces += len(predictions)
        self.labels.update(name for name, decided in zip(predictions.names, sure, strict=True) if decided)
        self.undecided += int((~sure).sum())
        labels = true_labels(block, predictions.classes)
        self.strange.update(name for name, label in zip(block.truths, labels, strict=True) if name and label < 0)
        for vote, decided, label, split in zip(predictions.votes, sure, labels, block.splits, strict=True):
            if label >= 0:
                self.known[split] += 1
                self.decided[split] += int(decided)
                self.right[split] += int(decided and vote == label)

    def counts(self) -> list[str]:
        """How often each class was predicted, in words, and how many faces were left undecided."""
        counts = [f"{label} {count:,}" for label, count in self.labels.most_common()]
        return counts if self.min_confidence is None else [*counts, f"left undecided {self.undecided:,}"]

    def lines(self) -> list[str]:
        """Accuracy per split in words; the test split is left to `ensemble evaluate`, which records the look."""
        lines = []
        for split, count in self.known.items():
            if split == "test":
                lines.append(f"test: {count:,} faces, not scored here.")
                continue
            lines.append(f"{split or 'labelled'}: {self._scored(split)}{self._covered(split, count)}")
        if self.strange:
            counts = ", ".join(f"{name} {count:,}" for name, count in self.strange.most_common())
            lines.append(f"not scored, of classes that the committee does not know: {counts}.")
        return lines

    def _scored(self, split: str) -> str:
        right, decided = self.right[split], self.decided[split]
        if not decided:
            return "no face decided"
        low, high = wilson_interval(right, decided)
        what = "faces" if self.min_confidence is None else "decided faces"
        return f"accuracy {right / decided:.4f} (95 % {low:.4f}-{high:.4f}) of {decided:,} {what}"

    def _covered(self, split: str, count: int) -> str:
        if self.min_confidence is None:
            return ""
        decided = self.decided[split]
        return f", coverage {decided / count:.4f} of {count:,}, {count - decided:,} left undecided"


def true_labels(block: FaceBlock, classes: Sequence[str]) -> npt.NDArray[np.int64]:
    """(N,) indices among the committee's classes of the true ones, found by name; -1 where unknown or none of them."""
    names = {name: class_named(name, classes) for name in set(block.truths) - {""}}
    index = {name: list(classes).index(own) for name, own in names.items() if own is not None}
    return np.array([index.get(name, -1) for name in block.truths], dtype=np.int64)


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
    calibrated: bool = False,
    min_confidence: float | None = None,
    device: str | None = None,
    quiet: bool = False,
    posteriors: Mapping[str, str | Path] | None = None,
    classes: Wanted | None = None,
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
        calibrated: Write the probabilities at the committee's temperature; no vote changes.
        min_confidence: Label no face whose calibrated confidence is below it; writes calibrated probabilities.
        device: Torch device.
        quiet: Print only the results.
        posteriors: For members without a network, files of their probabilities of these faces, under the names that the
            prediction file gives them.
        classes: What becomes of classes of a labelled data set; faces of a class that becomes None are left out.

    Raises:
        InputError: An input is wrong; no file is written.
    """
    _check(tta, batch_size, min_confidence, Path(out))
    console, workspace = Console(quiet=quiet), Workspace()
    predictor = Predictor.load(committee, device=device, posteriors=posteriors)
    predictor.check_complete()
    count = len(predictor.members) + len(predictor.outside)
    console.note(f"committee {predictor.folder.name}: {count} members, {tta} view(s) of each face")
    calibrated = calibrated or min_confidence is not None
    if calibrated and predictor.committee.temperature is None:
        console.note(
            f"committee {predictor.folder.name} has no temperature: confidence as it is; `ensemble fuse` fits one"
        )
    summary, plan = Summary(min_confidence=min_confidence), PerturbationPlan(seed=seed)
    stream = _stream(inputs, predictor, detect, batch_size, classes, summary, console, workspace)
    with PredictionWriter(Path(out)) as writer, console.bar("predicting", len(stream)) as bar:
        for block in stream.blocks():
            probs, agreement = predictor.block(
                block.faces, block.keys, plan=plan, tta=tta, vote=vote, calibrated=calibrated
            )
            predictions = Predictions(
                ids=np.array(block.keys, dtype=np.str_), probs=probs, classes=predictor.classes, agreement=agreement,
                min_confidence=min_confidence,
            )  # fmt: skip
            writer.write(
                prediction_frame(
                    predictions,
                    images=block.images,
                    faces=block.numbers,
                    boxes=block.boxes,
                    truths=block.truths if stream.labelled else None,
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


def _check(tta: int, batch_size: int, min_confidence: float | None, out: Path) -> None:
    if tta < 1:
        raise InputError(f"Expected `--tta` to be at least 1, but got {tta}.")
    if batch_size < 1:
        raise InputError(f"Expected `--batch-size` to be at least 1, but got {batch_size}.")
    check_min_confidence(min_confidence, name="--min-confidence")
    check_output(out)


def _stream(
    inputs: Sequence[str],
    predictor: Predictor,
    detect: Detect,
    batch_size: int,
    classes: Wanted | None,
    summary: Summary,
    console: Console,
    workspace: Workspace,
) -> StoreStream | LabelledStream | AlignedStream | ImageStream:
    shape = Shape(size=predictor.face_size, channels=predictor.face_channels, rows=batch_size)
    data = DataSpec.model_validate(read_yaml(predictor.folder / "committee.yaml")["data"])
    device = predictor.device
    if not inputs and classes:
        raise InputError("Expected INPUT beside `--classes`: the committee's own faces have its classes.")
    if not inputs:
        return StoreStream(store=open_data(data, workspace, console, device=str(device)), shape=shape)
    detector = FaceDetector(detect, device=device, align=data.align)
    return open_stream(inputs, detector=detector, classes=classes, shape=shape, missed=summary.missed.append)
