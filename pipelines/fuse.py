"""`ensemble fuse`: refits the committee and every rule from the stored probabilities. Loads no network and no torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from backbones.errors import InputError
from ensemble.bank import SplitPosteriors, load_posteriors
from ensemble.committee import Committee
from ensemble.committee_spec import CommitteeNode, resolve_committee
from ensemble.perturbation import fuse_views
from pipelines.atomic import write_json, write_text
from pipelines.bundle import COMMITTEE, POSTERIORS, REPORT, read_json, seal, unseal
from pipelines.console import Console
from pipelines.leaderboard import HEADER, markdown, member_row, rows_of, rule_estimates
from pipelines.workspace import Workspace
from pipelines.yaml_file import read_yaml, write_yaml

__all__ = [
    "Fusion",
    "StoredPosteriors",
    "fuse_committee",
    "fuse_stored",
    "print_table",
    "stored_facts",
    "stored_posteriors",
    "stored_tree",
]

Probs = npt.NDArray[np.float64]

_FEW = 1000


class Fusion:
    """The result of fitting the rules of a committee.

    Attributes:
        committee: The fitted tree.
        posteriors: (N, K) validation probabilities by member, views fused.
        labels: (N,) true class indices.
        rows: The table, under `leaderboard.HEADER`.
    """

    def __init__(
        self, committee: Committee, posteriors: dict[str, Probs], labels: npt.NDArray[np.int64], rows: list[Any]
    ) -> None:
        self.committee, self.posteriors, self.labels, self.rows = committee, posteriors, labels, rows


@dataclass(frozen=True, kw_only=True)
class StoredPosteriors:
    """What the members of a committee say of the validation faces, from the posterior bank.

    Attributes:
        posteriors: (N, K) probabilities by member, views fused.
        labels: (N,) true class indices.
        ids: (N,) names of the faces.
        classes: K class names.
    """

    posteriors: dict[str, Probs]
    labels: npt.NDArray[np.int64]
    ids: npt.NDArray[np.str_]
    classes: tuple[str, ...]


def stored_posteriors(folder: Path, members: Sequence[str]) -> StoredPosteriors:
    """Read the members' posteriors on the validation faces.

    Raises:
        InputError: One is absent or damaged, or is of other faces or classes.
    """
    posteriors: dict[str, Probs] = {}
    first: tuple[SplitPosteriors, tuple[str, ...]] | None = None
    for name in members:
        path = folder / "members" / name / POSTERIORS
        bank = load_posteriors(path)
        split = bank.splits["validation"]
        if split.labels is None:
            raise InputError(f"Expected labelled validation faces in `{path}`, but got none.")
        first = first or (split, bank.classes)
        if bank.classes != first[1] or not np.array_equal(split.ids, first[0].ids):
            raise InputError(f"Expected the same faces and classes from all members, but `{path}` differs.")
        posteriors[name] = fuse_views(split.probs)
    assert first is not None  # a committee has members
    assert first[0].labels is not None
    return StoredPosteriors(posteriors=posteriors, labels=first[0].labels, ids=first[0].ids, classes=first[1])


def fuse_stored(
    folder: Path, node: CommitteeNode, *, seed: int, facts: dict[str, Any], every_rule: bool = True
) -> Fusion:
    """Fit the tree on the posteriors stored in a committee's folder; write committee, report and manifest.

    Args:
        folder: The committee's folder, with every member finished.
        node: The resolved tree.
        seed: Of the folds.
        facts: What else the report says.
        every_rule: Estimate every rule over all members as well, for comparison.
    """
    bank = stored_posteriors(folder, node.members)
    posteriors, labels = bank.posteriors, bank.labels
    specs = {name: read_json(folder / "members" / name / "spec.json") for name in node.members}
    committee = Committee.fit(node, posteriors, labels, seed=seed, classes=bank.classes)
    estimates = rule_estimates(node, posteriors, labels, seed=seed, every_rule=every_rule)
    members = [member_row(specs[name], posteriors[name], labels) for name in node.members]
    rows = rows_of(members, estimates)
    rules = {name: {**asdict(e), "optimism": e.optimism} for name, e in estimates.items()}
    unseal(folder)
    write_json(folder / COMMITTEE, committee.to_json())
    write_json(folder / REPORT, {**facts, "validation_faces": len(labels), "members": members, "rules": rules})
    write_text(folder / "report.md", f"# Committee {folder.name}\n\n{markdown(rows)}")
    seal(folder, members=list(node.members))
    return Fusion(committee, posteriors, labels, rows)


def fuse_committee(committee: str | Path | None, *, rule: str | None = None, quiet: bool = False) -> Path:
    """Refit the rules of a finished committee, e.g. after editing the tree in its `committee.yaml`.

    Args:
        committee: Folder or name; default the newest finished one.
        rule: Fuse all members by this one rule from now on, and estimate no other.
        quiet: Print only the table.

    Returns:
        The committee's folder.

    Raises:
        InputError: There is no such committee or rule, its stored probabilities are damaged, or its tree is wrong.
    """
    console, folder = Console(quiet=quiet), Workspace().find(committee)
    content, node = stored_tree(folder)
    if rule is not None:
        flat: dict[str, tuple[str, ...]] = dict.fromkeys(node.members, ())
        node = resolve_committee({"rule": rule}, flat, "--rule")
        unseal(folder)
        write_yaml(folder / "committee.yaml", {**content, "committee": node.tree()})
    facts = stored_facts(folder)
    fusion = fuse_stored(folder, node, seed=int(content["seed"]), facts=facts, every_rule=rule is None)
    print_table(console, folder, fusion)
    return folder


def stored_tree(folder: Path) -> tuple[dict[str, Any], CommitteeNode]:
    """A committee's YAML, and the tree in it."""
    content = read_yaml(folder / "committee.yaml")
    groups = {m["name"]: m.get("groups", ()) for m in content["members"]}
    return content, resolve_committee(content["committee"], groups)


def stored_facts(folder: Path) -> dict[str, Any]:
    """What a committee's report says beside its numbers."""
    kept = ("name", "data", "device", "notes")
    return {key: value for key, value in read_json(folder / REPORT).items() if key in kept}


def print_table(console: Console, folder: Path, fusion: Fusion) -> None:
    """Print members, rules and committee; warn where there are few faces to tell them apart."""
    count = len(fusion.labels)
    title = f"Committee {folder.name}: {count:,} validation faces"
    console.table(title, HEADER, fusion.rows, strong=len(fusion.rows) - 1)
    if count < _FEW:
        console.note(f"only {count} validation faces: differences below {100 / count**0.5:.0f} points may be luck")
