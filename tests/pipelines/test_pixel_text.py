"""The fast pixel parser, against Python's own int()."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backbones.errors import InputError
from pipelines import pixel_text
from pipelines.pixel_text import parse_pixels

NUMBERS = st.lists(st.integers(0, 255), min_size=4, max_size=4)
JUNK = st.text(alphabet="0123456789 .-ax", max_size=12)


def plain(field: str) -> list[int] | None:
    words = field.split()
    good = len(words) == 4 and all(word.isdigit() and int(word) <= 255 for word in words)
    return [int(word) for word in words] if good else None


@given(st.lists(NUMBERS, min_size=1, max_size=5))
def test_numbers_come_back(faces):
    fields = [" ".join(map(str, face)).encode() for face in faces]
    assert parse_pixels(fields, size=2, places=["?"] * len(fields)).reshape(-1, 4).tolist() == faces


@given(st.lists(st.one_of(JUNK, NUMBERS.map(lambda n: " ".join(map(str, n)))), min_size=1, max_size=4))
def test_anything_else_is_read_as_python_does_or_refused(texts):
    fields, expected = [text.encode() for text in texts], [plain(text) for text in texts]
    if None in expected:
        with pytest.raises(InputError, match=f"in row {expected.index(None)}, but got"):
            parse_pixels(fields, size=2, places=[f"row {i}" for i in range(len(fields))])
    else:
        parsed = parse_pixels(fields, size=2, places=["?"] * len(fields))
        assert parsed.reshape(-1, 4).tolist() == expected


def test_ordinary_fields_take_the_fast_way(monkeypatch):
    monkeypatch.setattr(pixel_text, "_parse_field", lambda *_: pytest.fail("slow"))
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (9, 48, 48), dtype=np.uint8)
    fields = [" ".join(map(str, image.ravel())).encode() for image in images]
    np.testing.assert_array_equal(parse_pixels(fields, size=48, places=[""] * 9), images)
