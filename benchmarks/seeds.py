"""The systems of the seed papers on real FER2013 faces, each beside the number its paper gives.

Runs any rows, resumably and side by side: `python -m benchmarks.seeds --data fer2013.zip five_layer deeper`. A row that
has run is kept in `results/seeds.json`; `--estimate` times the others on a few faces, so that the table can say what
they would take. Every call renders the table in `docs/results.md` anew.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from backbones.errors import InputError, nearest
from benchmarks.seed_table import Row, render
from ensemble.bank import load_posteriors
from ensemble.metric import accuracy, accuracy_interval
from ensemble.perturbation import fuse_views
from ensemble.spec import MemberSpec
from pipelines.atomic import write_text
from pipelines.bundle import POSTERIORS
from pipelines.console import Console
from pipelines.data_opening import open_data
from pipelines.device import choose_device
from pipelines.environment import core_count
from pipelines.face_store import FaceStore
from pipelines.fit_data import FitData
from pipelines.member import Member
from pipelines.member_fit import fit_member, member_fingerprint
from pipelines.member_folder import make_room
from pipelines.member_job import MemberJob
from pipelines.plan import Plan, make_plan
from pipelines.spec_file import read_spec_file
from pipelines.trainer import Watcher
from pipelines.workforce import run_jobs, worker_count
from pipelines.workspace import Workspace

ROOT = Path(__file__).parents[1]
SEEDS = ROOT / "members" / "seeds"
RESULT = Path(__file__).parent / "results" / "seeds.json"
PAGE = ROOT / "docs" / "results.md"
PROBE = 512  # faces that a row is timed on

STANFORD, SANTA_CRUZ = "Raghuvanshi & Choksi", "Li, Shen & Miao"
YADAV, ZHAI, LEVORSE, KIM = "Yadav et al.", "Zhai et al.", "Levorse", "Kim et al.; Yu & Zhang"
ROWS: tuple[Row, ...] = (
    Row(STANFORD, "one convolution", "raghuvanshi_choksi", "baseline", 0.25),
    Row(STANFORD, "five-layer CNN", "raghuvanshi_choksi", "five_layer", 0.37),
    Row(STANFORD, "deeper CNN", "raghuvanshi_choksi", "deeper", 0.47),
    Row(STANFORD, "five-layer, fractional max pooling", "raghuvanshi_choksi", "five_layer_fractional", None),
    Row(STANFORD, "deeper, stochastic pooling", "raghuvanshi_choksi", "stochastic", None),
    Row(STANFORD, "small Inception net", "raghuvanshi_choksi", "inception", None),
    Row(STANFORD, "VGG16, lower layers", "raghuvanshi_choksi", "vgg16_lower", 0.29),
    Row(STANFORD, "VGG16, whole", "raghuvanshi_choksi", "vgg16_whole", 0.29),
    Row(STANFORD, "VGGFace", "raghuvanshi_choksi", "vggface", 0.38),
    Row(STANFORD, "face network (MobileFaceNet for VGGFace)", "raghuvanshi_choksi", "face_net", 0.38),
    Row(SANTA_CRUZ, "2-layer CNN", "li_shen_miao", "two_layer", 0.49),
    Row(SANTA_CRUZ, "4-layer CNN", "li_shen_miao", "four_layer", 0.58),
    Row(SANTA_CRUZ, "linear SVM on pixels", "li_shen_miao", "svm", 0.34),
    Row(YADAV, "shallow CNN", "yadav_sahu_bhaiya", "shallow", 0.55),
    Row(YADAV, "deep CNN", "yadav_sahu_bhaiya", "deep", 0.65),
    Row(YADAV, "shallow CNN with HOG", "yadav_sahu_bhaiya", "shallow_hog", 0.55),
    Row(YADAV, "deep CNN with HOG", "yadav_sahu_bhaiya", "deep_hog", 0.65),
    Row(ZHAI, "Net B", "zhai", "net_b", 0.6091),
    Row(ZHAI, "Net B_DAL", "zhai", "net_b_dal", 0.5833),
    Row(ZHAI, "Net B_DAL_MSE", "zhai", "net_b_dal_mse", 0.5915),
    Row(LEVORSE, "two blocks, intensity normalised", "levorse", "two_block", 0.4717),
    Row(LEVORSE, "two blocks, not normalised", "levorse", "two_block_plain", 0.341),
    Row(KIM, "one member of the committee", "kim_yu_zhang", "intensity_k3_fc1024", None),
)


@dataclass(frozen=True, kw_only=True)
class Setting:
    """What all rows of one call share."""

    store: FaceStore
    cache: Path
    folder: Path
    device: torch.device
    processes: int

    def job(self, plan: Plan, spec: MemberSpec) -> MemberJob:
        """The work that one row is."""
        return MemberJob(
            spec=spec, weights=plan.weights.get(spec.name), store=self.store,
            folder=self.folder / f"{plan.name}-{spec.name}", cache=self.cache, device=str(self.device),
            threads=max(1, core_count() // self.processes), views=plan.views, seed=plan.seed,
        )  # fmt: skip


def main() -> None:
    """Run what is asked for, store it, render the page."""
    options = _options()
    try:
        chosen = [_row(name) for name in options.rows]
        if chosen or options.estimate:
            _work(chosen, options)
    except InputError as error:
        raise SystemExit(f"benchmarks.seeds: {error}") from None
    render(ROWS, _stored(), PAGE)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.seeds", description=__doc__.partition("\n")[0])
    parser.add_argument("rows", nargs="*", help="members of members/seeds/*.yaml, e.g. five_layer; none renders only")
    parser.add_argument("--data", default="fer2013.zip", help="the FER2013 faces")
    parser.add_argument("--epochs", type=int, help="instead of the paper's, where the time is short")
    parser.add_argument("--device", help="torch device")
    parser.add_argument("--jobs", type=int, help="rows side by side")
    parser.add_argument("--weights", type=Path, action="append", default=[], help="folder of weights files")
    parser.add_argument("--out", type=Path, default=Path("mlruns/seeds"), help="where the members go")
    parser.add_argument("--estimate", action="store_true", help="time the rows that have not run on a few faces")
    return parser.parse_args()


def _row(name: str) -> Row:
    found = [row for row in ROWS if row.member == name]
    if not found:
        raise InputError(f"Expected a row, but got {name!r}. {nearest(name, [row.member for row in ROWS])}")
    return found[0]


def _work(chosen: Sequence[Row], options: argparse.Namespace) -> None:
    console, workspace, device = Console(), Workspace(), choose_device(options.device)
    plans = {file: _plan(file, options) for file in {row.file for row in ROWS}}
    setting = Setting(
        store=open_data(next(iter(plans.values())).data, workspace, console), cache=workspace.cache,
        folder=options.out, device=device, processes=worker_count(options.jobs, device.type),
    )  # fmt: skip
    jobs = {}
    for row in chosen:
        spec = _spec(plans[row.file], row, options.epochs)
        if spec is None:
            console.note(f"{row.member}: not run, its weights are absent")
        else:
            jobs[row.member] = setting.job(plans[row.file], spec)
    _run(jobs, setting, options.epochs, console)
    if options.estimate:
        for row in ROWS:
            if not {"accuracy", "hours"} & set(_stored().get(row.member, {})):
                console.note(f"{row.member}: timing a few faces")
                spec = next(m for m in plans[row.file].members if m.name == row.member)
                _store(row.member, _estimated(setting.job(plans[row.file], spec)))


def _run(jobs: Mapping[str, MemberJob], setting: Setting, epochs: int | None, console: Console) -> None:
    """Train or resume the jobs side by side; store each result as it comes."""
    store = setting.store
    data = FitData(train=store.split("train"), validation=store.split("validation"))
    for job in jobs.values():
        make_room(job.folder, member_fingerprint(job.spec, data))
    with console.bars() as bars:
        shown = {name: bars(name, 1) for name in jobs}

        def listen(member: str, event: str, payload: Any) -> None:
            if event == "work":
                shown[member].set(*payload[1:])
            elif event == "epoch":
                last = payload.history[-1]
                console.note(f"{member}: epoch {payload.epoch}  accuracy {last['validation_accuracy']:.4f}")
            elif event == "done":
                _store(member, _measured(jobs[member], epochs))
                console.note(f"{member}: {_stored()[member]['accuracy']:.4f}")

        run_jobs(list(jobs.values()), processes=setting.processes, listen=listen)


def _plan(file: str, options: argparse.Namespace) -> Plan:
    """The seed's YAML on these faces. They are cut out already, so none are searched for in them."""
    plan = make_plan(SEEDS / f"{file}.yaml", data=options.data, weights_folders=options.weights, keep_absent=True)
    return replace(plan, data=plan.data.model_copy(update={"align": None}))


def _spec(plan: Plan, row: Row, epochs: int | None) -> MemberSpec | None:
    """The row's member, None where a transferred one has no weights."""
    spec = next(m for m in plan.members if m.name == row.member)
    if spec.frozen_backbone and spec.weights is None and spec.backbone.kind != "pixels":
        return None
    return spec if epochs is None else spec.model_copy(update={"epochs": epochs})


def _measured(job: MemberJob, epochs: int | None) -> dict[str, Any]:
    stored = load_posteriors(job.folder / POSTERIORS).splits["validation"]
    assert stored.labels is not None
    probs, spec = fuse_views(stored.probs), read_spec_file(job.folder)
    low, high = accuracy_interval(probs, stored.labels)
    return {
        "accuracy": accuracy(probs, stored.labels), "low": low, "high": high, "faces": len(stored.labels),
        "views": stored.views, "parameters": spec["parameters"], "epochs": spec["epochs"],
        "best_epoch": spec["best_epoch"], "shortened": epochs is not None, "seconds": spec["seconds"],
        "device": spec["device"], "precision": spec["precision"], "torch": spec["torch"],
        "threads": job.threads, "weights": job.spec.weights.label if job.spec.weights else None,
    }  # fmt: skip


def _estimated(job: MemberJob) -> dict[str, Any]:
    """Hours of the full recipe, from one epoch on a few faces."""
    torch.set_num_threads(job.threads)
    full = job.data()
    few = FitData(train=full.train.take(slice(PROBE)), validation=full.validation.take(slice(64)))
    once = {
        "epochs": 1, "batch_size": min(64, job.spec.batch_size),
        "schedule": job.spec.schedule.model_copy(update={"warmup_epochs": 0}),
    }  # fmt: skip
    single = replace(job, spec=job.spec.model_copy(update=once))
    with tempfile.TemporaryDirectory() as folder:
        member: Member = single.build()
        started = time.monotonic()
        fit_member(member, few, folder=Path(folder), cache=Path(folder), watcher=Watcher())
        seconds = time.monotonic() - started
    passes = 1 if job.spec.frozen_backbone else job.spec.epochs
    return {
        "parameters": member.parameters, "hours": round(seconds * len(full.train) / PROBE * passes / 3600, 2),
        "threads": job.threads,
    }  # fmt: skip


def _stored() -> dict[str, dict[str, Any]]:
    return json.loads(RESULT.read_text(encoding="utf-8"))["rows"] if RESULT.is_file() else {}


def _store(member: str, result: Mapping[str, Any]) -> None:
    content = {"data": "FER2013, 28,560 training and 3,579 validation faces", "rows": {**_stored(), member: result}}
    write_text(RESULT, json.dumps(content, indent=2) + "\n")


if __name__ == "__main__":
    main()
