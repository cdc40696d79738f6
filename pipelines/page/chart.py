"""The page's charts, as inline SVG of about phone width: numbers in, drawings out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import hypot
from typing import Any

from pipelines.page.drawing_board import Board, Frame, Svg, ticks

__all__ = ["bar", "coverage_chart", "learning_chart", "reliability_chart", "views_chart", "whisker"]

Span = tuple[float, float]
Point = tuple[float, float]

_WIDTH = 380.0
_APART = 26.0
"""Labels of dots nearer than this would lie on each other."""

_SHARES = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)


def whisker(low: float, middle: float, high: float, span: Span) -> Svg:
    """An interval as a bar with a dot, on a scale that all rows of a table share."""
    label = f"{100 * middle:.1f} %, interval {100 * low:.1f} to {100 * high:.1f} %"
    board = Board(120, 16, label=label, kind="whisker")
    frame = Frame(board, left=4, top=0, right=116, bottom=16, x=span, y=(0.0, 1.0))
    board.line(frame.at(span[0], 0.5), frame.at(span[1], 0.5), "grid")
    board.line(frame.at(low, 0.5), frame.at(high, 0.5), "range")
    for end in (low, high):
        x, _ = frame.at(end, 0.5)
        board.line((x, 4.5), (x, 11.5), "range")
    board.dot(frame.at(middle, 0.5), 3.4, "mark", title=label)
    return board.done()


def bar(share: float, label: str) -> Svg:
    """A share of 1 as a bar."""
    board = Board(100, 10, label=label, kind="bar")
    board.box((0, 1), 100, 8, "trough")
    board.box((0, 1), 100 * min(max(share, 0.0), 1.0), 8, "fill", title=label)
    return board.done()


def reliability_chart(bins: Sequence[Mapping[str, Any]], *, label: str) -> Svg:
    """Accuracy over confidence in bins, the diagonal of a calibrated classifier, and below it how many faces there are.

    Args:
        bins: `low`, `high`, `faces`, `confidence` and `accuracy` of each bin that holds faces.
        label: What a screen reader says.
    """
    board = Board(_WIDTH, 330, label=label)
    upper = Frame(board, left=58, top=10, right=362, bottom=222, x=(0.0, 1.0), y=(0.0, 1.0))
    most = max(row["faces"] for row in bins)
    lower = Frame(board, left=58, top=240, right=362, bottom=292, x=(0.0, 1.0), y=(0.0, most))
    upper.grid_up(_SHARES, ".0%")
    lower.grid_up((0, most), ",.0f")
    lower.grid_across(_SHARES, ".0%")
    for row in bins:
        words = (
            f"{row['faces']:,} faces of confidence {row['low']:.0%} to {row['high']:.0%}: "
            f"mean {row['confidence']:.1%}, right {row['accuracy']:.1%}"
        )
        for frame, key, kind in ((upper, "accuracy", "column"), (lower, "faces", "column quiet")):
            (x0, y0), (x1, y1) = frame.at(row["low"], row[key]), frame.at(row["high"], 0.0)
            board.box((x0 + 1, y0), x1 - x0 - 2, y1 - y0, kind, title=words)
    board.line(upper.at(0.0, 0.0), upper.at(1.0, 1.0), "ideal")
    for row in bins:
        board.dot(upper.at(row["confidence"], row["accuracy"]), 3.2, "mark second")
    board.text((210, 324), "confidence", "name")
    board.text((13, 116), "share that is right", "name", turned=True)
    board.text((13, 266), "faces", "name", turned=True)
    return board.done()


def coverage_chart(curve: Sequence[Mapping[str, Any]], marks: Sequence[Mapping[str, Any]]) -> Svg:
    """How right the labels are if only the surest faces get one.

    Args:
        curve: `coverage` and `accuracy` at rising coverage.
        marks: The same at several least confidences, `threshold`; those that leave no face are left out.
    """
    shown = [row for row in marks if row["coverage"] > 0.0]
    low = min(row["accuracy"] for row in (*curve, *shown))
    board = Board(_WIDTH, 330, label="accuracy of the labels over the share of faces that get one")
    frame = Frame(board, left=58, top=16, right=362, bottom=292, x=(0.0, 1.0), y=(max(0.0, low - 0.04), 1.0))
    frame.grid_up(ticks(frame.y[0], 1.0, 6), ".0%")
    frame.grid_across(_SHARES, ".0%")
    board.path((frame.at(row["coverage"], row["accuracy"]) for row in curve), "curve")
    last: Point | None = None
    for row in shown:
        place = x, y = frame.at(row["coverage"], row["accuracy"])
        words = f"least confidence {row['threshold']:g}: {row['coverage']:.1%} get a label, {row['accuracy']:.1%} right"
        board.dot(place, 3.8, "mark second", title=words)
        if row["threshold"] > 0 and (last is None or hypot(x - last[0], y - last[1]) > _APART):
            board.text((min(x + 7, 358), y - 7), f"{row['threshold']:g}", "note", anchor="start")
            last = place
    board.text((210, 324), "share of the faces that get a label", "name")
    board.text((13, 154), "share that is right", "name", turned=True)
    return board.done()


def learning_chart(records: Sequence[Mapping[str, float]], *, best: int | None, accuracies: Span, label: str) -> Svg:
    """A member's epochs: validation accuracy to the left, training loss and validation NLL to the right.

    Args:
        records: One per epoch.
        best: The epoch kept, marked; None if there is no single one.
        accuracies: Scale of the left panel, the same for all members.
        label: What a screen reader says.
    """
    board = Board(_WIDTH, 190, label=label)
    epochs = (records[0]["epoch"], records[-1]["epoch"])
    values = [record[key] for record in records for key in ("train_loss", "validation_nll")]
    accuracies, losses = _with_margin(*accuracies), _with_margin(min(values), max(values))
    left = Frame(board, left=36, top=24, right=176, bottom=152, x=epochs, y=accuracies)
    right = Frame(board, left=224, top=24, right=366, bottom=152, x=epochs, y=losses)
    left.grid_up(ticks(*accuracies, 4), ".0%")
    right.grid_up(ticks(*losses, 4), "g")
    panels = ((left, "validation_accuracy", "curve"), (right, "train_loss", "curve second"),
              (right, "validation_nll", "curve"))  # fmt: skip
    for frame, key, kind in panels:
        frame.grid_across([t for t in ticks(*epochs, 5) if t == int(t)] if epochs[1] > epochs[0] else epochs[:1], ".0f")
        points = [frame.at(record["epoch"], record[key]) for record in records]
        board.path(points, kind)
        if len(points) == 1:
            board.dot(points[0], 2.5, "mark" + (" second" if "second" in kind else ""))
    kept = next((record for record in records if record["epoch"] == best), None)
    if kept is not None:
        for frame, key in ((left, "validation_accuracy"), (right, "validation_nll")):
            words = f"kept: epoch {best}, {key.replace('_', ' ')} {kept[key]:.4f}"
            board.dot(frame.at(kept["epoch"], kept[key]), 4.2, "mark ring", title=words)
    board.text((36, 14), "validation accuracy", "key", anchor="start")
    board.text((224, 14), "NLL", "key", anchor="start")
    board.text((366, 14), "training loss", "key second", anchor="end")
    board.text((106, 184), "epoch", "name")
    board.text((295, 184), "epoch", "name")
    return board.done()


def views_chart(rows: Sequence[Mapping[str, Any]]) -> Svg:
    """Accuracy by the number of perturbed views of each face, one step across per row."""
    board = Board(_WIDTH, 260, label="accuracy of the committee over the number of views")
    scores = [row["accuracy"] for row in rows]
    margin = max(0.004, 0.15 * (max(scores) - min(scores)))
    frame = Frame(board, left=50, top=20, right=364, bottom=222, x=(0.0, max(len(rows) - 1, 1)),
                  y=(min(scores) - margin, max(scores) + margin))  # fmt: skip
    frame.grid_up(ticks(*frame.y, 5), ".1%")
    board.line((frame.left, frame.bottom), (frame.right, frame.bottom), "axis")
    board.path((frame.at(place, score) for place, score in enumerate(scores)), "curve")
    for place, row in enumerate(rows):
        words = f"{row['views']} views: {row['accuracy']:.2%} right, NLL {row['nll']:.4f}, {row['milliseconds']:.2f} ms"
        x, _ = frame.at(place, frame.y[0])
        board.dot(frame.at(place, row["accuracy"]), 3.8, "mark", title=words)
        board.text((x, frame.bottom + 15), str(row["views"]))
    board.text((207, 254), "views of each face", "name")
    return board.done()


def _with_margin(low: float, high: float) -> Span:
    """A span that keeps its ends off the frame."""
    margin = 0.06 * (high - low)
    return low - margin, high + margin
