"""`ensemble predict`: streams faces through a committee into a prediction file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from backbones.errors import InputError
from ensemble.class_meaning import Wanted
from ensemble.data_spec import DataSpec, OnBad
from ensemble.perturbation import FusionMode, PerturbationPlan, check_views
from ensemble.predictions import Predictions, check_min_confidence
from pipelines.bundle import REPORT, read_json, read_resolved
from pipelines.console import Console
from pipelines.data_opening import open_faces_of_fit
from pipelines.detection import Detect, FaceDetector
from pipelines.drawing import Drawing
from pipelines.drawing_place import check_place
from pipelines.face_block import Shape
from pipelines.face_stream import FaceStream, ImageStream, StoreStream
from pipelines.home_path import expanded
from pipelines.model_card import CARD
from pipelines.output_place import check_file
from pipelines.own_split import with_own_splits
from pipelines.prediction_file import FORMATS, PredictionWriter, is_prediction_file, prediction_frame
from pipelines.prediction_summary import Summary
from pipelines.predictor import Predictor
from pipelines.skip_report import SKIPPED, SkipReport
from pipelines.stream_opening import expand_inputs, open_stream
from pipelines.workspace import Workspace, is_shipped

__all__ = ["predict_files"]

_NAMED = 10


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
    draw: str | Path | None = None,
    on_bad: OnBad = "error",
) -> Summary:
    """Predict every face of the inputs.

    Args:
        inputs: Images, folders, zips, globs or one labelled data set; none for the validation split of the data the
            committee was fitted on.
        out: Prediction file; its suffix (.csv, .jsonl, .parquet) decides the format.
        committee: Folder or name; default the newest finished one, and the package's own where none has been fitted.
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
        draw: Folder of annotated photos, or of sheets of the faces of a data set; None draws nothing.
        on_bad: An image or row of the inputs that cannot be read is an error, or it is skipped and named in a file
            beside `out`, `predictions.skipped.csv`.

    Raises:
        InputError: An input is wrong; no prediction file is written.
    """
    _check(tta, batch_size, min_confidence)
    out, given = expanded(out), expand_inputs(inputs)
    read = [*given, *map(Path, (posteriors or {}).values())]
    check_file(out, suffixes=FORMATS, ours=is_prediction_file, inputs=read)
    report = out.with_suffix(f".{SKIPPED}")
    if on_bad == "skip":
        check_file(report, suffixes=(".csv",), ours=SkipReport.wrote, inputs=read)
    drawing = Drawing(None if draw is None else expanded(draw))
    if drawing.folder is not None:
        check_place(drawing.folder, given)
    console, workspace = Console(quiet=quiet), Workspace()
    predictor = Predictor.load(committee, device=device, posteriors=posteriors)
    predictor.check_complete()
    count = len(predictor.members) + len(predictor.outside)
    console.note(f"committee {predictor.folder.name}: {count} members, {tta} view(s) of each face")
    if committee is None and is_shipped(predictor.folder):
        console.note(
            f"it comes with the package, since none has been fitted here; what it is: {predictor.folder / CARD}"
        )
    calibrated = calibrated or min_confidence is not None
    if calibrated and predictor.committee.temperature is None:
        console.note(
            f"committee {predictor.folder.name} has no temperature: confidence as it is; `ensemble fuse` fits one"
        )
    summary, plan = Summary(min_confidence=min_confidence), PerturbationPlan(seed=seed)
    skipped = SkipReport() if on_bad == "skip" else None
    stream = _stream(inputs, predictor, detect, batch_size, classes, summary, drawing, skipped, console, workspace)
    drawing.plan(stream)
    with PredictionWriter(out) as writer, console.bar("predicting", len(stream)) as bar:
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
            drawing.add(block, predictions)
            bar.advance(len(set(block.images)))
        summary.drawn = drawing.finish()
    _tell_missed(summary, console)
    _require_faces(summary, len(stream), skipped)
    if skipped:
        skipped.write(report)
        console.note(f"{len(skipped):,} skipped, which cannot be read: {report}")
    else:
        SkipReport.remove(report)  # that of an earlier run
    if not inputs:
        _tell_nested(predictor.folder, console)
    return summary


def _tell_nested(folder: Path, console: Console) -> None:
    """What the fit was judged by: of rules that were fitted on these faces, their accuracy here says too much."""
    report = read_json(folder / REPORT)
    basis, nested = report.get("basis", "judged by cross-fitting"), report["rules"]["committee"]["nested_accuracy"]
    console.note(f"committee {basis}: {nested:.4f}")


def _tell_missed(summary: Summary, console: Console) -> None:
    for name in summary.missed[:_NAMED]:
        console.note(f"no face found in {name}")
    if len(summary.missed) > _NAMED:
        console.note(f"no face found in {len(summary.missed) - _NAMED:,} other images")


def _require_faces(summary: Summary, images: int, skipped: SkipReport | None) -> None:
    if summary.faces:
        return
    unread = f" {len(skipped):,} cannot be read: {skipped.entries[0][1]}" if skipped else ""
    raise InputError(
        f"Expected at least one face, but found none in {images} image(s).{unread} "
        f"If they are ready-cropped faces, say `--detect none`."
    )


def _check(tta: int, batch_size: int, min_confidence: float | None) -> None:
    check_views(tta, name="--tta")
    if batch_size < 1:
        raise InputError(f"Expected `--batch-size` to be at least 1, but got {batch_size}.")
    check_min_confidence(min_confidence, name="--min-confidence")


def _stream(
    inputs: Sequence[str],
    predictor: Predictor,
    detect: Detect,
    batch_size: int,
    classes: Wanted | None,
    summary: Summary,
    drawing: Drawing,
    skipped: SkipReport | None,
    console: Console,
    workspace: Workspace,
) -> FaceStream:
    shape = Shape(size=predictor.face_size, channels=predictor.face_channels, rows=batch_size)
    data = DataSpec.model_validate(read_resolved(predictor.folder)["data"])
    device = predictor.device
    if not inputs and classes:
        raise InputError("Expected INPUT beside `--classes`: the committee's own faces have its classes.")
    if not inputs and is_shipped(predictor.folder):
        raise InputError(
            "Expected INPUT: the faces that the package's own committee was fitted on are not here. Name images, "
            "folders, zips or a data set, or fit a committee: `ensemble fit --members members.yaml`."
        )
    if not inputs:
        return StoreStream(
            store=open_faces_of_fit(predictor.folder, workspace, console, device=str(device)), shape=shape
        )
    detector = FaceDetector(detect, device=device, align=data.align)

    def missed(name: str, content: bytes) -> None:
        summary.missed.append(name)
        drawing.blank(name, content)

    keep = drawing.folder is not None
    stream = open_stream(
        inputs, detector=detector, classes=classes, shape=shape, missed=missed, keep=keep, skipped=skipped
    )
    if isinstance(stream, ImageStream):
        return stream
    own = with_own_splits(stream.listing, stream.source, data, committee=predictor.folder)
    return replace(stream, listing=own)
