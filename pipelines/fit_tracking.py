"""What a fit logs: to the committee's run and to each member's, and the model when it is finished."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path, PurePath
from types import TracebackType
from typing import Any, Self

from pydantic import BaseModel

from ensemble.canonical import digest_of
from ensemble.outside_spec import OUTSIDE, OutsideSpec
from ensemble.spec import MemberSpec
from ensemble.weights_spec import RANDOM
from pipelines.bundle import HISTORY, REPORT, SPEC, read_committee, read_json
from pipelines.console import Console
from pipelines.fit_data import FitData
from pipelines.plan import Plan
from pipelines.run_description import planned_description
from pipelines.run_result import bundle_files, committee_content, member_content
from pipelines.run_writer import NOTE
from pipelines.system_metrics import SystemMetrics
from pipelines.tracked_model import Standing, log_model, model_name, register
from pipelines.tracking import Tracker
from pipelines.tracking_spool import Event, TrackingSpool
from pipelines.weights_report import weights_tags
from pipelines.workspace import MANIFEST, Workspace

__all__ = ["FitTracking", "member_params"]


def member_params(spec: MemberSpec) -> dict[str, Any]:
    """The parameters by which members are compared: flat and short.

    MLflow's compare page sorts parameters by name and draws the first three that differ, with the first metric that all
    runs have. So what members are told apart by has a name of one word, and everything else a prefix that sorts after
    all of these.
    """
    augment = spec.augment if isinstance(spec.augment, str) else "+".join(step.kind for step in spec.augment)
    told_apart = {
        "backbone": spec.backbone.kind,
        "epochs": spec.epochs,
        "head": spec.head.kind,
        "input": f"{spec.input.channels}x{spec.input.size or 'face'}",
        "loss": spec.loss.kind,
        "lr": spec.optimizer.lr,
        "seed": spec.seed,
        "weights": spec.weights.label if spec.weights else RANDOM,
    }
    details = {
        "augment": augment,
        "backbone_lr": spec.optimizer.backbone_lr or "as lr",
        "backbone_parameters": json.dumps(spec.backbone.parameters, sort_keys=True),
        "batch_size": spec.batch_size,
        "clip": spec.clip or "none",
        "ema": spec.ema or "none",
        "folds": spec.folds or "none",
        "freeze": _freeze(spec),
        "grow": _compact(spec.grow),
        "layer_decay": spec.optimizer.layer_decay or 1.0,
        "mix": _compact(spec.mix),
        "normalize": spec.input.normalize.kind,
        "optimizer": spec.optimizer.kind,
        "patience": spec.patience or "none",
        "precision": spec.precision,
        "schedule": spec.schedule.kind,
        "select": spec.select,
        "targets": spec.targets,
        "teacher": f"{PurePath(spec.teacher.committee).name} {spec.teacher.share:g}" if spec.teacher else "none",
        "unfreeze": f"{spec.unfreeze.kind} {spec.unfreeze.head_epochs}" if spec.unfreeze else "none",
        "weight_decay": spec.optimizer.weight_decay,
    }
    return told_apart | {f"with/{key}": value for key, value in details.items()}


def _compact(part: BaseModel | None) -> str:
    """A part of a spec in one line, without what it leaves at its default."""
    return json.dumps(part.model_dump(mode="json", exclude_defaults=True), sort_keys=True) if part else "none"


def _freeze(spec: MemberSpec) -> str:
    """What does not learn, in a word or two."""
    if spec.freeze is None:
        return "none"
    return "+".join(filter(None, (spec.freeze.until, "batch_norm" if spec.freeze.batch_norm else None)))


class FitTracking:
    """The tracker of one fit, as a context: leaving it marks what has not finished.

    Args:
        workspace: Where the default store lies.
        folder: The committee's folder.
        plan: What is fitted.
        data: On what.
        console: For notes.
        enabled: Log nothing if false.
        system_metrics: Also log what the machine does; None leaves it to MLflow's own environment variable.
    """

    def __init__(
        self,
        workspace: Workspace,
        folder: Path,
        *,
        plan: Plan,
        data: FitData,
        console: Console,
        enabled: bool,
        system_metrics: bool | None = None,
    ) -> None:
        self.plan, self.data, self.folder, self.enabled, self.note = plan, data, folder, enabled, console.note
        self.tracker = Tracker(workspace, folder, source="ensemble fit")
        self.spool = TrackingSpool(folder, plan=self._digest(), deliver=self._deliver, note=console.note)
        self.system = SystemMetrics(system_metrics)
        self._sent: dict[tuple[str, str], float] = {}

    def __enter__(self) -> Self:
        if self.enabled:
            self.spool.open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self.enabled:
            return
        self.system.stop()
        if kind is not None:
            self.spool.send("stop", {"status": "KILLED" if issubclass(kind, KeyboardInterrupt) else "FAILED"})
        self.spool.close()

    def member(self, spec: MemberSpec | OutsideSpec) -> None:
        """A member is about to be fitted, or taken in."""
        params: dict[str, Any]
        if isinstance(spec, OutsideSpec):
            params, family = {"posteriors": spec.posteriors.file, "sha256": spec.posteriors.sha256}, OUTSIDE
        else:
            params, family = member_params(spec), spec.backbone.kind
        tags = {
            "stage": "member", "member": spec.name, "committee": self.plan.name, "groups": ",".join(spec.groups),
            "family": family, NOTE: planned_description(f"**Member `{spec.name}`** of committee `{self.plan.name}`."),
            **self._data_tag(), **(weights_tags(spec) if isinstance(spec, MemberSpec) else {}),
        }  # fmt: skip
        self._send("member", {"name": spec.name, "params": params, "tags": tags})

    def epochs(self, name: str, history: list[dict[str, float]], *, section: str = "epoch") -> None:
        """An epoch of a member is done; `history` holds those before it as well."""
        new = [record for record in history if record["epoch"] > self._sent.get((name, section), 0)]
        if new:
            self._send("epochs", {"name": name, "history": new, "section": section})
            self._sent[name, section] = new[-1]["epoch"]

    def copy_epochs(self, name: str, history: list[dict[str, float]], *, before: int) -> None:
        """An epoch of a copy of a member is done; the copies' curves follow one another, this one's after `before`."""
        shifted = [{**record, "epoch": before + record["epoch"]} for record in history]
        self.epochs(name, shifted, section="copies")

    def finish_member(self, name: str) -> None:
        """A member's folder is complete."""
        self._send("finish_member", {"name": name})

    def finish(self) -> None:
        """The committee is fitted and sealed."""
        self._send("finish", {})

    def _send(self, call: str, args: Mapping[str, Any]) -> None:
        if self.enabled:
            self.spool.send(call, args)

    def _deliver(self, event: Event) -> None:
        args = event.args
        match event.call:
            case "open":
                self._open()
            case "member":
                self.tracker.member(args["name"], params=args["params"], tags=args["tags"])
            case "epochs":
                self.tracker.epochs(args["name"], args["history"], section=args["section"], at=event.at)
            case "finish_member":
                self._finish_member(args["name"], event.at)
            case "finish":
                self._finish()
            case "stop":
                self.tracker.stop(args["status"])

    def _digest(self) -> str:
        """Of all that decides about the results."""
        plan, data = self.plan, self.data
        members = {m.name: m.model_dump(mode="json") for m in plan.members}
        content = {"data": data.digest, "members": members, "tree": plan.tree(), "views": plan.views, "seed": plan.seed}
        outside = {m.name: m.model_dump(mode="json") for m in plan.outside}
        return digest_of(content | ({"outside": outside} if outside else {}))

    def _open(self) -> None:
        plan, data = self.plan, self.data
        count = len(plan.members) + len(plan.outside)
        params = {
            "data": plan.data.source, "members": count, "rule": plan.committee.rule, "seed": plan.seed,
            "views": plan.views,
        }  # fmt: skip
        tags = {
            "stage": "committee", "committee": plan.name, "plan_digest": self.spool.plan[:16],
            NOTE: planned_description(f"**Committee `{plan.name}`** of {count} members."), **self._data_tag(),
        }  # fmt: skip
        self.tracker.open(
            name=plan.name, plan=self.spool.plan, params=params, data=(data.train, data.validation), tags=tags
        )
        self.system.start(self.tracker)

    def _data_tag(self) -> dict[str, str]:
        return {"data_digest": self.data.digest[:16]}

    def _finish_member(self, name: str, at: int) -> None:
        folder = self.folder / "members" / name
        if not (folder / SPEC).is_file() or self.tracker.is_finished(name):
            return  # being trained again, or told before
        if (folder / HISTORY).is_file():
            history = json.loads((folder / HISTORY).read_text(encoding="utf-8"))
            self.tracker.epochs(name, history, at=at)
        self.tracker.finish(name, member_content(name, folder, self.data.validation))

    def _finish(self) -> None:
        if not (self.folder / MANIFEST).is_file() or self.tracker.is_finished(None):
            return
        runs = self.tracker.runs["members"]
        content = committee_content(self.folder, self.data.validation, seed=self.plan.seed, runs=runs)
        self.tracker.finish(None, content, before_end=self._log_model)

    def _log_model(self, run: str) -> None:
        """Store the committee as a model, register it, and say what became of it."""
        client, classes = self.tracker.client, read_committee(self.folder).classes
        name = model_name(self.plan.name)
        model = log_model(client, run, name, bundle_files(self.folder), classes)
        accuracy = read_json(self.folder / REPORT)["rules"]["committee"]["nested_accuracy"]
        standing = Standing(accuracy=accuracy, data=self.data.digest[:16])
        version, alias = register(client, run, model, name, standing, {"committee": self.plan.name})
        client.set_tag(run, "model", f"{name}/{version}" + (f"@{alias}" if alias else ""))
        self.note(f"model: models:/{name}/{version}" + (f" (@{alias})" if alias else ""))
