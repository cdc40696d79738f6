"""The fusion rules as torch modules, for graphs that run without numpy.

A fitted rule becomes a module with what it learned in buffers; both give the same probabilities, up to float32.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy.typing as npt
import torch
from torch import Tensor, nn

from backbones.errors import InputError
from ensemble.metric import FLOOR
from ensemble.rule.auto import Auto
from ensemble.rule.geometric_mean import GeometricMean
from ensemble.rule.majority_vote import EDGE, MajorityVote
from ensemble.rule.mean import Mean
from ensemble.rule.median import Median
from ensemble.rule.stacking import FLOOR as STACKING_FLOOR
from ensemble.rule.stacking import Stacking
from ensemble.rule.temperature import Temperature
from ensemble.rules import FusionRule, WeightedMean

__all__ = ["at_temperature", "rule_graph"]


def rule_graph(rule: FusionRule) -> nn.Module:
    """A fitted rule as a module: (M, N, K) probabilities to (N, K).

    Raises:
        InputError: The rule is none of those with a formula in tensors.

    Example:
        >>> rule_graph(Mean())(torch.tensor([[[0.9, 0.1]], [[0.5, 0.5]]]))
        tensor([[0.7000, 0.3000]])
    """
    if isinstance(rule, Auto):
        return rule_graph(rule.rule_)
    make = next((make for kind, make in _GRAPHS.items() if isinstance(rule, kind)), None)
    if make is None:
        known = sorted({"auto", *(kind.__module__.rpartition(".")[2] for kind in _GRAPHS if kind is not WeightedMean)})
        raise InputError(
            f"Expected a rule that ONNX can express, but got `{rule.name}`. Fuse by another one, "
            f"`ensemble fuse --rule log_likelihood`, or export members by themselves: `--members`. Rules with a "
            f"formula in tensors: {', '.join(known)}, and weighted means."
        )
    return make(rule)


def at_temperature(probs: Tensor, temperature: Tensor | float) -> Tensor:
    """Probabilities (..., K) to the power 1/T, normalised."""
    return (probs.clamp_min(FLOOR).log() / temperature).softmax(dim=-1)


class _Mean(nn.Module):
    def __init__(self, _: FusionRule) -> None:
        super().__init__()

    def forward(self, probs: Tensor) -> Tensor:
        return probs.mean(dim=0)


class _WeightedMean(nn.Module):
    weights: Tensor

    def __init__(self, rule: WeightedMean) -> None:
        super().__init__()
        self.register_buffer("weights", _column(rule.weights_))  # (M, 1, 1)

    def forward(self, probs: Tensor) -> Tensor:
        return _normalized((self.weights * probs).sum(dim=0))


class _GeometricMean(nn.Module):
    def __init__(self, rule: GeometricMean) -> None:
        super().__init__()
        self.floor = rule.floor

    def forward(self, probs: Tensor) -> Tensor:
        return probs.clamp_min(self.floor).log().mean(dim=0).softmax(dim=1)


class _Median(nn.Module):
    def __init__(self, _: FusionRule) -> None:
        super().__init__()

    def forward(self, probs: Tensor) -> Tensor:
        ranked, middle = probs.sort(dim=0).values, len(probs) // 2
        median = ranked[middle] if len(probs) % 2 else (ranked[middle - 1] + ranked[middle]) / 2
        empty = median.sum(dim=1, keepdim=True) <= 0.0
        return _normalized(torch.where(empty, probs.mean(dim=0), median))


class _MajorityVote(nn.Module):
    def __init__(self, _: FusionRule) -> None:
        super().__init__()

    def forward(self, probs: Tensor) -> Tensor:
        classes = torch.arange(probs.shape[2], device=probs.device)
        votes = (probs.argmax(dim=2, keepdim=True) == classes).to(probs.dtype)  # (M, N, K)
        counts = votes.sum(dim=0)  # (N, K)
        tied = counts == counts.amax(dim=1, keepdim=True)
        belief = (probs * votes).sum(dim=0) / counts.clamp_min(1.0)
        winner = torch.where(tied, belief, -1.0).argmax(dim=1, keepdim=True) == classes
        rivals = (tied & ~winner).to(probs.dtype)
        lift = winner.to(probs.dtype) * rivals.sum(dim=1, keepdim=True)
        return _normalized(counts / len(probs) + EDGE * (lift - rivals))


class _Stacking(nn.Module):
    coefficients: Tensor
    intercepts: Tensor

    def __init__(self, rule: Stacking) -> None:
        super().__init__()
        self.register_buffer("coefficients", _tensor(rule.coefficients_))  # (M, K, K)
        self.register_buffer("intercepts", _tensor(rule.intercepts_))

    def forward(self, probs: Tensor) -> Tensor:
        logs = probs.clamp_min(STACKING_FLOOR).log()
        logs = logs - logs.mean(dim=2, keepdim=True)
        return (torch.bmm(logs, self.coefficients).sum(dim=0) + self.intercepts).softmax(dim=1)


class _Temperature(nn.Module):
    temperatures: Tensor

    def __init__(self, rule: Temperature) -> None:
        super().__init__()
        self.register_buffer("temperatures", _column(rule.temperatures_))  # (M, 1, 1)

    def forward(self, probs: Tensor) -> Tensor:
        return at_temperature(probs, self.temperatures).mean(dim=0)


_GRAPHS: Mapping[type[FusionRule], Callable[..., nn.Module]] = {
    Mean: _Mean, Median: _Median, GeometricMean: _GeometricMean, MajorityVote: _MajorityVote, Stacking: _Stacking,
    Temperature: _Temperature, WeightedMean: _WeightedMean,
}  # fmt: skip
"""By class; all rules that learn one weight per voter share one formula."""


def _tensor(values: npt.ArrayLike) -> Tensor:
    return torch.as_tensor(values, dtype=torch.float32)


def _column(values: npt.ArrayLike) -> Tensor:
    return _tensor(values).reshape(-1, 1, 1)


def _normalized(scores: Tensor) -> Tensor:
    return scores / scores.sum(dim=1, keepdim=True)
