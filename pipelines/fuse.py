"""`ensemble fuse`: refits the committee and every rule from the stored probabilities. Loads no network and no torch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from backbones.errors import InputError
from ensemble.bank import load_posteriors
from ensemble.committee import Committee
from ensemble.committee_spec import CommitteeNode, resolve_committee
from ensemble.perturbation import fuse_views
from pipelines.atomic import write_json, write_text
from pipelines.bundle import COMMITTEE, POSTERIORS, REPORT, read_json, seal, unseal
from pipelines.console import Console
from pipelines.leaderboard import HEADER, markdown, member_row, rows_of, rule_estimates
from pipelines.workspace import Workspace
from pipelines.yaml_file import read_yaml

__all__ = ["Fusion", "fuse_committee", "fuse_stored"]

Probs = npt.NDArray[np.float64]


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


def fuse_stored(folder: Path, node: CommitteeNode, *, seed: int, facts: dict[str, Any]) -> Fusion:
    """Fit the tree on the posteriors stored in a committee's folder; write committee, report and manifest.

    Args:
        folder: The committee's folder, with every member finished.
        node: The resolved tree.
        seed: Of the folds.
        facts: What else the report says.
    """
    posteriors: dict[str, Probs] = {}
    specs: dict[str, Any] = {}
    labels, reference = np.empty(0, np.int64), None
    classes: tuple[str, ...] = ()
    for name in node.members:
        own = folder / "members" / name
        bank = load_posteriors(own / POSTERIORS)
        split = bank.splits["validation"]
        if split.labels is None:
            raise InputError(f"Expected labelled validation faces in `{own / POSTERIORS}`, but got none.")
        reference = split.ids if reference is None else reference
        if bank.classes != (classes or bank.classes) or not np.array_equal(split.ids, reference):
            raise InputError(f"Expected the same faces and classes from all members, but `{own / POSTERIORS}` differs.")
        labels, classes = split.labels, bank.classes
        posteriors[name] = fuse_views(split.probs)
        specs[name] = read_json(own / "spec.json")
    committee = Committee.fit(node, posteriors, labels, seed=seed, classes=classes)
    estimates = rule_estimates(node, posteriors, labels, seed=seed)
    members = [member_row(specs[name], posteriors[name], labels) for name in node.members]
    rows = rows_of(members, estimates)
    rules = {name: {**vars(e), "optimism": e.optimism} for name, e in estimates.items()}
    unseal(folder)
    write_json(folder / COMMITTEE, committee.to_json())
    write_json(folder / REPORT, {**facts, "validation_faces": len(labels), "members": members, "rules": rules})
    write_text(folder / "report.md", f"# Committee {folder.name}\n\n{markdown(rows)}")
    seal(folder, members=list(node.members))
    return Fusion(committee, posteriors, labels, rows)


def fuse_committee(committee: str | Path | None, *, quiet: bool = False) -> Path:
    """Refit the rules of a finished committee, e.g. after editing the tree in its `committee.yaml`.

    Args:
        committee: Folder or name; default the newest finished one.
        quiet: Print only the table.

    Returns:
        The committee's folder.

    Raises:
        InputError: There is no such committee, its stored probabilities are damaged, or its tree is wrong.
    """
    console, folder = Console(quiet=quiet), Workspace().find(committee)
    content = read_yaml(folder / "committee.yaml")
    groups = {m["name"]: m.get("groups", ()) for m in content["members"]}
    node = resolve_committee(content["committee"], groups)
    kept = ("name", "data", "device", "notes")
    facts = {key: value for key, value in read_json(folder / REPORT).items() if key in kept}
    fusion = fuse_stored(folder, node, seed=int(content["seed"]), facts=facts)
    count = len(fusion.labels)
    console.table(
        f"Committee {folder.name}: {count:,} validation faces", HEADER, fusion.rows, strong=len(fusion.rows) - 1
    )
    return folder
