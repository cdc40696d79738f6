"""Inline SVG: shapes in user units, coloured by CSS classes alone, so that a chart follows the page's theme.

Text is escaped here. Knows nothing of members or scores; `pipelines.page.chart` draws with it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from math import floor, log10

__all__ = ["Board", "Frame", "Svg", "ticks"]

Point = tuple[float, float]
Span = tuple[float, float]

_STEPS = (1.0, 2.0, 5.0, 10.0)


class Svg:
    """A finished drawing; templates take it as it is."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __html__(self) -> str:
        return self.text


class Board:
    """A drawing on its way.

    Args:
        width: Of the view box, in user units.
        height: Of the view box.
        label: What a screen reader says.
        kind: CSS class of the whole.
    """

    def __init__(self, width: float, height: float, *, label: str, kind: str = "chart") -> None:
        head = f'<svg class="{kind}" viewBox="0 0 {_n(width)} {_n(height)}" role="img" aria-label="{escape(label)}">'
        self._parts = [head]

    def line(self, start: Point, end: Point, kind: str) -> None:
        """A straight line."""
        (x1, y1), (x2, y2) = start, end
        self._parts.append(f'<line class="{kind}" x1="{_n(x1)}" y1="{_n(y1)}" x2="{_n(x2)}" y2="{_n(y2)}"/>')

    def path(self, points: Iterable[Point], kind: str) -> None:
        """A line through points."""
        text = " ".join(f"{_n(x)},{_n(y)}" for x, y in points)
        self._parts.append(f'<polyline class="{kind}" points="{text}"/>')

    def box(self, corner: Point, width: float, height: float, kind: str, *, title: str = "") -> None:
        """A rectangle by its upper left corner."""
        x, y = corner
        place = f'x="{_n(x)}" y="{_n(y)}" width="{_n(max(width, 0.0))}" height="{_n(max(height, 0.0))}"'
        self._parts.append(f'<rect class="{kind}" {place}>{_title(title)}</rect>')

    def dot(self, centre: Point, radius: float, kind: str, *, title: str = "") -> None:
        """A disc."""
        x, y = centre
        self._parts.append(
            f'<circle class="{kind}" cx="{_n(x)}" cy="{_n(y)}" r="{_n(radius)}">{_title(title)}</circle>'
        )

    def text(self, place: Point, words: str, kind: str = "", *, anchor: str = "middle", turned: bool = False) -> None:
        """Words at a place, its baseline; `turned` reads upwards."""
        x, y = place
        turn = f' transform="rotate(-90 {_n(x)} {_n(y)})"' if turned else ""
        kinds = f' class="{kind}"' if kind else ""
        self._parts.append(f'<text{kinds} x="{_n(x)}" y="{_n(y)}" text-anchor="{anchor}"{turn}>{escape(words)}</text>')

    def done(self) -> Svg:
        """The drawing."""
        return Svg("".join([*self._parts, "</svg>"]))


class Frame:
    """A plotting area: numbers to places, with a grid and its labels.

    Args:
        board: What it lies on.
        left: Left edge, in user units; likewise `top`, `right` and `bottom`.
        top: Upper edge.
        right: Right edge.
        bottom: Lower edge.
        x: Least and greatest number across.
        y: Least and greatest number upwards.
    """

    def __init__(self, board: Board, *, left: float, top: float, right: float, bottom: float, x: Span, y: Span) -> None:
        self.board, self.x, self.y = board, _wide(x), _wide(y)
        self.left, self.top, self.right, self.bottom = left, top, right, bottom

    def at(self, x: float, y: float) -> Point:
        """Where a pair of numbers lies."""
        (x0, x1), (y0, y1) = self.x, self.y
        across, up = (x - x0) / (x1 - x0), (y - y0) / (y1 - y0)
        return self.left + across * (self.right - self.left), self.bottom - up * (self.bottom - self.top)

    def grid_up(self, marks: Sequence[float], form: str) -> None:
        """Horizontal lines, with labels to the left."""
        for mark in marks:
            _, y = self.at(self.x[0], mark)
            self.board.line((self.left, y), (self.right, y), "grid")
            self.board.text((self.left - 5, y + 4), format(mark, form), anchor="end")

    def grid_across(self, marks: Sequence[float], form: str) -> None:
        """Labels below, with short ticks."""
        for mark in marks:
            x, _ = self.at(mark, self.y[0])
            self.board.line((x, self.bottom), (x, self.bottom + 3), "axis")
            self.board.text((x, self.bottom + 15), format(mark, form))
        self.board.line((self.left, self.bottom), (self.right, self.bottom), "axis")


def ticks(low: float, high: float, count: int = 5) -> list[float]:
    """Round numbers within a span, about `count` of them.

    Example:
        >>> ticks(0.42, 0.71, 4)
        [0.5, 0.6, 0.7]
        >>> ticks(0, 28, 4)
        [0.0, 10.0, 20.0]
    """
    rough = max(high - low, 1e-9) / max(count - 1, 1)
    power = 10.0 ** floor(log10(rough))
    step = next((s * power for s in _STEPS if s * power >= rough * 0.999), 10.0 * power)
    first = -floor(-low / step + 1e-9)
    return [round(k * step, 10) for k in range(int(first), floor(high / step + 1e-9) + 1)]


def _n(value: float) -> str:
    """A coordinate, short."""
    return f"{value:.1f}".removesuffix(".0")


def _title(words: str) -> str:
    return f"<title>{escape(words)}</title>" if words else ""


def _wide(span: Span) -> Span:
    """A span that is no point."""
    low, high = span
    return (low, high) if high > low else (low - 0.5, high + 0.5)
