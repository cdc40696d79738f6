"""What a fit logs: which parameters, metrics, figures and tables go to the committee's run and to each member's."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from ensemble.bank import load_posteriors
from ensemble.canonical import digest_of
from ensemble.committee import Committee
from ensemble.metric import confusion_matrix
from ensemble.outside_spec import OUTSIDE, OutsideSpec
from ensemble.perturbation import fuse_views
from ensemble.predictions import Predictions
from ensemble.spec import MemberSpec
from ensemble.weights_spec import RANDOM
from pipelines.bundle import POSTERIORS, sealed_files
from pipelines.console import Console
from pipelines.figure import confusion_figure
from pipelines.leaderboard import scores
from pipelines.member import read_spec_file
from pipelines.member_fit import FitData
from pipelines.plan import Plan
from pipelines.prediction_file import prediction_frame
from pipelines.tracking import Tracker
from pipelines.weights_report import weights_tags
from pipelines.workspace import Workspace

__all__ = ["FitTracking", "member_params"]


def member_params(spec: MemberSpec) -> dict[str, Any]:
    """The parameters by which members are compared: flat and short."""
    augment = spec.augment if isinstance(spec.augment, str) else "+".join(step.kind for step in spec.augment)
    return {
        "backbone": spec.backbone.kind,
        "head": spec.head.kind,
        "loss": spec.loss.kind,
        "weights": spec.weights.label if spec.weights else RANDOM,
        "freeze": _freeze(spec),
        "unfreeze": f"{spec.unfreeze.kind} {spec.unfreeze.head_epochs}" if spec.unfreeze else "none",
        "input": f"{spec.input.channels}x{spec.input.size or 'face'}",
        "normalize": spec.input.normalize.kind,
        "augment": augment,
        "optimizer": spec.optimizer.kind,
        "lr": spec.optimizer.lr,
        "backbone_lr": spec.optimizer.backbone_lr or spec.optimizer.lr,
        "layer_decay": spec.optimizer.layer_decay or 1.0,
        "weight_decay": spec.optimizer.weight_decay,
        "schedule": spec.schedule.kind,
        "batch_size": spec.batch_size,
        "epochs": spec.epochs,
        "seed": spec.seed,
        "folds": spec.folds or "none",
        "targets": spec.targets,
        "backbone_parameters": json.dumps(spec.backbone.parameters, sort_keys=True),
    }


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
    """

    def __init__(
        self, workspace: Workspace, folder: Path, *, plan: Plan, data: FitData, console: Console, enabled: bool
    ) -> None:
        self.plan, self.data, self.folder, self.enabled = plan, data, folder, enabled
        self.tracker = Tracker(workspace, folder, note=console.note)

    def __enter__(self) -> Self:
        if self.enabled:
            plan, data = self.plan, self.data
            members = {m.name: m.model_dump(mode="json") for m in plan.members}
            content = {"data": data.digest, "members": members, "tree": plan.tree(), "views": plan.views}
            outside = {m.name: m.model_dump(mode="json") for m in plan.outside}
            params = {
                "members": len(members) + len(outside), "rule": plan.committee.rule, "views": plan.views,
                "seed": plan.seed, "source": plan.data.source,
            }  # fmt: skip
            self.tracker.open(
                name=plan.name,
                digest=digest_of(content | ({"outside": outside} if outside else {})),
                params=params,
                data=(data.train, data.validation),
            )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.tracker.leave(kind)

    def member(self, spec: MemberSpec | OutsideSpec) -> None:
        """A member is about to be fitted, or taken in."""
        if isinstance(spec, OutsideSpec):
            params, family = {"posteriors": spec.posteriors.file, "sha256": spec.posteriors.sha256}, OUTSIDE
        else:
            params, family = member_params(spec), spec.backbone.kind
        tags = {"member": spec.name, "groups": ",".join(spec.groups), "family": family}
        tags |= weights_tags(spec) if isinstance(spec, MemberSpec) else {}
        self.tracker.member(spec.name, params=params, tags=tags)

    def epochs(self, name: str, history: list[dict[str, float]]) -> None:
        """An epoch of a member is done."""
        self.tracker.epochs(name, history)

    def copy_epochs(self, name: str, history: list[dict[str, float]], *, before: int) -> None:
        """An epoch of a copy of a member is done; the copies' curves follow one another, this one's after `before`."""
        shifted = [{**record, "epoch": before + record["epoch"]} for record in history]
        self.tracker.epochs(name, shifted, section="copies")

    def finish_member(self, name: str, folder: Path) -> None:
        """A member's folder is complete."""
        if self.tracker.client is None:
            return
        spec = read_spec_file(folder)
        if spec.get("kind") != OUTSIDE:
            self.tracker.epochs(name, json.loads((folder / "history.json").read_text(encoding="utf-8")))
        stored = load_posteriors(folder / POSTERIORS).splits["validation"]
        facts = {key: spec[key] for key in ("parameters", "seconds", "best_epoch")}
        facts |= {f"out_of_fold/{key}": spec.get(f"out_of_fold_{key}") for key in ("accuracy", "nll")}
        extra = {key: value for key, value in facts.items() if value is not None}
        self._finish(name, fuse_views(stored.probs), extra, folder)

    def finish(
        self, committee: Committee, posteriors: Mapping[str, npt.NDArray[np.float64]], report: Mapping[str, Any]
    ) -> None:
        """The committee is fitted and sealed."""
        if self.tracker.client is None:
            return
        own = report["rules"]["committee"]
        extra = {f"nested_{key}": own[source] for key, source in (("accuracy", "nested_accuracy"), ("nll", "nll"))}
        extra["optimism"] = own["optimism"]
        extra["gain_over_best_member"] = own["nested_accuracy"] - max(m["accuracy"] for m in report["members"])
        self._finish(None, committee(posteriors), extra, self.folder)

    def _finish(
        self, member: str | None, probs: npt.NDArray[np.float64], extra: Mapping[str, float], folder: Path
    ) -> None:
        faces = self.data.validation
        predictions = Predictions(ids=faces.ids, probs=probs, classes=faces.classes, labels=faces.labels)
        metrics = {f"validation/{key}": value for key, value in scores(probs, faces.labels).items()}
        metrics |= {(key if member else f"validation/{key}"): float(value) for key, value in extra.items()}
        figure = confusion_figure(confusion_matrix(probs, faces.labels), faces.classes, title=member or self.plan.name)
        self.tracker.finish(
            member,
            metrics=metrics,
            figures={"figures/confusion_matrix.png": figure},
            tables={"tables/predictions.json": prediction_frame(predictions)},
            folder=folder,
            files=sealed_files(folder) if member is None else [p for p in folder.rglob("*") if p.is_file()],
        )
