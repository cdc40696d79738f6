"""What became of a member's pretrained weights, in a line for people and in numbers for `spec.json` and the tracker."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ensemble.spec import MemberSpec

if TYPE_CHECKING:
    from backbones.weights import LoadReport

__all__ = ["report_facts", "report_line", "weights_tags"]

_MOST_NAMES = 20


def report_line(spec: MemberSpec, report: LoadReport) -> str:
    """One line on which tensors were taken over, and whose work they are."""
    parts = [f"{len(report.loaded)} tensors loaded"]
    parts += [f"{len(report.adapted)} adapted"] if report.adapted else []
    parts += [f"{report.dropped} of the old head dropped"] if report.dropped else []
    parts += [f"{len(report.missing)} missing{_some(report.missing)}" if report.missing else "none missing"]
    parts += [f"{len(report.unexpected)} unexpected{_some(report.unexpected)}"] if report.unexpected else []
    return f"{spec.name}: weights {_origin(spec)}: {', '.join(parts)}"


def report_facts(report: LoadReport) -> dict[str, Any]:
    """How many tensors went where, and the names of those that fitted nothing, the first few of them."""
    counts = {name: len(getattr(report, name)) for name in ("loaded", "adapted", "missing", "unexpected")}
    return {
        **counts,
        "dropped": report.dropped,
        "share": round(report.share, 6),
        "missing_names": list(report.missing[:_MOST_NAMES]),
        "unexpected_names": list(report.unexpected[:_MOST_NAMES]),
    }


def weights_tags(spec: MemberSpec) -> dict[str, str]:
    """Tags of a member's run: whose pretrained weights it starts from; empty if from none."""
    weights = spec.weights
    if weights is None:
        return {}
    facts = {
        "name": weights.label, "sha256": weights.sha256, "licence": weights.licence,
        "training_set": weights.training_set, "source": weights.source,
    }  # fmt: skip
    return {f"weights.{key}": value for key, value in facts.items() if value}


def _origin(spec: MemberSpec) -> str:
    weights = spec.weights
    if weights is None:
        return "given"
    known = [f"licence {weights.licence}"] if weights.licence else []
    known += [f"trained on {weights.training_set}"] if weights.training_set else []
    return weights.label + (f" ({', '.join(known)})" if known else "")


def _some(names: tuple[str, ...]) -> str:
    return f" ({', '.join(names[:3])}{', …' if len(names) > 3 else ''})"
