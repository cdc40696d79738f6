"""Charts put numbers where they belong."""

from __future__ import annotations

import re
from typing import Any

import pytest

from pipelines.page.chart import bar, coverage_chart, learning_chart, reliability_chart, views_chart, whisker
from pipelines.page.drawing_board import Board, ticks
from pipelines.page.wording import as_time, level, p_words


def shapes(text: str, tag: str, kind: str) -> list[dict[str, float]]:
    """Numbers of every shape of a tag and a class."""
    found = re.findall(rf'<{tag} class="{kind}" ([^>]*)>', text)
    return [{key: float(value) for key, value in re.findall(r'([\w]+)="([-\d.]+)"', one)} for one in found]


def test_a_whisker_lies_on_the_scale_of_its_table() -> None:
    text = whisker(0.5, 0.6, 0.7, (0.4, 0.8)).text
    dot = shapes(text, "circle", "mark")[0]
    assert dot["cx"] == pytest.approx(60)  # 0.6 is the middle of the scale
    ends = [line["x1"] for line in shapes(text, "line", "range")]
    assert min(ends) == pytest.approx(32)
    assert shapes(text, "line", "range")[0]["x2"] == pytest.approx(88)


@pytest.mark.parametrize(("share", "width"), [(0.25, 25), (1.0, 100), (1.7, 100), (-0.2, 0)])
def test_a_bar_is_as_long_as_its_share(share: float, width: float) -> None:
    assert shapes(bar(share, "x").text, "rect", "fill")[0]["width"] == width


def test_columns_of_reliability_are_as_high_as_the_accuracy() -> None:
    bins = [
        {"low": 0.4, "high": 0.5, "faces": 10, "confidence": 0.45, "accuracy": 0.25},
        {"low": 0.9, "high": 1.0, "faces": 40, "confidence": 0.97, "accuracy": 1.0},
    ]
    text = reliability_chart(bins, label="r").text
    first, second = shapes(text, "rect", "column")
    assert first["height"] / second["height"] == pytest.approx(0.25, abs=0.01)
    few, many = shapes(text, "rect", "column quiet")
    assert few["height"] / many["height"] == pytest.approx(0.25, abs=0.02)
    assert "10 faces of confidence 40% to 50%" in text


def test_coverage_marks_the_least_confidences_that_leave_faces() -> None:
    curve = [{"coverage": 0.5, "accuracy": 1.0}, {"coverage": 1.0, "accuracy": 0.5}]
    marks: list[dict[str, Any]] = [
        {"threshold": 0.0, "coverage": 1.0, "accuracy": 0.5}, {"threshold": 0.6, "coverage": 0.5, "accuracy": 1.0},
        {"threshold": 0.95, "coverage": 0.0, "accuracy": float("nan")},
    ]  # fmt: skip
    text = coverage_chart(curve, marks).text
    assert len(shapes(text, "circle", "mark second")) == 2
    assert ">0.6<" in text
    assert "nan" not in text


@pytest.mark.parametrize("epochs", [1, 2, 40])
def test_learning_rings_the_epoch_that_was_kept(epochs: int) -> None:
    records = [
        {"epoch": float(e), "train_loss": 2.0 / e, "validation_nll": 1.5 / e, "validation_accuracy": 1 - 0.6 / e}
        for e in range(1, epochs + 1)
    ]
    text = learning_chart(records, best=epochs, accuracies=(0.4, 1.0), label="l").text
    assert f"kept: epoch {epochs}, validation accuracy {1 - 0.6 / epochs:.4f}" in text
    assert text.count("mark ring") == 2
    assert learning_chart(records, best=None, accuracies=(0.4, 1.0), label="l").text.count("mark ring") == 0
    lines = re.findall(r'polyline class="curve" points="([^"]*)"', text)
    assert [len(line.split()) for line in lines] == [epochs, epochs]


def test_views_rise_where_accuracy_does() -> None:
    rows = [{"views": n, "accuracy": a, "nll": 1.0, "milliseconds": n} for n, a in ((1, 0.6), (2, 0.62), (10, 0.65))]
    heights = [dot["cy"] for dot in shapes(views_chart(rows).text, "circle", "mark")]
    assert heights == sorted(heights, reverse=True)
    assert "<circle" in views_chart(rows[:1]).text


def test_words_in_a_drawing_are_escaped() -> None:
    board = Board(10, 10, label='"a" & <b>')
    board.text((0, 0), "<script>")
    board.dot((1, 1), 1, "mark", title="</svg>")
    text = board.done().text
    assert "<script>" not in text
    assert text.count("</svg>") == 1
    assert "&quot;a&quot; &amp; &lt;b&gt;" in text


@pytest.mark.parametrize(
    ("low", "high", "count", "marks"),
    [(0, 1, 6, [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]), (1, 3, 4, [1.0, 2.0, 3.0]), (0.9134, 0.9141, 4, [0.9135, 0.914])],
)
def test_ticks_are_round_and_within(low: float, high: float, count: int, marks: list[float]) -> None:
    assert ticks(low, high, count) == pytest.approx(marks)


def test_words_for_numbers() -> None:
    assert [as_time(s) for s in (None, 0.04, 9.96, 59.4, 61, 3599, 86399)] == [
        "", "0.0 s", "10 s", "59 s", "1 min", "1 h 0 min", "24 h 0 min",
    ]  # fmt: skip
    assert level(0.3, 0.3, 0.3) == 0
    assert p_words(0.04) == "p = 0.04, hardly luck"
    assert p_words(1e-9).startswith("p < 0.0001")
    assert p_words(0.3).endswith("may be luck")
