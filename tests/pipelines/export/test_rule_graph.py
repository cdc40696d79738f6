"""Every rule as a torch module says what the numpy rule says."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from backbones.errors import InputError
from ensemble.rules import RULES, FusionRule, Probs
from pipelines.export.rule_graph import at_temperature, rule_graph


def _faces(members: int, count: int = 240, classes: int = 7) -> tuple[np.ndarray, np.ndarray]:
    """Members of different skill, some of them sure of different classes."""
    rng = np.random.default_rng(members)
    labels = rng.integers(0, classes, count)
    labels[:classes] = np.arange(classes)
    logits = rng.normal(size=(members, count, classes))
    logits[:, np.arange(count), labels] += np.linspace(0.5, 2.5, members)[:, None]
    logits[:, :20] *= 12.0  # (nearly) certain
    powers = np.exp(logits - logits.max(axis=2, keepdims=True))
    return powers / powers.sum(axis=2, keepdims=True), labels


@pytest.mark.parametrize("members", [1, 2, 5])
@pytest.mark.parametrize("name", sorted(RULES.names()))
def test_a_rule_and_its_graph_agree(name: str, members: int) -> None:
    probs, labels = _faces(members)
    rule = RULES.build(name).fit(probs, labels)
    given = probs.astype(np.float32)
    graph = rule_graph(rule)
    found = graph(torch.from_numpy(given)).numpy()
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, rule(given), atol=3e-6)


@pytest.mark.parametrize("choice", ["mean", "geometric_mean", "log_likelihood", "stacking"])
def test_auto_is_the_rule_it_chose(choice: str) -> None:
    probs, labels = _faces(3)
    rule = RULES.build("auto", candidates=[choice]).fit(probs, labels)
    np.testing.assert_allclose(
        rule_graph(rule)(torch.from_numpy(probs).float()).numpy(),
        RULES.build(choice).fit(probs, labels)(probs),
        atol=3e-6,
    )


def test_a_tied_vote_goes_where_numpy_sends_it() -> None:
    probs = np.array([[[0.6, 0.4, 0.0], [0.5, 0.5, 0.0]], [[0.3, 0.7, 0.0], [0.2, 0.2, 0.6]]])
    found = rule_graph(RULES.build("majority_vote"))(torch.from_numpy(probs).float()).numpy()
    np.testing.assert_array_equal(found.argmax(axis=1), [1, 2])
    np.testing.assert_allclose(found, RULES.build("majority_vote")(probs), atol=1e-7)
    assert found[0, 1] > found[0, 0] > 0.49


def test_members_sure_of_different_classes_leave_the_mean_to_the_median() -> None:
    probs = np.eye(3)[:, None]  # (3, 1, 3): a median of 0 for every class
    found = rule_graph(RULES.build("median"))(torch.from_numpy(probs).float()).numpy()
    np.testing.assert_allclose(found, [[1 / 3, 1 / 3, 1 / 3]], atol=1e-7)


def test_temperature_against_a_power_by_hand() -> None:
    found = at_temperature(torch.tensor([[0.9, 0.1]]), 2.0).numpy()
    np.testing.assert_allclose(found, [[0.75, 0.25]], atol=1e-6)  # 3 : 1


def test_a_rule_without_a_formula_is_refused() -> None:
    class Loudest(FusionRule):
        def _fuse(self, probs: Probs) -> Probs:
            return np.asarray(probs.max(axis=0))

    with pytest.raises(InputError, match=r"got `test_rule_graph`.*ensemble fuse --rule log_likelihood.*stacking"):
        rule_graph(Loudest())
