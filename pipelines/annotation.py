"""A photo with its faces marked: a box and a label on each, and a chart beside the box or in a strip below.

Charts lie on the photo only where all of them fit without covering a face; otherwise the photo stays free of them and
grows a strip at its lower edge. The photo itself is never scaled, so a pixel of it stays where it was.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from PIL import Image, ImageDraw

from pipelines.face_chart import INK, PAPER, SMALLEST, FaceAnswer, FaceChart, font_of, printable

__all__ = ["MarkedFace", "annotate", "annotate_whole", "note_below", "text_size"]

Rect = tuple[int, int, int, int]

_COVERED = 0.4
_BLACK = (0, 0, 0)


@dataclass(frozen=True, kw_only=True)
class MarkedFace:
    """A face in a photo.

    Attributes:
        box: x0, y0, x1, y1 in pixels of the photo; may reach beyond it.
        answer: What the committee says.
    """

    box: tuple[float, float, float, float]
    answer: FaceAnswer


def text_size(size: tuple[int, int]) -> int:
    """Height of text, in pixels, that is read at ease on a photo of that size.

    Example:
        >>> text_size((512, 512)), text_size((4000, 3000))
        (13, 69)
    """
    return max(SMALLEST + 1, round(math.sqrt(size[0] * size[1]) / 50))


def annotate(photo: Image.Image, faces: Sequence[MarkedFace]) -> Image.Image:
    """Mark the faces of a photo.

    Args:
        photo: RGB.
        faces: At least one, numbered if there are several.

    Returns:
        The photo, with a strip below or a border at the right if the charts need it.
    """
    text = text_size(photo.size)
    boxes = [_within(face.box, photo.size) for face in faces]
    charts = [FaceChart(face.answer, text) for face in faces]
    places = _beside(photo.size, boxes, charts)
    canvas = photo.copy()
    if places is None:
        charts = _readable_strip(photo.size, faces, text)
        places, size = _below(photo.size, charts)
        canvas = _enlarged(photo, size)
    for face, box in zip(faces, boxes, strict=True):
        _draw_box(canvas, box, face.answer, text)
    for chart, (x, y) in zip(charts, places, strict=True):
        chart.paint(canvas, x, y)
    taken = [(x, y, x + chart.width, y + chart.height) for chart, (x, y) in zip(charts, places, strict=True)]
    for index, face in enumerate(faces):
        tag = _draw_tag(canvas, photo.size, boxes[index], face.answer, taken + boxes[:index] + boxes[index + 1 :])
        taken.append(tag)
    return canvas


def annotate_whole(photo: Image.Image, answer: FaceAnswer, *, text: int) -> Image.Image:
    """Put the chart beside a picture that is a face as a whole."""
    chart = FaceChart(answer, text)
    canvas = _enlarged(photo, (photo.width + chart.width, max(photo.height, chart.height)))
    chart.paint(canvas, photo.width, (canvas.height - chart.height) // 2)
    return canvas


def note_below(photo: Image.Image, note: str) -> Image.Image:
    """Put one line below a photo."""
    text = text_size(photo.size)
    font = font_of(text)
    width = max(photo.width, int(font.getlength(note)) + text)
    canvas = _enlarged(photo, (width, photo.height + 2 * text))
    ImageDraw.Draw(canvas).text((text // 2, photo.height + text), printable(note), INK, font, anchor="lm")
    return canvas


def _enlarged(photo: Image.Image, size: tuple[int, int]) -> Image.Image:
    canvas = Image.new("RGB", size, PAPER)
    canvas.paste(photo, (0, 0))
    return canvas


def _within(box: tuple[float, float, float, float], size: tuple[int, int]) -> Rect:
    x0, y0, x1, y1 = (round(v) for v in box)
    x0, y0 = min(max(x0, 0), size[0] - 2), min(max(y0, 0), size[1] - 2)
    return x0, y0, max(x0 + 1, min(x1, size[0] - 1)), max(y0 + 1, min(y1, size[1] - 1))


def _beside(size: tuple[int, int], boxes: Sequence[Rect], charts: Sequence[FaceChart]) -> list[tuple[int, int]] | None:
    """Where each chart fits on the photo; None if one does not, or they would cover too much of it."""
    if sum(chart.width * chart.height for chart in charts) > _COVERED * size[0] * size[1]:
        return None
    taken, places = [*boxes], []
    for box, chart in zip(boxes, charts, strict=True):
        spots = ((x, y, x + chart.width, y + chart.height) for x, y in _spots(size, box, chart))
        spot = next((s for s in spots if _inside(s, size) and not any(_overlap(s, other) for other in taken)), None)
        if spot is None:
            return None
        taken.append(spot)
        places.append(spot[:2])
    return places


def _spots(size: tuple[int, int], box: Rect, chart: FaceChart) -> Iterator[tuple[int, int]]:
    """Upper left corners beside a box: right, left, then below it."""
    x0, y0, x1, y1 = box
    gap = chart.text // 2
    lowest = size[1] - chart.height - gap
    for x in (x1 + gap, x0 - gap - chart.width):
        for y in (y0, y1 - chart.height, (y0 + y1 - chart.height) // 2):
            yield x, min(max(y, gap), lowest)
    rightmost = size[0] - chart.width - gap
    yield min(max((x0 + x1 - chart.width) // 2, gap), rightmost), y1 + gap


def _inside(spot: Rect, size: tuple[int, int]) -> bool:
    return spot[0] >= 0 and spot[1] >= 0 and spot[2] <= size[0] and spot[3] <= size[1]


def _overlap(one: Rect, other: Rect) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def _readable_strip(size: tuple[int, int], faces: Sequence[MarkedFace], text: int) -> list[FaceChart]:
    """Charts for the strip: smaller ones for a crowd, so that the strip is no higher than the photo if it can be."""
    charts = [FaceChart(face.answer, text) for face in faces]
    while text > SMALLEST and _below(size, charts)[1][1] > 2 * size[1]:
        text = max(SMALLEST, int(text * 0.85))
        charts = [FaceChart(face.answer, text) for face in faces]
    return charts


def _below(size: tuple[int, int], charts: Sequence[FaceChart]) -> tuple[list[tuple[int, int]], tuple[int, int]]:
    """Places of the charts in rows below the photo, and the size of both together."""
    gap = charts[0].text // 2
    width, height = max(c.width for c in charts), max(c.height for c in charts)
    columns = max(1, (size[0] - gap) // (width + gap))
    rows = math.ceil(len(charts) / columns)
    places = [
        (gap + index % columns * (width + gap), size[1] + gap + index // columns * (height + gap))
        for index in range(len(charts))
    ]
    return places, (max(size[0], width + 2 * gap), size[1] + gap + rows * (height + gap))


def _draw_box(canvas: Image.Image, box: Rect, answer: FaceAnswer, text: int) -> None:
    """A coloured line between two black ones, dashed for an undecided face."""
    draw, width = ImageDraw.Draw(canvas), max(2, text // 7)
    x0, y0, x1, y1 = box
    draw.rectangle((x0 - 1, y0 - 1, x1 + 1, y1 + 1), outline=_BLACK, width=width + 2)
    draw.rectangle(box, outline=answer.colour, width=width)
    if answer.decided:
        return
    for index in range(1, 12, 2):
        left, right = x0 + (x1 - x0) * index // 12, x0 + (x1 - x0) * (index + 1) // 12
        upper, lower = y0 + (y1 - y0) * index // 12, y0 + (y1 - y0) * (index + 1) // 12
        for area in ((left, y0, right, y0 + width - 1), (left, y1 - width + 1, right, y1)):
            draw.rectangle(area, fill=_BLACK)
        for area in ((x0, upper, x0 + width - 1, lower), (x1 - width + 1, upper, x1, lower)):
            draw.rectangle(area, fill=_BLACK)


def _draw_tag(canvas: Image.Image, size: tuple[int, int], box: Rect, answer: FaceAnswer, taken: Sequence[Rect]) -> Rect:
    """The heading above or below its box; the number alone, in the box's corner, where there is no room."""
    text = min(text_size(size), max(SMALLEST, (box[2] - box[0]) // 6))
    font = font_of(text)
    pad = max(2, text // 4)
    width, height = int(font.getlength(answer.heading)) + 2 * pad, text + 2 * pad
    left = min(max(box[0], 0), max(0, size[0] - width))
    spots = [(left, y, left + width, y + height) for y in (box[1] - height, box[3] + 1)]
    spot = next((s for s in spots if _inside(s, size) and not any(_overlap(s, other) for other in taken)), None)
    label = answer.heading
    if spot is None:
        label = str(answer.number or printable(answer.label))
        spot = (box[0], box[1], box[0] + int(font.getlength(label)) + 2 * pad, box[1] + height)
    draw = ImageDraw.Draw(canvas)
    draw.rectangle((spot[0], spot[1], spot[2] - 1, spot[3] - 1), fill=answer.colour, outline=_BLACK)
    draw.text((spot[0] + pad, (spot[1] + spot[3]) // 2), label, _BLACK, font, anchor="lm")
    return spot
