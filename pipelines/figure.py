"""Figures of results: the one module that knows matplotlib. Draws without a display."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ensemble.calibration import ReliabilityBin

__all__ = [
    "SearchAxis",
    "confusion_figure",
    "coverage_figure",
    "learning_figure",
    "reliability_figure",
    "search_figure",
]


def confusion_figure(counts: npt.NDArray[np.int64], classes: Sequence[str], *, title: str) -> Any:
    """Draw a confusion matrix.

    Args:
        counts: (K, K) faces; rows are true classes, columns predicted ones.
        classes: K class names.
        title: Headline.

    Returns:
        A matplotlib figure: shares of each row as colour, share and count in each cell.
    """
    from matplotlib.figure import Figure

    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    figure = Figure(figsize=(6.4, 5.6), layout="constrained")
    axes = figure.add_subplot()
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for row, column in np.ndindex(*counts.shape):
        colour = "white" if shares[row, column] > 0.5 else "black"
        text = f"{shares[row, column]:.2f}\n{counts[row, column]}"
        axes.text(column, row, text, ha="center", va="center", color=colour, fontsize=8)
    axes.set_xticks(range(len(classes)), classes, rotation=45, ha="right")
    axes.set_yticks(range(len(classes)), classes)
    axes.set_xlabel("predicted")
    axes.set_ylabel("true")
    axes.set_title(title)
    figure.colorbar(image, label="share of the true class", shrink=0.8)
    return figure


def reliability_figure(panels: Mapping[str, Sequence[ReliabilityBin]], *, title: str) -> Any:
    """Draw confidence against accuracy, and how many faces have that confidence.

    Args:
        panels: The bins that hold faces, by headline: before and after a temperature, say.
        title: Headline of all.

    Returns:
        A matplotlib figure: accuracy per bin with the diagonal of a calibrated classifier; below it the faces.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(1.0 + 4.6 * len(panels), 5.6), layout="constrained")
    grid = figure.subplots(2, len(panels), sharex=True, sharey="row", height_ratios=(3, 1), squeeze=False)
    for (name, bins), upper, lower in zip(panels.items(), *grid, strict=True):
        left, widths = [b.low for b in bins], [b.high - b.low for b in bins]
        accuracies = [b.accuracy for b in bins]
        upper.bar(left, accuracies, widths, align="edge", color="tab:blue", edgecolor="white", alpha=0.8)
        upper.plot([0, 1], [0, 1], color="0.4", linestyle="--", linewidth=1, label="calibrated")
        upper.plot([b.confidence for b in bins], accuracies, "o", color="crimson", markersize=4, label="mean of a bin")
        upper.set_title(name, fontsize=11)
        lower.bar(left, [b.faces for b in bins], widths, align="edge", color="0.6", edgecolor="white")
        lower.set(xlabel="confidence")
    grid[0][0].set(xlim=(0, 1), ylim=(0, 1), ylabel="accuracy")
    grid[0][0].legend(loc="upper left", frameon=False, fontsize=9)
    grid[1][0].set(ylabel="faces")
    figure.suptitle(title, fontsize=12)
    return figure


def coverage_figure(curve: Sequence[Mapping[str, float]], marks: Sequence[Mapping[str, float]], *, title: str) -> Any:
    """Draw how right the labels are if only the surest faces get one.

    Args:
        curve: `coverage` and `accuracy` at rising coverage.
        marks: The same at several least confidences, `threshold`; those without a face are left out.
        title: Headline.

    Returns:
        A matplotlib figure: accuracy over coverage, with a dot at each least confidence.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 4.8), layout="constrained")
    axes = figure.add_subplot()
    axes.axhline(curve[-1]["accuracy"], color="0.4", linestyle="--", linewidth=1, label="all faces")
    axes.plot([row["coverage"] for row in curve], [row["accuracy"] for row in curve], color="tab:blue")
    shown = [row for row in marks if row["coverage"] > 0.0]
    x, y = [row["coverage"] for row in shown], [row["accuracy"] for row in shown]
    axes.plot(x, y, "o", color="crimson", markersize=5, label="least confidence")
    last = None
    for row in reversed(shown):
        if last is None or row["coverage"] - last > 0.02:  # least confidences that leave out the same faces
            place = (row["coverage"], row["accuracy"])
            axes.annotate(f"{row['threshold']:g}", place, (5, 5), textcoords="offset points", fontsize=8)
            last = row["coverage"]
    axes.set(xlim=(0, 1.05), xlabel="share of the faces that get a label", ylabel="share of the labels that is right")
    axes.set_ylim(top=1.02)
    axes.grid(visible=True, color="0.92", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.legend(loc="upper right", frameon=False, fontsize=9)
    axes.set_title(title)
    return figure


def learning_figure(histories: Mapping[str, Sequence[Mapping[str, float]]], *, title: str) -> Any:
    """Draw what was learnt in each epoch.

    Args:
        histories: Epochs of each member, or of each copy of one: `epoch`, `train_loss`, `validation_nll` and
            `validation_accuracy`.
        title: Headline.

    Returns:
        A matplotlib figure: loss of training and NLL of validation faces (dashed); accuracy, with the best epoch.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8.8, 4.4), layout="constrained")
    losses, accuracies = figure.subplots(1, 2)
    for k, (name, history) in enumerate(histories.items()):
        colour, epochs = f"C{k % 10}", [row["epoch"] for row in history]
        marker = "o" if len(history) == 1 else None  # a line needs two
        scores = [row["validation_accuracy"] for row in history]
        train, validation = ([row[key] for row in history] for key in ("train_loss", "validation_nll"))
        losses.plot(epochs, train, color=colour, linewidth=1.4, marker=marker, markersize=4)
        losses.plot(epochs, validation, color=colour, linewidth=1.4, linestyle="--", marker=marker, markersize=4)
        accuracies.plot(epochs, scores, color=colour, linewidth=1.4, label=name)
        best = int(np.argmax(scores))
        accuracies.plot(epochs[best], scores[best], "o", color=colour, markersize=5)
    losses.plot([], [], color="0.3", label="training loss")
    losses.plot([], [], color="0.3", linestyle="--", label="validation NLL")
    losses.set(xlabel="epoch", ylabel="loss")
    accuracies.set(xlabel="epoch", ylabel="validation accuracy")
    for axes in (losses, accuracies):
        axes.grid(visible=True, color="0.92", linewidth=0.8)
        axes.set_axisbelow(True)
        axes.xaxis.get_major_locator().set_params(integer=True)
    losses.legend(frameon=False, fontsize=9)
    if len(histories) > 1:
        accuracies.legend(loc="lower right", frameon=False, fontsize=8)
    figure.suptitle(title, fontsize=12)
    return figure


@dataclass(frozen=True, kw_only=True)
class SearchAxis:
    """One searched setting, as an axis.

    Attributes:
        name: Its label.
        values: What each trial took.
        log: Whether it is drawn logarithmically.
    """

    name: str
    values: Sequence[Any]
    log: bool = False


def search_figure(
    axes: Sequence[SearchAxis], *, train: Sequence[float], validation: Sequence[float], best: int | None, title: str
) -> Any:
    """Draw the trials of a search for hyper-parameters, after figure 3 of Raghuvanshi & Choksi (2016).

    Args:
        axes: One or two settings of n trials; with one, accuracy is the other axis.
        train: n training accuracies, NaN for a trial that failed.
        validation: n validation accuracies, likewise.
        best: Index of the best trial.
        title: Headline.

    Returns:
        A matplotlib figure with a panel for each accuracy: a dot per trial, coloured by accuracy on one scale, the
        best one ringed, failed ones as crosses.
    """
    from matplotlib.figure import Figure

    known = [value for value in (*train, *validation) if value == value]
    low, high = (min(known), max(known)) if known else (0.0, 1.0)
    figure = Figure(figsize=(10.4, 4.8), layout="constrained")
    panels = figure.subplots(1, 2, sharex=True, sharey=True)
    for panel, name, scores in zip(panels, ("training", "validation"), (train, validation), strict=True):
        dots = _search_panel(panel, axes, np.asarray(scores, np.float64), best, (low, high))
        panel.set_title(f"{name} accuracy", fontsize=11)
        panel.label_outer()
    figure.legend(
        *panels[1].get_legend_handles_labels(), loc="outside lower center", ncols=2, fontsize=9, frameon=False
    )
    figure.colorbar(dots, ax=panels, label="accuracy", shrink=0.9, pad=0.02)
    figure.suptitle(title, fontsize=12)
    return figure


def _search_panel(
    panel: Any, axes: Sequence[SearchAxis], scores: npt.NDArray[np.float64], best: int | None, span: tuple[float, float]
) -> Any:
    """One panel of `search_figure`; returns what the colour bar is made for."""
    x, ticks = _positions(axes[0])
    y = _positions(axes[1])[0] if len(axes) > 1 else scores
    failed = np.isnan(scores)
    _label_axis(panel.xaxis, axes[0], ticks)
    if len(axes) > 1:
        _label_axis(panel.yaxis, axes[1], _positions(axes[1])[1])
    else:
        panel.set_ylabel("accuracy")
        y = np.where(failed, span[0], scores)
    panel.grid(visible=True, color="0.92", linewidth=0.8)
    panel.set_axisbelow(True)
    dots = panel.scatter(
        x[~failed], y[~failed], c=scores[~failed], cmap="viridis", vmin=span[0], vmax=span[1], s=58,
        edgecolors="white", linewidths=0.6,
    )  # fmt: skip
    if failed.any():
        panel.scatter(x[failed], y[failed], marker="x", c="0.45", s=42, linewidths=1.4, label="failed")
    if best is not None:
        ring = {"facecolors": "none", "edgecolors": "crimson", "linewidths": 1.6}
        panel.scatter(x[best], y[best], s=150, label="best on validation", **ring)
    return dots


def _positions(axis: SearchAxis) -> tuple[npt.NDArray[np.float64], list[str] | None]:
    """Where an axis's values lie; texts get places of their own, with labels."""
    if all(isinstance(value, int | float) and not isinstance(value, bool) for value in axis.values):
        return np.asarray(axis.values, np.float64), None
    names = list(dict.fromkeys(map(str, axis.values)))
    return np.asarray([names.index(str(value)) for value in axis.values], np.float64), names


def _label_axis(axis: Any, of: SearchAxis, ticks: list[str] | None) -> None:
    axis.set_label_text(of.name)
    if ticks is not None:
        axis.set_ticks(range(len(ticks)), ticks)
        (axis.axes.set_xlim if axis.axis_name == "x" else axis.axes.set_ylim)(-0.5, len(ticks) - 0.5)
    elif of.log:
        (axis.axes.set_xscale if axis.axis_name == "x" else axis.axes.set_yscale)("log")
