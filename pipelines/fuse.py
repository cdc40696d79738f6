"""`ensemble fuse`: refits the committee and every rule from the stored probabilities. Loads no network and no torch."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from backbones.errors import InputError
from ensemble.committee import Committee
from ensemble.committee_spec import CommitteeNode, asks_for_groups, group_notes, resolve_committee
from ensemble.grouping import Evidence, traits_of
from pipelines.atomic import sweep, write_json, write_text
from pipelines.bundle import (
    COMMITTEE,
    PAGE,
    REPORT,
    RESOLVED,
    changed_files,
    read_facts,
    read_resolved,
    seal,
    unseal,
)
from pipelines.committee_folder import own_folder
from pipelines.console import Console
from pipelines.leaderboard import HEADER, markdown, member_row, rows_of, rule_estimates
from pipelines.lock import locked
from pipelines.origin import stored_origins
from pipelines.spec_file import read_spec_file
from pipelines.stored_posteriors import StoredPosteriors, save_held_out, stored_posteriors
from pipelines.termination import uninterrupted
from pipelines.yaml_file import write_yaml

__all__ = [
    "Fusion",
    "fuse_committee",
    "fuse_stored",
    "print_table",
    "stored_evidence",
    "stored_tree",
]

_FEW = 1000


class Fusion:
    """The result of fitting the rules of a committee.

    Attributes:
        committee: The fitted tree.
        bank: What its members say, and which faces its rules are fitted on.
        rows: The table, under `leaderboard.HEADER`.
    """

    def __init__(self, committee: Committee, bank: StoredPosteriors, rows: list[Any]) -> None:
        self.committee, self.bank, self.rows = committee, bank, rows


def fuse_stored(
    folder: Path,
    node: CommitteeNode,
    *,
    seed: int,
    facts: dict[str, Any],
    every_rule: bool = True,
    resolved: dict[str, Any] | None = None,
) -> Fusion:
    """Fit the tree on the posteriors stored in a committee's folder; then write committee, report and manifest.

    Until all rules are fitted, nothing in the folder changes.

    Args:
        folder: The committee's folder, with every member finished.
        node: The resolved tree.
        seed: Of the folds.
        facts: What else the report says.
        every_rule: Estimate every rule over all members as well, for comparison.
        resolved: What the committee's YAML says from now on; None leaves it.
    """
    bank = stored_posteriors(folder, node.members)
    posteriors, labels = bank.posteriors, bank.labels
    specs = {name: read_spec_file(folder / "members" / name) for name in node.members}
    committee = bank.fit(node, seed=seed)
    held_out = bank.held_out(committee, seed=seed)
    estimates = rule_estimates(
        node, posteriors, labels, seed=seed, every_rule=every_rule, fit_on=bank.out_of_fold, held_out=held_out
    )
    committee = replace(committee, temperature=estimates["committee"].temperature)  # of faces held out of the fit
    members = [member_row(specs[name], posteriors[name], labels) for name in node.members]
    rows = rows_of(members, estimates)
    rules = {name: {**asdict(e), "optimism": e.optimism} for name, e in estimates.items()}
    with uninterrupted():
        unseal(folder)
        (folder / PAGE).unlink(missing_ok=True)  # it shows other rules
        if resolved is not None:
            write_yaml(folder / RESOLVED, resolved)
        save_held_out(folder, bank, held_out)
        write_json(folder / COMMITTEE, committee.to_json())
        write_json(folder / REPORT, {
            **facts, "validation_faces": len(labels), "basis": bank.basis, "members": members, "rules": rules,
        })  # fmt: skip
        write_text(folder / "report.md", f"# Committee {folder.name}\n\nRules are {bank.basis}.\n\n{markdown(rows)}")
        seal(folder, members=list(node.members))
    return Fusion(committee, bank, rows)


def fuse_committee(
    committee: str | Path | None, *, rule: str | None = None, groups: str | None = None, quiet: bool = False
) -> Path:
    """Refit the rules of a finished committee, e.g. after editing the tree in its `committee.yaml`.

    Args:
        committee: Folder or name; default the newest finished one.
        rule: Fuse all members, or their groups, by this one rule from now on, and estimate no other.
        groups: Group all members by this criterion from now on; the default rule fuses each group.
        quiet: Print only the table.

    Returns:
        The committee's folder.

    Raises:
        InputError: There is no such committee, rule or criterion, the stored probabilities are damaged, or the tree is
            wrong.
    """
    console, folder = Console(quiet=quiet), own_folder(committee)
    with locked(folder):
        fusion = _fuse_again(folder, console, rule=rule, groups=groups)
        if rule is None:
            from pipelines.report import refresh_page

            refresh_page(folder, fusion.bank)
    print_table(console, folder, fusion)
    if rule is not None:  # one rule is fitted in less time than the page takes
        console.note(f"`ensemble report --committee {committee or folder.name}` draws its page")
    return folder


def _fuse_again(folder: Path, console: Console, *, rule: str | None, groups: str | None) -> Fusion:
    sweep(folder)
    if changed_files(folder, [RESOLVED]):
        console.note(f"{RESOLVED} has changed since the committee was finished: it is taken as edited")
    content, node = stored_tree(folder)
    chosen = rule is not None or groups is not None
    if chosen:
        node = _chosen_tree(folder, node.members, rule=rule, groups=groups)
    resolved = None
    if chosen or asks_for_groups(content["committee"]):
        for note in group_notes(node):
            console.note(note)
        resolved = {**content, "committee": node.tree()}
    return fuse_stored(
        folder, node, seed=int(content["seed"]), facts=read_facts(folder), every_rule=rule is None, resolved=resolved
    )


def stored_tree(folder: Path) -> tuple[dict[str, Any], CommitteeNode]:
    """A committee's YAML, and the tree in it.

    Raises:
        InputError: It is absent, says what no committee is, or the tree is wrong.
    """
    content = read_resolved(folder, edited=True)
    groups = {m["name"]: m.get("groups", ()) for m in content["members"]}
    evidence = stored_evidence(folder, tuple(groups)) if asks_for_groups(content["committee"]) else None
    try:
        return content, resolve_committee(content["committee"], groups, evidence=evidence)
    except InputError as error:
        lines = "".join(f"\n  {RESOLVED}: {line}" for line in str(error).splitlines())
        raise InputError(f"Expected `{folder / RESOLVED}` to hold a tree of rules, but it does not:{lines}") from None


def stored_evidence(folder: Path, members: Sequence[str]) -> Evidence:
    """What groups of members can go by: what these were trained from, and their votes on the validation faces."""
    votes = {name: probs.argmax(axis=1) for name, probs in stored_posteriors(folder, members).posteriors.items()}
    return Evidence(traits=traits_of(stored_origins(folder, members)), votes=votes)


def _chosen_tree(folder: Path, members: Sequence[str], *, rule: str | None, groups: str | None) -> CommitteeNode:
    """All members, or their groups, fused by one rule."""
    flat: dict[str, tuple[str, ...]] = dict.fromkeys(members, ())
    tree = {} if rule is None else {"rule": rule}
    try:
        node = resolve_committee(tree, flat, "-")
        if groups is None:
            return node
        return resolve_committee({**tree, "groups": groups}, flat, "-", evidence=stored_evidence(folder, members))
    except InputError as error:  # the keys are options here: "-.rule: …" is "--rule: …"
        raise InputError(re.sub(r"^-\.", "--", str(error), flags=re.MULTILINE)) from None


def print_table(console: Console, folder: Path, fusion: Fusion) -> None:
    """Print members, rules and committee; say what rules are fitted on, and warn where faces are too few for them."""
    bank, count = fusion.bank, len(fusion.bank.labels)
    if bank.note is not None:
        console.note(bank.note)
    about = f"{count:,} validation faces" if bank.out_of_fold is None else bank.basis
    console.table(f"Committee {folder.name}: {about}", HEADER, fusion.rows, strong=len(fusion.rows) - 1)
    if count < _FEW:
        console.note(f"only {count} validation faces: differences below {100 / count**0.5:.0f} points may be luck")
