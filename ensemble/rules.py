"""What every fusion rule promises, and the registry of rules.

A rule turns the probabilities of M voters (members of a committee, or views of one face) into one distribution per
face. It knows nothing of names, files or networks. One rule is one module in `ensemble/rule/`, found by its file name.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from contextlib import AbstractContextManager
from functools import cache
from typing import Any, ClassVar, NoReturn, Self

import numpy as np
import numpy.typing as npt
from threadpoolctl import ThreadpoolController  # type: ignore[import-untyped]

from backbones.errors import EnsembleError, InputError
from backbones.registry import Registry

__all__ = ["RULES", "FusionRule", "Labels", "Probs", "WeightedMean", "check_labels", "check_probs", "normalize"]

Probs = npt.NDArray[np.float64]
Labels = npt.NDArray[np.int64]

_TOLERANCE = 1e-3


class FusionRule(ABC):
    """Fuses the votes of M voters.

    A subclass takes its YAML parameters keyword-only, implements `_fuse`, and, if it learns from labelled faces, `_fit`
    with the names of what it learns in `learned`. Learned attributes end in an underscore, as in scikit-learn.

    Attributes:
        learned: Attributes that `fit` sets; their values (numbers or arrays) are the rule's whole state.
        per_member: Those of `learned` that hold one number per voter, so that a committee can show them by name.
    """

    learned: ClassVar[tuple[str, ...]] = ()
    per_member: ClassVar[tuple[str, ...]] = ()

    @property
    def name(self) -> str:
        """Registry key: the name of the rule's module."""
        return type(self).__module__.rpartition(".")[2]

    @property
    def needs_fit(self) -> bool:
        """Whether the rule learns anything from labelled faces."""
        return bool(self.learned)

    @property
    def fitted(self) -> bool:
        """Whether the rule can be called: it has been fitted, or needs no fit."""
        return all(hasattr(self, attribute) for attribute in self.learned)

    @property
    def members(self) -> int | None:
        """Number of voters the rule was fitted on, or None if any number will do."""
        return None

    def fit(self, probs: npt.ArrayLike, labels: npt.ArrayLike) -> Self:
        """Learn from labelled faces; a rule that learns nothing only checks them.

        Args:
            probs: (M, N, K) probabilities of M voters for N faces.
            labels: (N,) true class indices.

        Returns:
            The rule itself.

        Raises:
            InputError: The shapes do not fit each other, or the probabilities are none.
        """
        checked = check_probs(probs)
        y = check_labels(labels, checked.shape[1:])
        with _one_thread():
            self._fit(checked, y)
        return self

    def __call__(self, probs: npt.ArrayLike) -> Probs:
        """Fuse (M, N, K) probabilities into (N, K) float64 probabilities whose rows sum to 1.

        Raises:
            EnsembleError: The rule needs a fit and has none.
            InputError: The number of voters is not the fitted one, or the probabilities are none.
        """
        if not self.fitted:
            raise EnsembleError(f"Expected the rule `{self.name}` to be fitted, but it is not. Call `fit` first.")
        checked = check_probs(probs)
        if self.members is not None and len(checked) != self.members:
            raise InputError(f"Expected probabilities of {self.members} members, but got {len(checked)}.")
        with _one_thread():
            return normalize(self._fuse(checked))

    def state(self) -> dict[str, Any]:
        """What the rule has learned, as numbers and lists: JSON holds it exactly.

        Example:
            >>> rule = RULES.build("va_simple").fit([[[0.9, 0.1]], [[0.2, 0.8]]], [0])
            >>> rule.state()
            {'accuracies': [1.0, 0.0], 'weights': [1.0, 0.0]}
        """
        if not self.fitted:
            return {}
        return {attribute.removesuffix("_"): _plain(getattr(self, attribute)) for attribute in self.learned}

    def load_state(self, state: Mapping[str, Any]) -> Self:
        """Take over what `state` returned.

        Raises:
            InputError: The state lacks something, or holds something that is not a finite number.
        """
        for attribute in self.learned:
            key = attribute.removesuffix("_")
            if key not in state:
                raise InputError(f"Expected the state of `{self.name}` to hold `{key}`, but got {sorted(state)}.")
            setattr(self, attribute, _number(state[key], f"`{key}` of the rule `{self.name}`"))
        return self

    def _fit(self, probs: Probs, labels: Labels) -> None:  # noqa: B027 - not every rule learns
        """Set every attribute in `learned`; nothing to do for a rule that learns nothing."""

    @abstractmethod
    def _fuse(self, probs: Probs) -> Probs:
        """Fuse checked (M, N, K) probabilities into (N, K) scores; the caller normalises the rows."""


class WeightedMean(FusionRule):
    """Base of the rules that learn one weight per voter and fuse to Σ w_k p_k.

    Attributes:
        weights_: (M,) weights on the simplex.
    """

    learned: ClassVar[tuple[str, ...]] = ("weights_",)
    per_member: ClassVar[tuple[str, ...]] = ("weights_",)

    weights_: Probs

    @property
    def members(self) -> int | None:
        """Number of voters the rule was fitted on."""
        return len(self.weights_) if self.fitted else None

    def _fuse(self, probs: Probs) -> Probs:
        # Not a matrix product: its last bit would depend on how many faces are asked for at once.
        fused: Probs = (self.weights_[:, None, None] * probs).sum(axis=0)  # (M, N, K) -> (N, K)
        return fused


RULES: Registry[FusionRule] = Registry("fusion rule", "ensemble.rule")


def check_probs(probs: npt.ArrayLike) -> Probs:
    """The probabilities as a float64 array of shape (members, samples, classes).

    Raises:
        InputError: Another shape, no member, numbers that are not finite, negative, or rows that do not sum to 1.
    """
    array = np.asarray(probs, dtype=np.float64)
    if array.ndim != 3 or not array.shape[0] or not array.shape[2]:
        raise InputError(
            f"Expected probabilities of shape (members, samples, classes) and at least 1 member, but got {array.shape}."
        )
    far = np.abs(np.einsum("mnk->mn", array) - 1.0)  # how far each row is from 1; several times faster than `sum`
    if array.size and not (far.max() <= _TOLERANCE and array.min() >= -_TOLERANCE):  # a NaN fails both
        _refuse(array, far)
    return array


def _refuse(array: Probs, far: Probs) -> NoReturn:
    """Name the first of the rows that hold no probabilities."""
    if not np.isfinite(array).all():
        member, face, _ = np.argwhere(~np.isfinite(array))[0]
        raise InputError(f"Expected finite probabilities, but got {array[member, face]} from member {member}.")
    member, face = np.argwhere((far > _TOLERANCE) | (array.min(axis=2) < -_TOLERANCE))[0]
    raise InputError(f"Expected probabilities that sum to 1, but got {array[member, face]} from member {member}.")


def check_labels(labels: npt.ArrayLike, shape: tuple[int, ...]) -> Labels:
    """The labels as int64, one per sample, each below the number of classes.

    Args:
        labels: (N,) class indices.
        shape: (N, K) of the probabilities they belong to.

    Raises:
        InputError: Another number of labels, none at all, or a label that is no class.
    """
    array = np.asarray(labels)
    if array.shape != shape[:1] or not array.size:
        raise InputError(f"Expected {shape[0]} labels, one per face and at least 1, but got {array.size}.")
    if array.dtype.kind not in "iu" or array.min() < 0 or array.max() >= shape[1]:
        low, high = array.min(), array.max()
        raise InputError(f"Expected whole labels from 0 to {shape[1] - 1}, but got {array.dtype} {low} to {high}.")
    return array.astype(np.int64)


def normalize(scores: Probs) -> Probs:
    """Divide every row by its sum.

    Example:
        >>> normalize(np.array([[1.0, 3.0]]))
        array([[0.25, 0.75]])
    """
    return np.asarray(scores / scores.sum(axis=-1, keepdims=True), dtype=np.float64)


def _one_thread() -> AbstractContextManager[Any]:
    """Keeps linear algebra on one core: it adds up in one order on any machine, and small products do not wait.

    Measured with other work on both of two cores, two threads took twenty times as long as one to fit 36 members.
    """
    limit: AbstractContextManager[Any] = _linear_algebra().limit(limits=1, user_api="blas")
    return limit


@cache
def _linear_algebra() -> ThreadpoolController:
    return ThreadpoolController()


def _plain(value: Any) -> Any:
    return value.tolist() if isinstance(value, (np.ndarray, np.generic)) else value


def _number(value: Any, what: str) -> Any:
    """The number or array that `_plain` made `value` from."""
    try:
        array = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError):
        array = np.full(1, np.nan)
    if not array.size or not np.isfinite(array).all():
        raise InputError(f"Expected {what} to be finite numbers, but got {value!r}.")
    return array if array.ndim else float(array)
