"""Drawing and selecting groups of parameters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np

from pipelines.synthetic.parameter import Chance, Plane, Span, draw, select


@dataclass(frozen=True)
class Ear:
    size: Annotated[Plane, Span(0.1, 0.3)]
    pierced: Annotated[Plane, Chance(0.25)]


def test_fields_are_drawn_as_declared() -> None:
    ears = draw(Ear, np.random.default_rng(0), 4000)
    for values in (ears.size, ears.pierced):
        assert values.shape == (4000, 1, 1)
        assert values.dtype == np.float32
    assert 0.1 <= ears.size.min() < 0.11
    assert 0.29 < ears.size.max() <= 0.3
    assert abs(ears.size.mean() - 0.2) < 0.005
    assert set(np.unique(ears.pierced)) == {0.0, 1.0}
    assert abs(ears.pierced.mean() - 0.25) < 0.03


def test_select_repeats_whole_sets() -> None:
    ears = draw(Ear, np.random.default_rng(1), 3)
    chosen = select(ears, np.array([2, 0, 2]))
    np.testing.assert_array_equal(chosen.size, ears.size[[2, 0, 2]])
    np.testing.assert_array_equal(chosen.pierced, ears.pierced[[2, 0, 2]])
