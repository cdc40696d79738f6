"""Action units: which ones an expression contracts, and how strongly."""

from __future__ import annotations

import numpy as np
import pytest

from pipelines.synthetic.expression import ACTION_UNITS, EXPRESSIONS, PROTOTYPES, draw_action_units

# Action units that Ekman and Friesen's Emotional FACS names for each expression, and some that contradict it.
EMFACS = {
    "angry": ({4, 7, 23}, {1, 2, 12, 15}),
    "disgust": ({9, 10}, {1, 2, 12, 26}),
    "fear": ({1, 2, 4, 5, 20}, {6, 9, 12}),
    "happy": ({6, 12}, {1, 4, 9, 15, 20}),
    "sad": ({1, 4, 15}, {2, 5, 12, 26}),
    "surprise": ({1, 2, 5, 26}, {4, 9, 12, 20}),
}


def mean_intensities(name: str) -> dict[int, float]:
    labels = np.full(400, EXPRESSIONS.index(name), dtype=np.int64)
    units = draw_action_units(labels, np.random.default_rng(0))
    return {unit: float(intensity.mean()) for unit, intensity in units.items()}


@pytest.mark.parametrize("name", EMFACS)
def test_expressions_agree_with_emotional_facs(name: str) -> None:
    shown, absent = EMFACS[name]
    means = mean_intensities(name)
    assert min(means[unit] for unit in shown) > 0.25
    assert max(means[unit] for unit in absent) < 0.12


def test_a_neutral_face_is_nearly_at_rest() -> None:
    assert max(mean_intensities("neutral").values()) < 0.12


@pytest.mark.parametrize("name", EXPRESSIONS)
def test_prototypes_use_known_units(name: str) -> None:
    for prototype in PROTOTYPES[name]:
        assert set(prototype) <= set(ACTION_UNITS)
        assert all(0.0 < intensity <= 1.0 for intensity in prototype.values())


def test_every_unit_is_used_by_some_expression() -> None:
    used = {unit for prototypes in PROTOTYPES.values() for prototype in prototypes for unit in prototype}
    assert used == set(ACTION_UNITS)


def test_intensities_are_planes_without_negative_values() -> None:
    units = draw_action_units(np.arange(7, dtype=np.int64), np.random.default_rng(1))
    assert list(units) == list(ACTION_UNITS)
    for intensity in units.values():
        assert intensity.shape == (7, 1, 1)
        assert intensity.dtype == np.float32
        assert intensity.min() >= 0.0
