"""Sheets of pictures: beside `pipelines.figure` the one module that knows matplotlib. Draws without a display."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

__all__ = ["Cell", "Row", "Scale", "agreement_figure", "grid_figure", "mosaic_figure", "on_face"]

Scale = Literal["for", "for_and_against"]
_COLOURS = {"for": "inferno", "for_and_against": "RdBu_r"}
_CELL = 1.45


@dataclass(frozen=True, kw_only=True)
class Cell:
    """A picture with words above it.

    Attributes:
        picture: (H, W) grey or (H, W, 3) RGB in 0..1; None leaves the place empty, but for the words.
        words: One or two short lines.
    """

    picture: npt.NDArray[np.float64] | None
    words: str = ""


@dataclass(frozen=True, kw_only=True)
class Row:
    """Small pictures side by side under one headline.

    Attributes:
        words: The headline.
        tiles: (T, H, W) or (T, H, W, 3) in 0..1.
    """

    words: str
    tiles: npt.NDArray[np.float64]


def on_face(face: npt.NDArray[np.uint8], values: npt.NDArray[np.float64], *, scale: Scale) -> npt.NDArray[np.float64]:
    """Lay a map over a face: the stronger a pixel's value, the less of the face shows.

    Args:
        face: (H, W) or (H, W, 3).
        values: (H, W), brought to a largest value of 1 here; NaN, and with `for` negative values, leave the face bare.
        scale: `for` shows what speaks for a class, `for_and_against` both.

    Returns:
        (H, W, 3) RGB in 0..1.
    """
    from matplotlib import colormaps

    grey = face / 255 if face.ndim == 2 else face @ np.array([0.299, 0.587, 0.114]) / 255
    known = np.nan_to_num(values)
    known = np.maximum(known, 0) if scale == "for" else known
    known = known / max(float(np.abs(known).max()), 1e-12)
    place = known if scale == "for" else (known + 1) / 2
    colours = colormaps[_COLOURS[scale]](place)[..., :3]
    cover = (0.85 * np.abs(known) ** 0.6)[..., None]
    return np.asarray((1 - cover) * np.where(np.isnan(values), 0.6, 1.0)[..., None] * grey[..., None] + cover * colours)


def grid_figure(
    rows: Sequence[Sequence[Cell]], columns: Sequence[str], *, title: str, bar: tuple[Scale, str] | None = None
) -> Any:
    """Draw pictures in rows and named columns.

    Args:
        rows: As many cells each as there are columns.
        columns: Headlines.
        title: Of the sheet.
        bar: The colour bar's scale and its label, if there is to be one.

    Returns:
        A matplotlib figure.
    """
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize
    from matplotlib.figure import Figure

    size = (1.15 * _CELL * len(columns) + (0.9 if bar else 0), 1.28 * _CELL * len(rows) + 0.9)
    figure = Figure(figsize=size, layout="constrained")
    grid = figure.subplots(len(rows), len(columns), squeeze=False)
    for row, cells in enumerate(rows):
        for column, cell in enumerate(cells):
            axes = grid[row][column]
            axes.set_axis_off()
            head = f"$\\bf{{{_bold(columns[column])}}}$\n" if row == 0 else ""
            axes.set_title(head + cell.words, fontsize=7, linespacing=1.25, pad=3)
            if cell.picture is not None:
                axes.imshow(np.clip(cell.picture, 0, 1), cmap="gray", vmin=0, vmax=1, interpolation="nearest")
    if bar:
        scale, label = bar
        colours = ScalarMappable(Normalize(0 if scale == "for" else -1, 1), _COLOURS[scale])
        figure.colorbar(colours, ax=grid, label=label, shrink=min(1.0, 3 / len(rows)), aspect=30, pad=0.01)
    figure.suptitle(title, fontsize=9)
    return figure


def _bold(text: str) -> str:
    """Text for bold mathematics, which knows no spaces of its own and takes underscores for indices."""
    return text.replace("_", r"\_").replace(" ", r"\ ").replace("-", r"\text{-}")


def mosaic_figure(rows: Sequence[Row], *, title: str, per_line: int = 12, colours: str = "gray") -> Any:
    """Draw rows of small pictures, each row one mosaic.

    Args:
        rows: The rows.
        title: Of the sheet.
        per_line: Tiles side by side; longer rows take several lines.
        colours: Colour map of grey tiles.

    Returns:
        A matplotlib figure.
    """
    from matplotlib.figure import Figure

    lines = [-(-len(row.tiles) // per_line) for row in rows]
    widest = max(min(per_line, len(row.tiles)) for row in rows)
    width = max(0.72 * widest, 5.0)
    heights = [line * width / widest + 0.3 for line in lines]
    figure = Figure(figsize=(width, sum(heights) + 0.5), layout="constrained")
    grid = figure.subplots(len(rows), 1, squeeze=False, height_ratios=heights)[:, 0]
    for axes, row in zip(grid, rows, strict=True):
        axes.set_axis_off()
        axes.imshow(_mosaic(row.tiles, per_line, widest), cmap=colours, vmin=0, vmax=1, interpolation="nearest")
        axes.set_title(row.words, fontsize=7, loc="left", pad=2)
    figure.suptitle(title, fontsize=9)
    return figure


def _mosaic(tiles: npt.NDArray[np.float64], per_line: int, widest: int) -> Any:
    """(T, H, W[, 3]) as one picture with gaps; gaps and missing tiles are masked, that is, bare."""
    coarse = max(1, 24 // tiles.shape[2])  # tiles of a few pixels would be all gaps
    tiles = tiles.repeat(coarse, axis=1).repeat(coarse, axis=2)
    height, width = tiles.shape[1:3]
    gap = max(1, round(width / 16))
    lines = -(-len(tiles) // per_line)
    shape = (lines * (height + gap) - gap, widest * (width + gap) - gap, *tiles.shape[3:])
    canvas = np.full(shape, np.nan)
    for index, tile in enumerate(tiles):
        top, left = index // per_line * (height + gap), index % per_line * (width + gap)
        canvas[top : top + height, left : left + width] = np.clip(tile, 0, 1)
    return np.where(np.isnan(canvas), 1.0, canvas) if canvas.ndim == 3 else np.ma.masked_invalid(canvas)


def agreement_figure(
    matrices: Mapping[str, npt.NDArray[np.float64]],
    names: Mapping[str, Sequence[str]],
    means: Mapping[str, Sequence[Cell]],
    *,
    title: str,
) -> Any:
    """Draw how far maps agree, and below it the mean map of each.

    Args:
        matrices: (M, M) rank correlations by method.
        names: M names by method.
        means: M pictures by method.
        title: Of the sheet.

    Returns:
        A matplotlib figure.
    """
    from matplotlib.figure import Figure

    most = max(len(own) for own in names.values())
    figure = Figure(figsize=(1.5 + 1.05 * most * len(matrices), 2.6 + 0.62 * most), layout="constrained")
    halves = figure.subfigures(1, len(matrices), squeeze=False)[0]
    for half, (method, matrix) in zip(halves, matrices.items(), strict=True):
        upper, lower = half.subfigures(2, 1, height_ratios=(0.62 * most + 0.6, 1.7))
        axes = upper.subplots()
        image = axes.imshow(matrix, cmap="RdBu_r", vmin=-1, vmax=1)
        for row, column in np.ndindex(*matrix.shape):
            value = matrix[row, column]
            colour = "white" if abs(value) > 0.6 else "black"
            axes.text(column, row, "–" if value != value else f"{value:.2f}", ha="center", va="center", color=colour,
                      fontsize=8)  # fmt: skip
        axes.set_xticks(range(len(matrix)), names[method], rotation=30, ha="right", fontsize=7)
        axes.set_yticks(range(len(matrix)), names[method], fontsize=7)
        axes.set_title(method, fontsize=9)
        upper.colorbar(image, ax=axes, label="rank correlation, mean over faces", shrink=0.8)
        for place, cell in zip(lower.subplots(1, len(means[method]), squeeze=False)[0], means[method], strict=True):
            place.set_axis_off()
            place.imshow(cell.picture, interpolation="nearest")
            place.set_title(cell.words, fontsize=6)
    figure.suptitle(title, fontsize=10)
    return figure
