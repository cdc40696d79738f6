"""`ensemble fit`: trains or resumes every member, fits the committee, tracks it, and leaves a finished bundle."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from backbones.errors import InputError
from ensemble.committee_spec import CommitteeNode, group_notes, settle_groups
from ensemble.outside_spec import BorrowedSpec, OutsideSpec
from ensemble.spec import MemberSpec
from pipelines.atomic import sweep, write_text
from pipelines.borrowed_job import BorrowedJob, borrowed_spec
from pipelines.bundle import RESOLVED, unseal
from pipelines.console import Console
from pipelines.data_opening import open_data
from pipelines.environment import core_count
from pipelines.face_store import FaceStore
from pipelines.fit_data import FitData
from pipelines.fit_listener import FitListener
from pipelines.fit_tracking import FitTracking
from pipelines.folded_job import FoldedJob
from pipelines.fuse import fuse_stored, print_table, stored_evidence
from pipelines.lock import locked
from pipelines.member_damage import put_damaged_aside
from pipelines.member_folder import make_room
from pipelines.member_job import MemberJob
from pipelines.outside_member import OutsideMember, read_outside
from pipelines.plan import Plan
from pipelines.report import refresh_page
from pipelines.skip_report import SKIPPED
from pipelines.survey import Survey, by_note, survey_jobs
from pipelines.target import Target, find_target
from pipelines.teacher_plan import teacher_note
from pipelines.termination import terminable
from pipelines.worker_process import run_aside
from pipelines.workforce import run_jobs, worker_count
from pipelines.workspace import PRUNED, Workspace
from pipelines.yaml_file import write_yaml

__all__ = ["fit_committee"]


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
    target = find_target(device) if worker_count(jobs) == 1 else run_aside(find_target, device)
    store = open_data(plan.data, workspace, console, device=target.device, fit=True)
    fit_data = FitData(train=store.split("train"), validation=store.split("validation"))
    processes = worker_count(jobs, target.kind)
    folder = Path(out) if out is not None else workspace.committees / plan.name
    work = _jobs(plan, store, folder, workspace, target, processes)
    outside = _outside(plan, store, fit_data, console)
    for note in filter(None, (job.note(fit_data) for job in work if isinstance(job, BorrowedJob))):
        console.note(note)
    for note in filter(None, (teacher_note(spec, fit_data) for spec in plan.members)):
        console.note(note)
    with locked(folder), terminable():
        sweep(folder)
        survey = _check_buildable(work, processes, plan, console)
        unseal(folder)
        (folder / PRUNED).unlink(missing_ok=True)
        write_yaml(folder / RESOLVED, _resolved(plan))
        _keep_report(store, folder)
        tracking = FitTracking(
            workspace, folder, plan=plan, data=fit_data, console=console, enabled=track, system_metrics=system_metrics
        )
        with tracking:
            _take_in(outside, folder, fit_data, console, tracking)
            _train(work, survey.fingerprints, processes, console, tracking)
            _fit_rules(plan, fit_data, folder, target, console, tracking)
    return folder


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
    plan: Plan, store: FaceStore, folder: Path, workspace: Workspace, target: Target, processes: int
) -> list[MemberJob]:
    threads = max(1, core_count() // processes)

    def job(kind: type[MemberJob], spec: MemberSpec, **more: Any) -> MemberJob:
        return kind(
            spec=spec, weights=plan.weights.get(spec.name), store=store, folder=folder / "members" / spec.name,
            cache=workspace.cache, device=target.device, threads=threads, views=plan.views, seed=plan.seed, **more,
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


def _check_buildable(jobs: Sequence[MemberJob], processes: int, plan: Plan, console: Console) -> Survey:
    """Build every member once, so that no mistake shows up hours into the fit. All problems are told at once."""
    align = plan.data.align
    survey = run_aside(survey_jobs, jobs, align) if jobs and processes > 1 else survey_jobs(jobs, align)
    if survey.problems:
        raise InputError("\n".join(survey.problems))
    trained = {spec.name for spec in plan.members}
    for line in by_note((name, note) for name, note in survey.notes if name in trained):
        console.note(line)
    return survey


def _mend(name: str, folder: Path, console: Console) -> None:
    """Tell what is damaged in a member's folder, and put it aside."""
    for note in put_damaged_aside(folder):
        console.note(f"{name}: {note}")


def _train(
    jobs: Sequence[MemberJob], fingerprints: Mapping[str, str], processes: int, console: Console, tracking: FitTracking
) -> None:
    """Bring every member to its end and log it; finished ones are kept as they are."""
    unfinished = []
    for job in jobs:
        job.folder.parent.mkdir(parents=True, exist_ok=True)
        _mend(job.spec.name, job.folder, console)
        make_room(job.folder, fingerprints[job.spec.name])
        tracking.member(job.spec)
        if job.is_done(fingerprints[job.spec.name]):
            console.note(f"{job.spec.name}: finished before, kept")
            tracking.finish_member(job.spec.name)
        else:
            unfinished.append(job)
    with console.bars() as bars:
        run_jobs(unfinished, processes=processes, listen=FitListener(unfinished, bars, console, tracking))


def _fit_rules(
    plan: Plan, data: FitData, folder: Path, target: Target, console: Console, tracking: FitTracking
) -> None:
    """Fit the committee on the stored posteriors, write its files, print the table, log it."""
    node = _settled(plan, folder)
    notes = [note for note in group_notes(node) if note not in plan.notes]
    for note in notes:
        console.note(note)
    facts = {
        "name": plan.name,
        "data": {"source": plan.data.source, "digest": data.digest},
        "device": target.description,
        "environment": target.environment,
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
