"""`ensemble fuse --prune` and `--budget-ms`: a smaller or cheaper committee out of a finished one."""

from __future__ import annotations

import shutil
from pathlib import Path

from ensemble.ablation import pruned
from ensemble.estimate import OutOfFold
from pipelines.atomic import write_json
from pipelines.bundle import RESOLVED, read_facts, unseal
from pipelines.committee_folder import find_committee
from pipelines.console import Console
from pipelines.fuse import fuse_stored, print_table, stored_tree
from pipelines.lock import locked
from pipelines.output_place import check_derived, whole_or_gone
from pipelines.report import refresh_page
from pipelines.stored_posteriors import stored_posteriors
from pipelines.workspace import PRUNED
from pipelines.yaml_file import write_yaml

__all__ = ["prune_committee"]


def prune_committee(
    committee: str | Path | None,
    *,
    count: int | None = None,
    budget_ms: float | None = None,
    out: Path | None = None,
    device: str | None = None,
    quiet: bool = False,
) -> Path:
    """Leave out the members that a committee misses least, and seal what is left as a committee of its own.

    The members' folders are copied, the first committee stays as it is.

    Args:
        committee: Folder, name or MLflow run; default the newest finished one.
        count: Most members that stay.
        budget_ms: Most milliseconds per face and view that they may take together, measured on this machine.
        out: Folder of the smaller committee; default the first one's name with `-pruned`.
        device: Torch device that the cost is measured on.
        quiet: Print only the tables.

    Returns:
        The smaller committee's folder.

    Raises:
        InputError: There is no such committee, no room for any member, or another committee lies in `out`.
    """
    console, folder = Console(quiet=quiet), find_committee(committee)
    target = out or folder.with_name(f"{folder.name}-pruned")
    check_derived(target, folder, mark=PRUNED)
    content, node = stored_tree(folder)
    bank = stored_posteriors(folder, node.members)
    costs = None if budget_ms is None else _costs(folder, node.members, device, console)
    # Where there are out-of-fold posteriors the choice is made on them, so that the validation faces stay held out.
    chosen_on = bank.out_of_fold or OutOfFold(posteriors=bank.posteriors, labels=bank.labels)
    smaller, steps = pruned(
        node, chosen_on.posteriors, chosen_on.labels, count=count, budget=budget_ms, costs=costs,
        seed=int(content["seed"]),
    )  # fmt: skip
    rows = [
        (step.member, str(len(step.members)), f"{step.accuracy:.4f}", f"{step.nll:.4f}", *_total(step.members, costs))
        for step in steps
    ]
    header = ("left out", "members", "nested", "nll", *(("ms",) if costs else ()))
    console.table(f"Committee {folder.name}: {len(node.members)} members", header, rows)
    with locked(target), whole_or_gone(target):
        check_derived(target, folder, mark=PRUNED)  # a fit may have gone there meanwhile
        unseal(target)
        write_json(target / PRUNED, {"committee": folder.name})
        for name in smaller.members:
            if (target / "members" / name).exists():  # an earlier one may have had more copies
                shutil.rmtree(target / "members" / name)
            shutil.copytree(folder / "members" / name, target / "members" / name)
        members = [m for m in content["members"] if m["name"] in smaller.members]
        write_yaml(target / RESOLVED, {**content, "name": target.name, "members": members, "committee": smaller.tree()})
        facts = {**read_facts(folder), "name": target.name}
        fusion = fuse_stored(target, smaller, seed=int(content["seed"]), facts=facts)
        refresh_page(target, fusion.bank)
    print_table(console, target, fusion)
    console.note(f"committee: {target}")
    return target


def _costs(folder: Path, members: tuple[str, ...], device: str | None, console: Console) -> dict[str, float]:
    from pipelines.cost import member_cost

    costs = {}
    with console.bar("timing members", len(members)) as bar:
        for name in members:
            costs[name] = member_cost(folder / "members" / name, device=device)
            bar.advance(1)
    return costs


def _total(members: tuple[str, ...], costs: dict[str, float] | None) -> tuple[str, ...]:
    return () if costs is None else (f"{sum(costs[name] for name in members):.3g}",)
