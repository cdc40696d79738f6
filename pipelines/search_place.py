"""Dotted places in a member's YAML, such as `backbone.blocks.0.dropout`, and the check of a whole `tune:` section.

Loads neither torch nor the sampler: a wrong search space is told with all other mistakes of the file.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from backbones.errors import InputError, Problem, nearest
from ensemble.spec import MemberSpec
from ensemble.spec_check import check_spec
from ensemble.tune_spec import SearchSpec, TuneSpec, check_places

__all__ = ["check_tune", "placed"]

Check = Callable[[dict[str, Any], str], tuple[MemberSpec | None, list[Problem]]]

_MISSING = "Expected what to search, e.g. `tune: {search: {optimizer.lr: {low: 1e-5, high: 0.1, log: true}}}`."


def placed(content: Any, place: str, value: Any) -> Any:
    """A copy of YAML content with a value at a place; mappings that are missing on the way are made.

    Raises:
        InputError: The way leads through something that is neither a mapping nor a list with such an index.

    Example:
        >>> placed({"backbone": {"blocks": [{"filters": 8}]}}, "backbone.blocks.0.dropout", 0.5)
        {'backbone': {'blocks': [{'filters': 8, 'dropout': 0.5}]}}
    """
    key, _, rest = place.partition(".")
    if isinstance(content, list):
        if not key.isdecimal() or int(key) >= len(content):
            raise InputError(f"Expected an index from 0 to {len(content) - 1}, but got {key!r}.")
        index = int(key)
        inner = placed(content[index], rest, value) if rest else value
        return [*content[:index], inner, *content[index + 1 :]]
    if content is not None and not isinstance(content, Mapping):
        raise InputError(f"Expected a place in a mapping or a list, but {key!r} would lie in {content!r}.")
    own = dict(content or {})
    return {**own, key: placed(own.get(key), rest, value) if rest else value}


def check_tune(
    content: Any, members: Mapping[str, MemberSpec | None], check: Check, *, required: bool
) -> tuple[TuneSpec | None, list[Problem]]:
    """Check the `tune:` section of a `members.yaml`.

    Args:
        content: What stands there; None if nothing does.
        members: All members by name; None for one that is wrong itself, so that nothing can be tried in it.
        check: Builds a member's spec from its content and says what is wrong with it.
        required: Whether there has to be such a section.

    Returns:
        The search, its member filled in, and all that is wrong.
    """
    if content is None:
        return None, [Problem.at("tune", _MISSING)] if required else []
    spec, problems = check_spec(TuneSpec, content, "tune")
    if not isinstance(content, Mapping):
        return None, problems
    name, found = _member(content.get("member"), list(members))
    sound, wrong = _ranges(content)
    problems += found + wrong
    member = members.get(name) if name is not None else None
    if member is not None:
        trial = spec.epochs if spec is not None and spec.epochs is not None else member.epochs
        problems += _check_values(member.model_copy(update={"epochs": trial}), sound, check)
    if spec is not None and member is not None and member.teacher is not None and spec.folds > 1:
        message = f"Expected 1, since `{name}` has a teacher, which may know the faces that are left out of a fold."
        problems.append(Problem.at("tune.folds", message))
    if spec is None or problems:
        return None, problems
    return spec.model_copy(update={"member": name}), []


def _ranges(content: Mapping[str, Any]) -> tuple[dict[str, SearchSpec], list[Problem]]:
    """The ranges that are right, and what is wrong with the others that the model does not see."""
    raw = content.get("search")
    if not isinstance(raw, Mapping):
        return {}, []
    problems, sound = check_places([str(place) for place in raw], "tune.search"), {}
    if content.get("epochs") is not None and "epochs" in raw:
        problems.append(Problem.at("tune.epochs", "Expected `epochs` here or in `search`, but got both."))
    for place, given in raw.items():
        one, _ = check_spec(SearchSpec, given, "")
        wrong = one.problems(f"tune.search.{place}") if one is not None else []
        problems += wrong
        if one is not None and not wrong:
            sound[str(place)] = one
    return sound, problems


def _member(given: Any, names: Sequence[str]) -> tuple[str | None, list[Problem]]:
    """The member that is meant."""
    if given is None and len(names) == 1:
        return names[0], []
    if isinstance(given, str) and given in names:
        return given, []
    if given is not None and not isinstance(given, str):
        return None, []  # told already
    got = "none is given" if given is None else f"got {given!r}"
    return None, [Problem.at("tune.member", f"Expected the name of a member, but {got}. {nearest(given or '', names)}")]


def _check_values(member: MemberSpec, ranges: Mapping[str, SearchSpec], check: Check) -> list[Problem]:
    """Try both ends of every range in the member's spec, one by one, then all lower and all upper ends together."""
    base, problems = member.model_dump(mode="json"), []
    for place, one in ranges.items():
        for value in one.ends:
            try:
                problems += check(placed(base, place, value), "tune.search")[1]
            except InputError as error:
                problems.append(Problem.at(f"tune.search.{place}", str(error)))
    if not problems:
        for end in (0, -1):
            together = base
            for place, one in ranges.items():
                together = placed(together, place, one.ends[end])
            problems += check(together, "tune.search")[1]
    return list(dict.fromkeys(problems))
