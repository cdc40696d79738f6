"""What pretrained weights are worth: MobileFaceNet from its weights file and from random weights, the same budget.

Each plan of `benchmarks/transfer.yaml` runs from both, with several seeds, on a fixed draw of FER2013's training faces:
`python -m benchmarks.transfer --data fer2013.zip --weights FOLDER`. Runs are kept in `results/transfer.json` as they
end; another call goes on. Every call renders the table in `docs/transfer.md` anew.
"""

from __future__ import annotations

import argparse
import itertools
import json
import statistics
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from backbones.errors import InputError
from benchmarks.marked_page import replace_table
from ensemble.bank import load_posteriors
from ensemble.metric import accuracy, nll
from ensemble.perturbation import fuse_views
from ensemble.spec import MemberSpec
from pipelines.atomic import write_text
from pipelines.bundle import POSTERIORS
from pipelines.console import Console
from pipelines.data_opening import open_data
from pipelines.device import choose_device
from pipelines.face_store import FaceStore
from pipelines.fit_data import FitData
from pipelines.member_folder import make_room
from pipelines.member_job import MemberJob
from pipelines.plan import Plan, make_plan
from pipelines.spec_file import read_spec_file
from pipelines.tune_data import drawn
from pipelines.workforce import run_jobs, worker_count
from pipelines.workspace import Workspace
from pipelines.yaml_file import read_yaml

ROOT = Path(__file__).parents[1]
MEMBERS = Path(__file__).with_suffix(".yaml")
RESULT = Path(__file__).parent / "results" / "transfer.json"
PAGE = ROOT / "docs" / "transfer.md"
STARTS = ("pretrained", "random")
# Two-sided 95 % quantiles of Student's t by degrees of freedom: an interval of three runs is wide.
STUDENT = {1: 12.706, 2: 4.303, 3: 3.182, 4: 2.776, 5: 2.571, 6: 2.447, 7: 2.365, 8: 2.306, 9: 2.262}


@dataclass(frozen=True, kw_only=True)
class DrawnJob(MemberJob):
    """A member trained on a draw of the training faces.

    Attributes:
        faces: How many.
    """

    faces: int

    def data(self) -> FitData:
        """The faces it is trained and validated on; the draw is the same for all."""
        full = super().data()
        return FitData(train=full.train.take(drawn(full.train.labels, self.faces, seed=0)), validation=full.validation)


def main() -> None:
    """Run what has not run, store it, render the page."""
    options = _options()
    try:
        if options.data is not None:
            _work(options)
    except InputError as error:
        raise SystemExit(f"benchmarks.transfer: {error}") from None
    render(_stored())


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.transfer", description=__doc__.partition("\n")[0])
    parser.add_argument("--data", help="the FER2013 faces; without, the page is rendered only")
    parser.add_argument("--weights", type=Path, action="append", default=[], help="folder of weights files")
    parser.add_argument("--plans", nargs="*", help="members of benchmarks/transfer.yaml [all]")
    parser.add_argument("--faces", type=int, default=8000, help="training faces")
    parser.add_argument("--seeds", type=int, nargs="*", default=[0, 1, 2], choices=range(10))
    parser.add_argument("--jobs", type=int, help="runs side by side")
    parser.add_argument("--device", help="torch device")
    parser.add_argument("--out", type=Path, default=Path("mlruns/transfer"), help="where the members go")
    return parser.parse_args()


def _work(options: argparse.Namespace) -> None:
    console, workspace, device = Console(), Workspace(), choose_device(options.device)
    plan = make_plan(MEMBERS, data=options.data, weights_folders=options.weights)
    store = open_data(plan.data, workspace, console)
    jobs = {}
    for job in _jobs(plan, store, workspace, str(device), options):
        fingerprint = job.fingerprint(job.data())
        if _stored().get(job.spec.name, {}).get("fingerprint") != fingerprint:
            make_room(job.folder, fingerprint)
            jobs[job.spec.name] = job

    def listen(member: str, event: str, payload: Any) -> None:
        if event == "epoch":
            last = payload.history[-1]
            console.note(f"{member}: epoch {payload.epoch}  accuracy {last['validation_accuracy']:.4f}")
        elif event == "done":
            _store(member, _measured(jobs[member]))
            console.note(f"{member}: {_stored()[member]['accuracy']:.4f}")

    run_jobs(list(jobs.values()), processes=worker_count(options.jobs, device.type), listen=listen)


def _jobs(
    plan: Plan, store: FaceStore, workspace: Workspace, device: str, options: argparse.Namespace
) -> list[DrawnJob]:
    """Everything asked for, seed by seed, so that what is done early covers all plans."""
    known = [spec.name for spec in plan.members]
    names = options.plans or known
    unknown = [name for name in names if name not in known]
    if unknown:
        raise InputError(f"Expected `--plans` of {', '.join(known)}, but got {', '.join(unknown)}.")
    runs = itertools.product(options.seeds, [spec for spec in plan.members if spec.name in names], STARTS)
    return [
        DrawnJob(
            spec=_spec(spec, start, seed), weights=plan.weights[spec.name] if start == "pretrained" else None,
            store=store, folder=options.out / f"{spec.name}-{start}-{seed}", cache=workspace.cache, device=device,
            threads=1, views=plan.views, seed=plan.seed, faces=options.faces,
        )
        for seed, spec, start in runs
    ]  # fmt: skip


def _spec(spec: MemberSpec, start: str, seed: int) -> MemberSpec:
    update: dict[str, Any] = {"name": f"{spec.name}-{start}-{seed}", "seed": seed}
    return spec.model_copy(update=update if start == "pretrained" else {**update, "weights": None})


def _measured(job: DrawnJob) -> dict[str, Any]:
    stored = load_posteriors(job.folder / POSTERIORS).splits["validation"]
    assert stored.labels is not None
    probs, spec = fuse_views(stored.probs), read_spec_file(job.folder)
    return {
        "accuracy": accuracy(probs, stored.labels), "nll": nll(probs, stored.labels), "faces": job.faces,
        "fingerprint": spec["fingerprint"], "source": Path(job.store.source).name, "epochs": spec["epochs"],
        "best_epoch": spec["best_epoch"], "seconds": spec["seconds"],
        "device": spec["device"], "precision": spec["precision"], "torch": spec["torch"],
    }  # fmt: skip


def _stored() -> dict[str, dict[str, Any]]:
    return json.loads(RESULT.read_text(encoding="utf-8"))["runs"] if RESULT.is_file() else {}


def _store(run: str, result: Mapping[str, Any]) -> None:
    write_text(RESULT, json.dumps({"runs": {**_stored(), run: result}}, indent=2) + "\n")


def render(runs: Mapping[str, Mapping[str, Any]], page: Path = PAGE) -> None:
    """Replace the table in the page, between its two marks."""
    lines = [
        "| plan | start | faces | epochs | runs | validation accuracy | NLL | seconds |",
        "|---|---|--:|--:|--:|--:|--:|--:|",
    ]
    plans = [member["name"] for member in read_yaml(MEMBERS)["members"]]
    for plan, start in itertools.product(plans, STARTS):
        own = [run for name, run in sorted(runs.items()) if name.rsplit("-", 1)[0] == f"{plan}-{start}"]
        lines.append(_line(plan, start, own) if own else f"| `{plan}` | {start} | | | | not run | | |")
    replace_table(page, "transfer", lines)


def _line(plan: str, start: str, runs: list[Mapping[str, Any]]) -> str:
    scores = [run["accuracy"] for run in runs]
    spread = ""
    if len(scores) > 1:
        spread = f" ± {STUDENT[len(scores) - 1] * statistics.stdev(scores) / len(scores) ** 0.5:.3f}"
    mean = {key: statistics.mean(run[key] for run in runs) for key in ("nll", "seconds")}
    budget = (" / ".join(sorted({f"{run[key]:,}" for run in runs})) for key in ("faces", "epochs"))
    cells = (
        f"`{plan}`",
        start,
        *budget,
        str(len(runs)),
        f"{statistics.mean(scores):.4f}{spread}",
        f"{mean['nll']:.3f}",
    )
    return "| " + " | ".join((*cells, f"{mean['seconds']:.0f}")) + " |"


if __name__ == "__main__":
    main()
