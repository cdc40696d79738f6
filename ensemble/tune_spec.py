"""The specification of a hyper-parameter search: what `tune:` in a `members.yaml` becomes.

It knows ranges and how trials are judged. Which places a member has is for whoever reads the file to check, and how
values are drawn is the sampler's business.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Annotated, Any, Literal

from pydantic import Field, StrictBool, StrictInt, StrictStr

from backbones.errors import Problem
from ensemble.spec_base import Spec

__all__ = ["SearchSpec", "TuneSpec", "check_places"]

_Float = Annotated[float, Field(strict=True, allow_inf_nan=False)]
_Number = StrictInt | _Float
_Choice = StrictInt | _Float | StrictBool | StrictStr | None

_FIXED = ("name", "groups", "weights", "folds")
"""What is no hyper-parameter: it names the member, is read before the search starts, or is left to the fit."""


class SearchSpec(Spec):
    """What one setting is searched over: a range from `low` to `high`, or a list of `choices`.

    Attributes:
        low: Lower end of the range.
        high: Upper end; it belongs to the range.
        log: Draw uniformly in the logarithm, as suits learning rates.
        step: Distance between the values drawn; none for all numbers, or 1 for whole ones.
        int: Draw whole numbers; by default where the ends are written as whole numbers.
        choices: The values to draw from instead: numbers, texts, true, false or null.
    """

    low: _Number | None = None
    high: _Number | None = None
    log: StrictBool = False
    step: _Number | None = None
    int: StrictBool | None = None
    choices: tuple[_Choice, ...] | None = None

    @property
    def whole(self) -> bool:
        """Whether whole numbers are drawn."""
        written = [value for value in (self.low, self.high, self.step) if value is not None]
        return self.int if self.int is not None else bool(written) and all(not isinstance(v, float) for v in written)

    @property
    def ends(self) -> tuple[Any, ...]:
        """The values that decide whether all of them are right: both ends, or every choice."""
        if self.choices is not None:
            return self.choices
        return tuple(round(v) if self.whole else v for v in (self.low, self.high) if v is not None)

    def describe(self) -> str:
        """The range in a few words.

        Example:
            >>> SearchSpec(low=1, high=4).describe(), SearchSpec(low=1e-5, high=0.1, log=True).describe()
            ('1 … 4, whole', '1e-05 … 0.1, log')
        """
        if self.choices is not None:
            return " | ".join(map(str, self.choices))
        marks = [mark for mark, on in (("whole", self.whole), ("log", self.log)) if on]
        return ", ".join([f"{self.low:g} … {self.high:g}", *marks, *([f"step {self.step:g}"] if self.step else [])])

    def problems(self, where: str) -> list[Problem]:
        """All that is wrong with the range itself."""
        if self.choices is not None:
            return [Problem.at(where, text) for text in self._wrong_choices(self.choices)]
        if self.low is None or self.high is None:
            given = {"low": self.low, "high": self.high}
            got = ", ".join(f"`{key}`" for key, value in given.items() if value is not None) or "neither"
            return [Problem.at(where, f"Expected `low` and `high`, or `choices`, but got {got}.")]
        return [Problem.at(where, text) for text in self._wrong_range(self.low, self.high)]

    def _wrong_choices(self, choices: tuple[Any, ...]) -> Iterator[str]:
        others = [key for key in ("low", "high", "log", "step", "int") if key in self.model_fields_set]
        if others:
            yield f"Expected a range or `choices`, but got `choices` and `{others[0]}`."
        if not choices:
            yield "Expected `choices` to be a list of at least 1, but got []."
        if len({repr(choice) for choice in choices}) < len(choices):
            yield f"Expected every choice once, but got {list(choices)}."

    def _wrong_range(self, low: float, high: float) -> Iterator[str]:
        if low >= high:
            yield f"Expected `low` to be below `high`, but got {low:g} and {high:g}."
        if self.log and low <= 0:
            yield f"Expected `low` to be above 0, since the range is logarithmic, but got {low:g}."
        if self.whole and any(value != round(value) for value in (low, high, self.step or 0)):
            yield "Expected whole numbers because of `int: true`, but got fractions."
        if self.step is None:
            return
        if self.log:
            yield "Expected a logarithmic range to have no `step`, but got both."
        elif self.step <= 0:
            yield f"Expected `step` to be above 0, but got {self.step:g}."
        elif abs((high - low) / self.step - round((high - low) / self.step)) > 1e-6:
            yield f"Expected `high` - `low` to be a multiple of `step`, but got {high:g} - {low:g} and {self.step:g}."


class TuneSpec(Spec):
    """A search for the hyper-parameters of one member.

    Attributes:
        member: Name of the member; may be left out where there is one only.
        trials: Trials wanted in all; more of them later go on where the search has ended.
        sampler: Draw every trial by itself (random), or where earlier ones were good (tpe).
        metric: What makes a trial the best: validation accuracy, or the lowest validation NLL.
        folds: 1 judges on the validation split. From 2 on, stratified cross-validation inside the training split: the
            mean over so many folds, with the validation split left alone.
        epochs: Epochs of a trial; none for the member's own.
        faces: Training faces used, a fixed stratified draw; none for all.
        seed: Of the values drawn, the faces used and the folds.
        search: Ranges by their dotted place in the member, such as `optimizer.lr` or `backbone.blocks.0.dropout`.
    """

    member: str | None = None
    trials: Annotated[int, Field(ge=1)] = 30
    sampler: Literal["random", "tpe"] = "random"
    metric: Literal["accuracy", "nll"] = "accuracy"
    folds: Annotated[int, Field(ge=1)] = 1
    epochs: Annotated[int, Field(ge=1)] | None = None
    faces: Annotated[int, Field(ge=2)] | None = None
    seed: Annotated[int, Field(ge=0)] = 0
    search: dict[str, SearchSpec]


def check_places(places: Collection[str], where: str) -> list[Problem]:
    """What is wrong with the places of a search, whichever member it is for.

    Args:
        places: The dotted places.
        where: Where they stand, `tune.search`.
    """
    found: list[Problem] = []
    if not places:
        found.append(Problem.at(where, "Expected at least one place with its range, e.g. `optimizer.lr`."))
    for place in places:
        if place.partition(".")[0] in _FIXED:
            message = "Expected a setting of the training, but got what names the member, is loaded before or folds it."
            found.append(Problem.at(f"{where}.{place}", message))
        inside = next((other for other in places if other.startswith(f"{place}.")), None)
        if inside is not None:
            message = f"Expected places apart from each other, but `{inside}` lies in it."
            found.append(Problem.at(f"{where}.{place}", message))
    return found
