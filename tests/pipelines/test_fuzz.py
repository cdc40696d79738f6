"""Random inputs end with code 0 or 2. `python -m benchmarks.fuzz` runs ten thousand; these are the first few."""

from __future__ import annotations

import pytest
from hostile.fuzz import KINDS, fuzz

CASES = {"yaml": 150, "csv": 50, "zip": 60, "image": 400}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", KINDS)
def test_any_input_is_read_or_refused(kind: str) -> None:
    exits = fuzz(kind, CASES[kind])
    assert set(exits) <= {0, 2}
    assert exits.total() >= CASES[kind]
    assert exits[2] > 0
