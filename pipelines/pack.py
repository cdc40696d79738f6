"""`ensemble pack`: a committee small enough to be handed on: half-precision weights, no posteriors, a model card.

What the card says is measured on the weights that are in the pack: after they are rounded, the members judge the
validation faces anew, and the rules are fitted again.
"""

from __future__ import annotations

import math
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from backbones.errors import InputError
from ensemble.ablation import pruned
from ensemble.bank import SplitPosteriors, load_posteriors, save_posteriors
from ensemble.committee_spec import CommitteeNode
from ensemble.faces import Faces
from ensemble.perturbation import PerturbationPlan
from pipelines.atomic import write_checked_json, write_text
from pipelines.bundle import (
    COMMITTEE,
    HELD_OUT,
    HISTORY,
    POSTERIORS,
    REPORT,
    RESOLVED,
    SPEC,
    WEIGHTS,
    read_facts,
    read_json,
    seal,
    unseal,
)
from pipelines.checkpoint import load_tensors, save_tensors
from pipelines.committee_folder import find_committee
from pipelines.console import Console
from pipelines.data_opening import open_faces_of_fit
from pipelines.device import choose_device
from pipelines.fingerprint import digest_file
from pipelines.folded_member import load_member
from pipelines.fuse import fuse_stored, print_table, stored_tree
from pipelines.half_precision import half_size, in_half_precision
from pipelines.lock import LOCK, locked
from pipelines.member_folder import network_folders
from pipelines.model_card import CARD, model_card
from pipelines.output_place import check_derived, whole_or_gone
from pipelines.spec_file import read_spec_file
from pipelines.stored_answers import stored_answers
from pipelines.stored_posteriors import stored_posteriors
from pipelines.views import view_probabilities
from pipelines.workspace import PACK, Workspace
from pipelines.yaml_file import write_yaml

__all__ = ["pack_committee"]

_MIB = 1 << 20
_BESIDE = 64 * 1024
"""Room for everything but weights."""

_PLACES = ("committee", "file", "folder", "run", "votes")
"""Keys of what lies on this machine: teachers, weights, posteriors, earlier committees, votes."""


def pack_committee(
    committee: str | Path | None = None,
    *,
    out: Path | None = None,
    mebibytes: float = 12.0,
    data: str | None = None,
    device: str | None = None,
    quiet: bool = False,
) -> Path:
    """Make a committee small: leave members out until it fits, round weights to half precision, describe the rest.

    Args:
        committee: Folder, name or MLflow run; default the newest finished one.
        out: Folder of the pack; default the committee's name with `-pack`.
        mebibytes: Most that the pack may take on disk.
        data: The faces that the committee was fitted on, where they lie elsewhere now.
        device: Torch device.
        quiet: Print only the table.

    Returns:
        The pack's folder: a finished committee.

    Raises:
        InputError: No member fits, one has no network, the faces are not those of the fit, or something else is in
            `out`.
    """
    if not (math.isfinite(mebibytes) and mebibytes > 0):
        raise InputError(f"Expected `--mib` to be above 0, but got {mebibytes:g}.")
    console, folder = Console(quiet=quiet), find_committee(committee)
    target = out or folder.with_name(f"{folder.name}-pack")
    check_derived(target, folder, mark=PACK)
    content, node = stored_tree(folder)
    node = _within(folder, node, mebibytes, seed=int(content["seed"]), console=console)
    validation = open_faces_of_fit(folder, Workspace(), console, source=data).split("validation")
    with locked(target), whole_or_gone(target):
        unseal(target)
        shutil.rmtree(target / "members", ignore_errors=True)
        write_checked_json(target / PACK, {"committee": folder.name})
        members = [_plain(member) for member in content["members"] if member["name"] in node.members]
        source = {**_plain(content["data"]), "source": Path(str(content["data"]["source"])).name}
        write_yaml(
            target / RESOLVED,
            {**content, "name": target.name, "data": source, "members": members, "committee": node.tree()},
        )
        with console.bar("packing", len(members)) as bar:
            for member in members:
                _pack_member(folder, target, str(member["name"]), validation, content, device)
                bar.advance(1)
        facts = {**read_facts(folder), "name": target.name}
        facts["data"] = {**facts["data"], "source": source["source"]}
        fusion = fuse_stored(target, node, seed=int(content["seed"]), facts=facts, every_rule=False)
        _describe(target, node, content)
        _leave_out(target)
        size = sum(path.stat().st_size for path in target.rglob("*") if path.is_file())
        if size > mebibytes * _MIB:
            raise InputError(f"Expected `{target}` to fit into {mebibytes:g} MiB, but it takes {size / _MIB:.2f}.")
        seal(target, members=list(node.members))
        (target / LOCK).unlink(missing_ok=True)  # it names this machine
    print_table(console, target, fusion)
    console.result(f"{target}: {size / _MIB:.2f} MiB, {len(node.members)} member(s); {CARD} describes it")
    return target


def _within(folder: Path, node: CommitteeNode, mebibytes: float, *, seed: int, console: Console) -> CommitteeNode:
    """The tree of the members that fit."""
    silent = [name for name in node.members if not _weights(folder / "members" / name)]
    if silent:
        raise InputError(
            f"Expected a network for every member, but the outside members have none: {', '.join(silent)}. "
            f"Fit a committee without them."
        )
    sizes = {name: half_size(_weights(folder / "members" / name)) for name in node.members}
    room = mebibytes * _MIB - _BESIDE
    if sum(sizes.values()) <= room:
        return node
    bank = stored_posteriors(folder, node.members)
    judged = (
        (bank.out_of_fold.posteriors, bank.out_of_fold.labels) if bank.out_of_fold else (bank.posteriors, bank.labels)
    )
    smaller, steps = pruned(node, *judged, budget=room / _MIB, costs={n: s / _MIB for n, s in sizes.items()}, seed=seed)
    for step in steps:
        console.note(
            f"{step.member} is left out: {sizes[step.member] / _MIB:.2f} MiB, nested {step.accuracy:.4f} without"
        )
    return smaller


def _weights(place: Path) -> list[Path]:
    return [path for path in (own / WEIGHTS for own in network_folders(place, read_spec_file(place))) if path.is_file()]


def _pack_member(
    folder: Path, target: Path, name: str, validation: Faces, content: Mapping[str, Any], device: str | None
) -> None:
    """Copy a member with its weights rounded, and let it judge the validation faces."""
    source, place, seed = folder / "members" / name, target / "members" / name, int(content["seed"])
    spec = read_spec_file(source)
    for own in {source, *network_folders(source, spec)}:
        copy = place / own.relative_to(source)
        facts = {**read_json(own / SPEC), "weights_precision": "float16"}
        facts = {key: value for key, value in facts.items() if key not in ("weights_sha256", "history_sha256")}
        facts |= {key: _plain(facts[key]) for key in ("spec", "lender") if key in facts}
        copy.mkdir(parents=True, exist_ok=True)
        if (own / WEIGHTS).is_file():
            tensors, metadata = load_tensors(own / WEIGHTS)
            halved = {key: in_half_precision(key, value) for key, value in tensors.items()}
            save_tensors(copy / WEIGHTS, halved, metadata)
            facts["weights_sha256"] = digest_file(copy / WEIGHTS)
        write_checked_json(copy / SPEC, facts)
    member = load_member(place, device=choose_device(device))
    probs = view_probabilities(
        member, validation.images, [str(i) for i in validation.ids], plan=PerturbationPlan(seed=seed),
        views=int(content["views"]),
    )  # fmt: skip
    splits = {"validation": SplitPosteriors(ids=validation.ids, probs=probs, labels=validation.labels)}
    stored = load_posteriors(source / POSTERIORS).splits if (source / POSTERIORS).is_file() else {}
    if "train" in stored:  # out of fold, so by copies that are no part of the mean: what rules are to be fitted on
        splits["train"] = stored["train"]
    save_posteriors(
        place / POSTERIORS, classes=validation.classes, ids={name: split.ids for name, split in splits.items()},
        probs={name: split.probs for name, split in splits.items()},
        labels={name: split.labels for name, split in splits.items() if split.labels is not None}, views_seed=seed,
    )  # fmt: skip


def _plain(content: Any) -> Any:
    """Specs, or what tells of a lender, with names alone in the place of paths on this machine."""
    if isinstance(content, list):
        return [_plain(part) for part in content]
    if not isinstance(content, Mapping):
        return content
    return {
        key: Path(value).name if key in _PLACES and isinstance(value, str) else _plain(value)
        for key, value in content.items()
    }


def _describe(target: Path, node: CommitteeNode, content: Mapping[str, Any]) -> None:
    specs = {name: read_spec_file(target / "members" / name) for name in node.members}
    answers = stored_answers(target, seed=int(content["seed"]))
    report, tree = read_json(target / REPORT), read_json(target / COMMITTEE)["committee"]
    write_text(target / CARD, model_card(target.name, content, specs, report, tree, answers))


def _leave_out(target: Path) -> None:
    """Remove what predicting does not need."""
    for name in (POSTERIORS, HISTORY, HELD_OUT):
        for path in target.rglob(name):
            path.unlink()
