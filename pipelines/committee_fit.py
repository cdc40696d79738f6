"""`ensemble fit`: trains or resumes every member, fits the committee, tracks it, and leaves a finished bundle."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import torch

from backbones.errors import InputError
from ensemble.committee_spec import CommitteeNode, group_notes, settle_groups
from ensemble.data_spec import DataSpec
from ensemble.outside_spec import BorrowedSpec, OutsideSpec
from ensemble.spec import MemberSpec
from pipelines.atomic import sweep, write_text
from pipelines.borrowed_job import BorrowedJob, borrowed_spec
from pipelines.bundle import PRUNED, RESOLVED, unseal
from pipelines.class_coverage import map_note, require_training_faces
from pipelines.console import Console
from pipelines.device import choose_device, describe_device
from pipelines.face_store import FaceStore, load_faces
from pipelines.fit_listener import FitListener
from pipelines.fit_tracking import FitTracking
from pipelines.folded_job import FoldedJob
from pipelines.fuse import fuse_stored, print_table, stored_evidence
from pipelines.lock import locked
from pipelines.machine import machine_facts
from pipelines.member_damage import put_damaged_aside
from pipelines.member_fit import FitData
from pipelines.member_folder import make_room
from pipelines.member_job import MemberJob, try_building
from pipelines.member_notes import by_note
from pipelines.outside_member import OutsideMember, read_outside
from pipelines.plan import Plan
from pipelines.report import refresh_page
from pipelines.skip_report import SKIPPED
from pipelines.termination import terminable
from pipelines.workforce import run_jobs, worker_count
from pipelines.workspace import Workspace
from pipelines.yaml_file import write_yaml

__all__ = ["fit_committee", "open_data"]


def fit_committee(
    plan: Plan,
    *,
    out: str | Path | None = None,
    device: str | None = None,
    jobs: int | None = None,
    track: bool = True,
    system_metrics: bool | None = None,
    quiet: bool = False,
) -> Path:
    """Train or resume every member of a plan and fit the committee.

    Killed at any moment and called again with the same arguments, it goes on where it was; finished members are not
    touched.

    Args:
        plan: The checked `members.yaml`, from `pipelines.plan.make_plan`.
        out: Folder of the committee; default `mlruns/committees/<name>`.
        device: Torch device; default CUDA where there is one.
        jobs: Members trained at the same time, in a process each; default one per core up to four on a CPU, one on an
            accelerator. With another number, threads round differently and results differ in the last digits.
        track: Whether to log to MLflow.
        system_metrics: Whether to log the machine's load as well; None does what MLflow's environment variable says.
        quiet: Print only the table.

    Returns:
        The committee's folder.

    Raises:
        InputError: Something the user gave is wrong; what was finished before is kept.
    """
    console, workspace = Console(quiet=quiet), Workspace()
    for note in plan.notes:
        console.note(note)
    target = choose_device(device)
    store = open_data(plan.data, workspace, console, device=str(target), fit=True)
    fit_data = FitData(train=store.split("train"), validation=store.split("validation"))
    processes = worker_count(jobs, target.type)
    folder = Path(out) if out is not None else workspace.committees / plan.name
    work = _jobs(plan, store, folder, workspace, target, processes)
    outside = _outside(plan, store, fit_data, console)
    for note in filter(None, (job.note(fit_data) for job in work if isinstance(job, BorrowedJob))):
        console.note(note)
    with locked(folder), terminable():
        sweep(folder)
        _check_buildable(work, processes, plan, console)
        unseal(folder)
        (folder / PRUNED).unlink(missing_ok=True)
        write_yaml(folder / RESOLVED, _resolved(plan))
        _keep_report(store, folder)
        tracking = FitTracking(
            workspace, folder, plan=plan, data=fit_data, console=console, enabled=track, system_metrics=system_metrics
        )
        with tracking:
            _take_in(outside, folder, fit_data, console, tracking)
            _train(work, fit_data, processes, console, tracking)
            _fit_rules(plan, fit_data, folder, target, console, tracking)
    return folder


def open_data(
    spec: DataSpec, workspace: Workspace, console: Console, *, device: str | None = None, fit: bool = False
) -> FaceStore:
    """Decode the faces of a data spec, or open them from the cache, with a progress bar.

    Args:
        spec: Where they come from, and whether they are aligned.
        workspace: Holds the cache.
        console: Told how many faces there are, and how many images had none to align.
        device: Where faces to align are looked for.
        fit: Whether members are trained on them: then every class that `classes` leaves needs training faces.

    Raises:
        InputError: The data cannot be read, or is unfit.
    """
    with console.bar("reading faces" if spec.align is None else "finding and aligning faces", 1) as bar:
        store = load_faces(
            spec.source,
            reader=spec.reader,
            options=spec.options,
            votes=None if spec.votes is None else Path(spec.votes),
            align=spec.align,
            classes=spec.classes,
            on_bad=spec.on_bad,
            cache=workspace.cache,
            device=device,
            progress=bar.set,
        )
    counts = ", ".join(f"{name} {count:,}" for name, count in store.counts.items())
    console.note(f"{spec.source}: {counts} faces of {len(store.classes)} classes, digest {store.digest[:12]}")
    if spec.align is not None and store.excluded is not None:
        lost = ", ".join(f"{store.excluded[s]:,} of {store.excluded[s] + n:,} {s}" for s, n in store.counts.items())
        console.note(f"aligned to {spec.align.template} at {store.size} px; left out, no face found: {lost} images")
    if store.skipped:
        console.note(f"{store.skipped:,} left out, which cannot be read: {store.folder / SKIPPED}")
    if spec.classes:
        console.note(map_note(store, spec.classes))
    if spec.classes and fit:
        require_training_faces(store, spec.classes)
    if spec.dedupe:
        from pipelines.dedupe import without_twins

        store = without_twins(store, console)
    return store


def _keep_report(store: FaceStore, folder: Path) -> None:
    """Put what was left out of the data beside the committee."""
    if store.skipped:
        write_text(folder / SKIPPED, (store.folder / SKIPPED).read_text(encoding="utf-8"))
    else:
        (folder / SKIPPED).unlink(missing_ok=True)


def _resolved(plan: Plan) -> dict[str, Any]:
    """The plan with every default spelled out."""
    return {
        "name": plan.name,
        "data": _absolute(plan.data.model_dump(mode="json", exclude_none=True)),
        "views": plan.views,
        "seed": plan.seed,
        "members": [m.model_dump(mode="json", exclude_none=True) for m in (*plan.members, *plan.outside)],
        "committee": plan.tree(),
    }


def _absolute(data: dict[str, Any]) -> dict[str, Any]:
    """The data spec with absolute paths, so that the committee finds its faces from any working directory."""
    paths = [key for key in ("source", "votes") if key in data and data[key] != "synthetic"]
    return {**data, **{key: str(Path(data[key]).resolve()) for key in paths}}


def _jobs(
    plan: Plan, store: FaceStore, folder: Path, workspace: Workspace, device: torch.device, processes: int
) -> list[MemberJob]:
    threads = max(1, (os.cpu_count() or 1) // processes)

    def job(kind: type[MemberJob], spec: MemberSpec, **more: Any) -> MemberJob:
        return kind(
            spec=spec, weights=plan.weights.get(spec.name), store=store, folder=folder / "members" / spec.name,
            cache=workspace.cache, device=str(device), threads=threads, views=plan.views, seed=plan.seed, **more,
        )  # fmt: skip

    borrowed = [(loan, plan.places[loan.name]) for loan in plan.outside if isinstance(loan, BorrowedSpec)]
    return [
        *(job(MemberJob if spec.folds is None else FoldedJob, spec) for spec in plan.members),
        *(job(BorrowedJob, borrowed_spec(loan, source), loan=loan, source=source) for loan, source in borrowed),
    ]


def _outside(plan: Plan, store: FaceStore, data: FitData, console: Console) -> list[OutsideMember]:
    """Match the probabilities of members without a network to the validation faces."""
    specs = [spec for spec in plan.outside if isinstance(spec, OutsideSpec)]
    members = [read_outside(spec, plan.places[spec.name], store, data.validation) for spec in specs]
    for note in filter(None, (member.note() for member in members)):
        console.note(note)
    return members


def _take_in(
    members: Sequence[OutsideMember], folder: Path, data: FitData, console: Console, tracking: FitTracking
) -> None:
    """Store and log the members without a network; those taken in before are kept as they are."""
    for member in members:
        name, own = member.spec.name, folder / "members" / member.spec.name
        own.parent.mkdir(parents=True, exist_ok=True)
        _mend(name, own, console)
        make_room(own, member.fingerprint(data))
        tracking.member(member.spec)
        if member.is_done(own, data):
            console.note(f"{name}: taken in before, kept")
        else:
            member.write(own, data)
            console.note(f"{name}: taken from {member.spec.posteriors.file}")
        tracking.finish_member(name)


def _check_buildable(jobs: Sequence[MemberJob], processes: int, plan: Plan, console: Console) -> None:
    """Build every member once, so that no mistake shows up hours into the fit. All problems are told at once."""
    if processes == 1 or not jobs:
        problems, notes = try_building(jobs, plan.data.align)
    else:  # in a process of its own: the libraries and networks of all members would stay in this one's memory
        with ProcessPoolExecutor(max_workers=1, mp_context=multiprocessing.get_context("spawn")) as pool:
            problems, notes = pool.submit(try_building, jobs, plan.data.align).result()
    if problems:
        raise InputError("\n".join(problems))
    trained = {spec.name for spec in plan.members}
    for line in by_note((name, note) for name, note in notes if name in trained):
        console.note(line)


def _mend(name: str, folder: Path, console: Console) -> None:
    """Tell what is damaged in a member's folder, and put it aside."""
    for note in put_damaged_aside(folder):
        console.note(f"{name}: {note}")


def _train(jobs: Sequence[MemberJob], data: FitData, processes: int, console: Console, tracking: FitTracking) -> None:
    """Bring every member to its end and log it; finished ones are kept as they are."""
    unfinished = []
    for job in jobs:
        job.folder.parent.mkdir(parents=True, exist_ok=True)
        _mend(job.spec.name, job.folder, console)
        make_room(job.folder, job.fingerprint(data))
        tracking.member(job.spec)
        if job.is_done():
            console.note(f"{job.spec.name}: finished before, kept")
            tracking.finish_member(job.spec.name)
        else:
            unfinished.append(job)
    with console.bars() as bars:
        run_jobs(unfinished, processes=processes, listen=FitListener(unfinished, bars, console, tracking))


def _fit_rules(
    plan: Plan, data: FitData, folder: Path, device: torch.device, console: Console, tracking: FitTracking
) -> None:
    """Fit the committee on the stored posteriors, write its files, print the table, log it."""
    node = _settled(plan, folder)
    notes = [note for note in group_notes(node) if note not in plan.notes]
    for note in notes:
        console.note(note)
    facts = {
        "name": plan.name,
        "data": {"source": plan.data.source, "digest": data.digest},
        "device": describe_device(device),
        "environment": machine_facts(),
        "notes": [*plan.notes, *notes],
    }
    fusion = fuse_stored(folder, node, seed=plan.seed, facts=facts)
    refresh_page(folder, fusion.bank, faces=data.validation)
    tracking.finish()
    print_table(console, folder, fusion)
    console.note(f"committee: {folder}")


def _settled(plan: Plan, folder: Path) -> CommitteeNode:
    """The plan's tree; groups that only the members' answers can tell are found, and shown in `committee.yaml`."""
    if plan.committee.settled:
        return plan.committee
    node = settle_groups(plan.committee, stored_evidence(folder, plan.committee.members))
    write_yaml(folder / RESOLVED, {**_resolved(plan), "committee": node.tree()})
    return node
