"""One face's answer as a small picture: its label, and a bar for the probability of every class.

The colours are amber and slate on near-black (IBM's palette for colour-blind readers): they differ in lightness as much
as in hue, so the picture reads as well in grey, and on any photo.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

__all__ = ["ACCENT", "BAR", "INK", "PAPER", "SMALLEST", "UNSURE", "FaceAnswer", "FaceChart", "font_of", "printable"]

Colour = tuple[int, int, int]

PAPER: Colour = (22, 25, 31)
"""Behind charts and notes."""

INK: Colour = (245, 246, 248)
"""Text."""

ACCENT: Colour = (255, 176, 0)
"""The box of a face and the bar of its label."""

UNSURE: Colour = (205, 214, 228)
"""The same of a face that is left undecided."""

BAR: Colour = (124, 166, 216)
"""Bars of the other classes."""

SMALLEST = 12
"""Pixels of the smallest text that is easily read."""

_TRACK: Colour = (56, 63, 77)
_SOLID = 0.93


@dataclass(frozen=True, kw_only=True)
class FaceAnswer:
    """What the committee says about one face.

    Attributes:
        label: Its label, or `uncertain`.
        decided: Whether it is sure enough to have a label.
        classes: K class names.
        probs: (K,) probabilities.
        number: Place among the faces of the photo, from 1; 0 if it is the only one.
        truth: Its true class, if known.
        threshold: Confidence below which faces are left undecided, if any are.
    """

    label: str
    decided: bool
    classes: tuple[str, ...]
    probs: npt.NDArray[np.float64]
    number: int = 0
    truth: str = ""
    threshold: float | None = None

    @property
    def colour(self) -> Colour:
        """Colour of its box and of its highest bar."""
        return ACCENT if self.decided else UNSURE

    @property
    def heading(self) -> str:
        """Number, label and confidence; the likeliest class as well if it is left undecided."""
        best = int(self.probs.argmax())
        label = self.label if self.decided else f"{self.label} ({self.classes[best]}?)"
        number = f"{self.number}  " if self.number else ""
        return printable(f"{number}{label} {self.probs[best]:.0%}")


@dataclass(frozen=True)
class FaceChart:
    """The heading and bars of one answer, measured before they are painted.

    Attributes:
        answer: What to draw.
        text: Height of the text in pixels; everything else is in proportion.
    """

    answer: FaceAnswer
    text: int
    width: int = field(init=False)
    height: int = field(init=False)

    def __post_init__(self) -> None:
        bars = self._name_width + self._bar_width + self._share_width + 2 * self._gap
        heading = max(font_of(self.text + 1).getlength(line) for line in self._lines)
        object.__setattr__(self, "width", int(max(bars, heading)) + 2 * self._pad)
        object.__setattr__(self, "height", self._top + len(self.answer.classes) * self._row + self._pad)

    def paint(self, canvas: Image.Image, left: int, top: int) -> None:
        """Paint it on an RGB picture; what is behind it shines through a little."""
        area = (left, top, left + self.width, top + self.height)
        behind = canvas.crop(area)
        canvas.paste(Image.blend(behind, Image.new("RGB", behind.size, PAPER), _SOLID), area)
        draw, font = ImageDraw.Draw(canvas), font_of(self.text)
        for index, line in enumerate(self._lines):
            y = top + self._pad + index * self._row + self._row // 2
            draw.text((left + self._pad, y), line, INK, font_of(self.text + 1), anchor="lm")
        best = int(self.answer.probs.argmax())
        x = left + self._pad + self._name_width + self._gap
        for index, (name, prob) in enumerate(zip(self.answer.classes, self.answer.probs, strict=True)):
            y = top + self._top + index * self._row
            middle, low, high = y + self._row // 2, y + self._row // 6, y + self._row - self._row // 6 - 1
            colour = self.answer.colour if index == best else BAR
            draw.text((x - self._gap, middle), printable(name), INK, font, anchor="rm")
            draw.rectangle((x, low, x + self._bar_width - 1, high), fill=_TRACK)
            filled = round(float(prob) * self._bar_width)
            if filled:
                draw.rectangle((x, low, x + filled - 1, high), fill=colour)
            draw.text((x + self._bar_width + self._gap, middle), f"{prob:.0%}", INK, font, anchor="lm")
        self._mark_threshold(draw, x, top + self._top)

    def _mark_threshold(self, draw: ImageDraw.ImageDraw, x: int, top: int) -> None:
        """A line across the bars where a face is sure enough."""
        if self.answer.threshold is not None:
            at = x + min(round(self.answer.threshold * self._bar_width), self._bar_width - 1)
            bottom = top + len(self.answer.classes) * self._row - 1
            draw.line((at, top, at, bottom), fill=INK, width=max(1, self.text // 14))

    @property
    def _lines(self) -> list[str]:
        truth = self.answer.truth
        return [self.answer.heading, *([printable(f"true: {truth}")] if truth else [])]

    @property
    def _pad(self) -> int:
        return self.text // 2

    @property
    def _gap(self) -> int:
        return max(4, self.text // 2)

    @property
    def _row(self) -> int:
        return round(self.text * 1.3)

    @property
    def _top(self) -> int:
        return self._pad + len(self._lines) * self._row + self._pad // 2

    @property
    def _bar_width(self) -> int:
        return 7 * self.text

    @property
    def _name_width(self) -> int:
        return int(max(font_of(self.text).getlength(printable(name)) for name in self.answer.classes)) + 1

    @property
    def _share_width(self) -> int:
        return int(font_of(self.text).getlength("100%")) + 1


@lru_cache(maxsize=64)
def font_of(size: int) -> ImageFont.FreeTypeFont:
    """The font that Pillow carries, so many pixels high."""
    font = ImageFont.load_default(size)
    assert isinstance(font, ImageFont.FreeTypeFont)  # of a size, it always is
    return font


def printable(text: str) -> str:
    """The text on one line, with marks for what cannot be shown.

    Example:
        >>> printable("two" + chr(10) + "lines")
        'two?lines'
    """
    return "".join(letter if letter.isprintable() else "?" for letter in text)
