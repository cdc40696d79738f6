"""Ready-cropped faces with their charts: one by one, or many on a sheet."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from pipelines.annotation import annotate_whole
from pipelines.face_chart import INK, PAPER, FaceAnswer, FaceChart, font_of, printable

__all__ = ["PER_SHEET", "FaceCard", "draw_card", "draw_sheet", "enlarge"]

PER_SHEET = 40
"""Faces on one sheet."""

_COLUMNS = 4
_TEXT = 12
_CARD_SIDE = 192
_CARD_TEXT = 16
_SHEET_SIDE = 144


@dataclass(frozen=True, kw_only=True)
class FaceCard:
    """A ready-cropped face and what the committee says about it.

    Attributes:
        name: Of the face.
        pixels: (H, W) or (H, W, 3) uint8.
        answer: What the committee says.
    """

    name: str
    pixels: npt.NDArray[np.uint8]
    answer: FaceAnswer


def enlarge(face: Image.Image, side: int) -> Image.Image:
    """A small face at least `side` pixels wide and high, every pixel of it a sharp square; large ones stay as they are.

    Example:
        >>> enlarge(Image.new("L", (48, 50)), 144).size
        (144, 150)
    """
    factor = max(1, math.ceil(side / max(min(face.size), 1)))
    return face.resize((face.width * factor, face.height * factor), Image.Resampling.NEAREST)


def draw_card(face: Image.Image, answer: FaceAnswer, *, text: int = _CARD_TEXT) -> Image.Image:
    """One face, enlarged, with its chart at the right."""
    return annotate_whole(enlarge(face, _CARD_SIDE), answer, text=text)


def draw_sheet(cards: Sequence[FaceCard]) -> Image.Image:
    """Faces in rows, each with its name above and its chart at the right."""
    faces = [enlarge(Image.fromarray(card.pixels).convert("RGB"), _SHEET_SIDE) for card in cards]
    charts = [FaceChart(card.answer, _TEXT) for card in cards]
    margin, caption = _TEXT, round(_TEXT * 1.8)
    width = max(f.width for f in faces) + max(c.width for c in charts) + margin
    height = max(*(f.height for f in faces), *(c.height for c in charts)) + caption + margin
    columns = min(_COLUMNS, len(cards))
    rows = math.ceil(len(cards) / columns)
    sheet = Image.new("RGB", (columns * width + margin, rows * height + margin), PAPER)
    draw = ImageDraw.Draw(sheet)
    for index, (card, face, chart) in enumerate(zip(cards, faces, charts, strict=True)):
        left, top = margin + index % columns * width, margin + index // columns * height
        name = _shortened(printable(card.name), width - margin)
        draw.text((left, top + caption // 2), name, INK, font_of(_TEXT), anchor="lm")
        sheet.paste(face, (left, top + caption))
        chart.paint(sheet, left + face.width, top + caption)
    return sheet


def _shortened(text: str, width: int) -> str:
    """The text, its beginning left out where it is too wide: a file's name ends in what tells it from its siblings."""
    font = font_of(_TEXT)
    if font.getlength(text) <= width:
        return text
    start = next((i for i in range(len(text)) if font.getlength("..." + text[i:]) <= width), len(text))
    return "..." + text[start:]
