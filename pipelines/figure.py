"""Figures of results: the one module that knows matplotlib. Draws without a display."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["confusion_figure"]


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
