"""Flat or hierarchical: one committee's stored posteriors, fused by every rule and by trees of groups.

Reads the posterior bank of a finished committee, runs no network and changes nothing in it. The trees: groups as
declared by the members' `groups`, by family, by input and by disagreement; `va_expo` inside of groups (Kim et al.,
2015) with `log_likelihood` across them, and `log_likelihood` inside with `stacking` across.

Run from the repository root: `python -m benchmarks.hierarchy --committee DIR`.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from backbones.errors import InputError
from ensemble.committee_spec import CommitteeNode, resolve_committee
from ensemble.estimate import Estimate, estimate
from ensemble.grouping import Evidence
from pipelines.atomic import write_json
from pipelines.committee_folder import find_committee
from pipelines.fuse import stored_evidence, stored_tree
from pipelines.leaderboard import markdown, rule_estimates
from pipelines.stored_posteriors import StoredPosteriors, stored_posteriors

RESULT = Path(__file__).parent / "results" / "hierarchy.json"
LEVELS = (("va_expo", "log_likelihood"), ("log_likelihood", "stacking"))
"""Rule inside of groups, rule across them."""

AUTOMATIC = ("family", "input", "disagreement")
HEADER = ("committee", "accuracy", "nested", "95 %", "nll", "p, best member", "p, mean")


def main() -> None:
    """Measure, store and print."""
    options = _options()
    try:
        folder = find_committee(options.committee)
        result = compare(folder)
    except InputError as error:
        raise SystemExit(f"benchmarks.hierarchy: {error}") from None
    write_json(options.out, result)
    print(f"{folder.name}: {len(result['members'])} members, {result['faces']:,} faces\n")
    print(markdown([_row(name, row) for name, row in result["rows"].items()], HEADER))
    for name, groups in result["groups"].items():
        print(f"{name}: {'; '.join(', '.join(members) for members in groups)}")
    for note in result["flat"]:
        print(f"{note}: no tree, its groups are flat")


def compare(folder: Path) -> dict[str, Any]:
    """Every flat rule and every tree, from what the members of a committee have said.

    Args:
        folder: The finished committee.
    """
    content, node = stored_tree(folder)
    members, seed = node.members, int(content["seed"])
    bank = stored_posteriors(folder, members)
    groups = {m["name"]: tuple(m.get("groups", ())) for m in content["members"] if m["name"] in members}
    trees = dict(_trees(groups, stored_evidence(folder, members)))
    real = {name: tree for name, tree in trees.items() if any(not isinstance(child, str) for child in tree.over)}
    return {
        "committee": folder.name, "members": list(members), "faces": len(bank.labels), "seed": seed,
        "groups": {name.partition(":")[0]: _groups_of(tree) for name, tree in real.items()},
        "flat": sorted({name.partition(":")[0] for name in trees.keys() - real.keys()}),
        "rows": {name: _facts(e) for name, e in _estimates(members, real, bank, seed).items()},
    }  # fmt: skip


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.hierarchy", description=__doc__.partition("\n")[0])
    parser.add_argument("--committee", help="folder, name or MLflow run of a finished committee [the newest]")
    parser.add_argument("--out", type=Path, default=RESULT, help="JSON file for the numbers")
    return parser.parse_args()


def _trees(groups: Mapping[str, Sequence[str]], evidence: Evidence) -> Iterator[tuple[str, CommitteeNode]]:
    """The trees under their names; some may have no node below the root."""
    declared = dict.fromkeys(group for own in groups.values() for group in own)
    alone = [name for name, own in groups.items() if not own]
    for within, across in LEVELS:
        if len(declared) > 1:
            nodes = [{"rule": within, "members": [group]} for group in declared]
            tree = {"rule": across, "over": [*nodes, *alone]}
            yield f"declared: {within}, {across}", resolve_committee(tree, groups)
        for criterion in AUTOMATIC:
            tree = {"rule": across, "groups": criterion, "within": within}
            yield f"{criterion}: {within}, {across}", resolve_committee(tree, groups, evidence=evidence)


def _estimates(
    members: Sequence[str], trees: Mapping[str, CommitteeNode], bank: StoredPosteriors, seed: int
) -> dict[str, Estimate]:
    everyone: dict[str, tuple[str, ...]] = dict.fromkeys(members, ())
    mean, unseen = resolve_committee({"rule": "mean"}, everyone), bank.out_of_fold
    flat = rule_estimates(mean, bank.posteriors, bank.labels, seed=seed, fit_on=unseen)
    rows = {f"flat: {rule}": flat[rule] for rule in flat if rule != "committee"}
    return rows | {
        name: estimate(tree, bank.posteriors, bank.labels, seed=seed, fit_on=unseen) for name, tree in trees.items()
    }


def _groups_of(tree: CommitteeNode) -> list[list[str]]:
    return [[child] if isinstance(child, str) else list(child.members) for child in tree.over]


def _facts(e: Estimate) -> dict[str, Any]:
    kept = ("fitted_accuracy", "nested_accuracy", "nested_interval", "nll", "against_best_member", "against_mean")
    return {key: value for key, value in asdict(e).items() if key in kept}


def _row(name: str, row: Mapping[str, Any]) -> tuple[str, ...]:
    low, high = row["nested_interval"]
    return (
        name, f"{row['fitted_accuracy']:.4f}", f"{row['nested_accuracy']:.4f}", f"{low:.3f}-{high:.3f}",
        f"{row['nll']:.4f}", *(f"{row[key]['p_value']:.2g}" for key in ("against_best_member", "against_mean")),
    )  # fmt: skip


if __name__ == "__main__":
    main()
