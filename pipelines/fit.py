"""`ensemble fit`: trains or resumes every member, fits the committee, tracks it, and leaves a finished bundle."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from backbones.errors import InputError
from ensemble.bank import Posteriors, load_posteriors, save_posteriors
from ensemble.canonical import digest_of
from ensemble.committee import Committee
from ensemble.perturbation import PerturbationPlan, fuse_views
from ensemble.spec import MemberSpec
from pipelines.atomic import write_json, write_text
from pipelines.bundle import COMMITTEE, REPORT, read_json, seal, unseal
from pipelines.checkpoint import Progress
from pipelines.console import Bar, Console
from pipelines.device import choose_device, describe_device
from pipelines.face_store import FaceStore, load_faces
from pipelines.fit_tracking import FitTracking
from pipelines.leaderboard import HEADER, markdown, member_row, rows_of, rule_estimates
from pipelines.lock import locked
from pipelines.member import Member, read_spec_file
from pipelines.member_fit import FitData, fit_member, is_finished, make_room, member_fingerprint
from pipelines.plan import Plan, make_plan
from pipelines.trainer import Watcher
from pipelines.views import view_probabilities
from pipelines.workspace import Workspace
from pipelines.yaml_file import write_yaml

__all__ = ["fit_committee", "open_data"]

POSTERIORS = "posteriors.npz"


def fit_committee(
    members: str | Path,
    *,
    data: str | Path | None = None,
    out: str | Path | None = None,
    device: str | None = None,
    weights: Sequence[str | Path] = (),
    track: bool = True,
    quiet: bool = False,
) -> Path:
    """Train or resume every member of a `members.yaml` and fit the committee.

    Killed at any moment and called again with the same arguments, it goes on where it was; finished members are not
    touched.

    Args:
        members: The YAML file.
        data: Overrides its data source.
        out: Folder of the committee; default `mlruns/committees/<name>`.
        device: Torch device; default CUDA where there is one.
        weights: Folders searched first for weights files.
        track: Whether to log to MLflow.
        quiet: Print only the table.

    Returns:
        The committee's folder.

    Raises:
        InputError: Something the user gave is wrong; what was finished before is kept.
    """
    console, workspace = Console(quiet=quiet), Workspace()
    plan = make_plan(
        Path(members), data=None if data is None else str(data), weights_folders=[Path(w) for w in weights]
    )
    for note in plan.notes:
        console.note(note)
    store = open_data(plan.data, workspace, console)
    fit_data = FitData(train=store.split("train"), validation=store.split("validation"))
    target = choose_device(device)
    folder = Path(out) if out is not None else workspace.committees / plan.name
    with locked(folder), _terminable():
        _check_buildable(plan, fit_data, target)
        unseal(folder)
        write_yaml(folder / "committee.yaml", _resolved(plan))
        tracking = FitTracking(workspace, folder, plan=plan, data=fit_data, console=console, enabled=track)
        with tracking:
            for spec in plan.members:
                _fit_one(spec, plan, fit_data, folder, workspace, target, console, tracking)
            _fit_rules(plan, fit_data, folder, target, console, tracking)
    return folder


def open_data(spec: Any, workspace: Workspace, console: Console) -> FaceStore:
    """Decode the faces of a data spec, or open them from the cache, with a progress bar."""
    with console.bar("reading faces", 1) as bar:
        store = load_faces(
            spec.source,
            reader=spec.reader,
            options=spec.options,
            votes=None if spec.votes is None else Path(spec.votes),
            cache=workspace.cache,
            progress=bar.set,
        )
    counts = ", ".join(f"{name} {count:,}" for name, count in store.counts.items())
    console.note(f"{spec.source}: {counts} faces of {len(store.classes)} classes, digest {store.digest[:12]}")
    return store


def _resolved(plan: Plan) -> dict[str, Any]:
    """The plan with every default spelled out."""
    return {
        "name": plan.name,
        "data": {**plan.data.model_dump(mode="json", exclude_none=True)},
        "views": plan.views,
        "seed": plan.seed,
        "members": [m.model_dump(mode="json", exclude_none=True) for m in plan.members],
        "committee": plan.tree(),
    }


@contextmanager
def _terminable() -> Iterator[None]:
    """SIGTERM ends the fit the way Ctrl-C does: runs are marked, locks are released."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(number: int, frame: Any) -> None:
        raise KeyboardInterrupt

    previous = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)


def _check_buildable(plan: Plan, data: FitData, device: torch.device) -> None:
    """Build every member once, so that no mistake shows up hours into the fit. All problems are told at once."""
    problems = []
    for spec in plan.members:
        try:
            _build(spec, plan, data, device)
        except InputError as error:
            problems.append(str(error))
    if problems:
        raise InputError("\n".join(problems))


def _build(spec: MemberSpec, plan: Plan, data: FitData, device: torch.device) -> Member:
    from pipelines.augmentation import Augmentation

    Augmentation(spec.augment)
    data.train.targets(use_votes=spec.targets == "votes")
    return Member.build(
        spec,
        classes=data.train.classes,
        face_size=data.train.size,
        face_channels=data.train.channels,
        device=device,
        weights=plan.weights.get(spec.name),
    )


class _Shown(Watcher):
    """Shows a member's epochs and hands them to the tracker."""

    def __init__(self, name: str, epochs: int, bar: Bar, console: Console, tracking: FitTracking) -> None:
        self.name, self.epochs, self.bar, self.console, self.tracking = name, epochs, bar, console, tracking
        self.done = 0

    def batch(self, done: int, total: int) -> None:
        self.bar.set(self.done * total + done, self.epochs * total)

    def epoch(self, progress: Progress) -> None:
        self.done = progress.epoch
        last = progress.history[-1]
        left = progress.seconds / progress.epoch * (self.epochs - progress.epoch)
        text = (
            f"{self.name}: epoch {progress.epoch}/{self.epochs}  train loss {last['train_loss']:.4f}  "
            f"validation accuracy {last['validation_accuracy']:.4f}, nll {last['validation_nll']:.4f}"
        )
        self.bar.label(text)
        self.console.step(f"{text}  {last['seconds']:.1f} s, about {left:.0f} s left")
        self.tracking.epochs(self.name, progress.history)


def _fit_one(
    spec: MemberSpec,
    plan: Plan,
    data: FitData,
    folder: Path,
    workspace: Workspace,
    device: torch.device,
    console: Console,
    tracking: FitTracking,
) -> None:
    """Bring one member to its end: trained, and its posteriors stored."""
    own = folder / "members" / spec.name
    fingerprint = member_fingerprint(spec, data)
    own.parent.mkdir(parents=True, exist_ok=True)
    make_room(own, fingerprint)
    tracking.member(spec)
    if is_finished(own, fingerprint):
        console.note(f"{spec.name}: finished before, kept")
    else:
        member = _build(spec, plan, data, device)
        console.step(f"{spec.name}: {member.parameters:,} parameters on {describe_device(device)}")
        with console.bar(spec.name, spec.epochs) as bar:
            watcher = _Shown(spec.name, spec.epochs, bar, console, tracking)
            fit_member(member, data, folder=own, cache=workspace.cache, watcher=watcher, advance=bar.set)
    _store_posteriors(spec, plan, data, own, device, console)
    tracking.finish_member(spec.name, own)


def _store_posteriors(
    spec: MemberSpec, plan: Plan, data: FitData, own: Path, device: torch.device, console: Console
) -> None:
    """The member's validation probabilities of every view, unless they are stored already."""
    path = own / POSTERIORS
    faces = data.validation
    if path.is_file():
        stored = _readable(path)
        if stored is not None and stored.splits["validation"].views == plan.views:
            return
    member = Member.load(own, device=device)
    with console.bar(f"{spec.name}: validation faces", len(faces)) as bar:
        probs = view_probabilities(
            member, faces.images, list(map(str, faces.ids)), plan=PerturbationPlan(seed=plan.seed), views=plan.views,
            advance=bar.advance,
        )  # fmt: skip
    save_posteriors(
        path,
        classes=faces.classes,
        ids={"validation": faces.ids},
        probs={"validation": probs},
        labels={"validation": faces.labels},
    )


def _readable(path: Path) -> Posteriors | None:
    try:
        return load_posteriors(path)
    except InputError:
        return None  # damaged: computed anew


def _fit_rules(
    plan: Plan, data: FitData, folder: Path, device: torch.device, console: Console, tracking: FitTracking
) -> None:
    """Fit the committee on the stored posteriors, write its files, print the table, seal the bundle."""
    names = [m.name for m in plan.members]
    posteriors: dict[str, npt.NDArray[np.float64]] = {}
    for name in names:
        split = load_posteriors(folder / "members" / name / POSTERIORS).splits["validation"]
        posteriors[name] = fuse_views(split.probs)
    labels = data.validation.labels
    committee = Committee.fit(plan.committee, posteriors, labels, seed=plan.seed, classes=data.validation.classes)
    write_json(folder / COMMITTEE, committee.to_json())
    estimates = rule_estimates(plan.committee, posteriors, labels, seed=plan.seed)
    rows = [member_row(read_spec_file(folder / "members" / n), posteriors[n], labels) for n in names]
    table = rows_of(rows, estimates)
    report = {
        "name": plan.name,
        "data": {"source": plan.data.source, "digest": data.digest, "validation_faces": len(labels)},
        "device": describe_device(device),
        "members": rows,
        "rules": {name: {**vars(e), "optimism": e.optimism} for name, e in estimates.items()},
        "notes": list(plan.notes),
        "plan": digest_of(_resolved(plan)),
    }
    write_json(folder / REPORT, report)
    write_text(folder / "report.md", f"# Committee {plan.name}\n\n{markdown(table)}")
    seal(folder, members=names)
    tracking.finish(committee, posteriors, read_json(folder / REPORT))
    console.table(f"Committee {plan.name}: {len(labels):,} validation faces", HEADER, table, strong=len(table) - 1)
    console.note(f"committee: {folder}")
