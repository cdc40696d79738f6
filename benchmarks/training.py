"""How fast members train, as shares of a bare loop: the same net on tensors prepared beforehand, without augmentation.

Measured in turn, round after round, in one process: the bare loop; ours, with the preset `strong`; the same
augmentation face by face in albumentations behind a `DataLoader`, as Lightning's users have it; and Lightning itself
where it is installed (`pip install lightning`; it is no dependency). On a CPU twice: with all cores, as a member has
them that trains alone, and with one, as members have that train side by side.

Run from the repository root: `python -m benchmarks.training`.
"""

from __future__ import annotations

import json
import os
import statistics
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from backbones.registry import LOSSES
from benchmarks.training_peers import BATCH, lightning_way, loader_way, plain_sgd, plain_step, timed
from ensemble.expression import EXPRESSIONS
from ensemble.spec import MemberSpec
from pipelines.atomic import write_json
from pipelines.augmentation import Augmentation
from pipelines.batches import FaceBatches
from pipelines.device import choose_device, describe_device, resolve_precision
from pipelines.environment import core_count
from pipelines.member import Member
from pipelines.plan import make_plan
from pipelines.trainer import Trainer, Watcher
from pipelines.unfreezing import Lesson

RESULT = Path(__file__).parent / "results" / "training.json"
MEMBERS = Path(__file__).with_name("training.yaml"), Path(__file__).with_name("training_deep.yaml")
ROUNDS = 7
STEPS = {
    "cpu": {"small": 64, "residual": 24, "residual_deep": 6, "resnet18": 6},
    "cuda": {"small": 200, "residual": 200, "residual_deep": 200, "resnet18": 200},
}


def main() -> None:
    """Measure, print and store."""
    device, load = choose_device(None), round(os.getloadavg()[0], 1)
    all_cores = core_count()
    cores = [all_cores] if device.type == "cuda" else sorted({all_cores, 1}, reverse=True)
    result = {
        "device": describe_device(device), "torch": torch.__version__, "load": load, "batch": BATCH, "rounds": ROUNDS,
        "precision": resolve_precision("auto", device), "runs": [_run(device, count) for count in cores],
    }  # fmt: skip
    write_json(RESULT, result)


def _run(device: torch.device, cores: int) -> dict[str, Any]:
    """All nets on so many of the cores."""
    nets = {}
    with _bound_to(cores):
        for spec in (spec for path in MEMBERS for spec in make_plan(path).members):
            steps = STEPS[device.type][spec.name]
            nets[spec.name] = _measure(spec, device, steps if cores > 1 else steps // 2)
            print(cores, spec.name, json.dumps(nets[spec.name]), flush=True)
    return {"cores": cores, "nets": nets}


@contextmanager
def _bound_to(cores: int) -> Iterator[None]:
    """Leave this process, and the workers that it starts, so many cores and threads."""
    own = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else None
    torch.set_num_threads(cores)
    if own is not None:
        os.sched_setaffinity(0, sorted(own)[:cores])
    try:
        yield
    finally:
        if own is not None:
            os.sched_setaffinity(0, own)


def _measure(spec: MemberSpec, device: torch.device, steps: int) -> dict[str, Any]:
    """Seconds per step of each way, and its speed as a share of the bare loop's: the median over the rounds."""
    rng = np.random.default_rng(0)
    faces = rng.integers(0, 256, (steps * BATCH, 48, 48), dtype=np.uint8)
    labels = rng.integers(0, len(EXPRESSIONS), len(faces))
    targets = np.eye(len(EXPRESSIONS), dtype=np.float32)[labels]
    member = Member.build(spec, classes=EXPRESSIONS, face_size=48, device=device)
    member.input_layer.fit(faces)
    ways: dict[str, Callable[[], float]] = {
        "bare": _bare(member, faces, targets),
        "ensemble": lambda: _ours(member, faces, targets),
        "dataloader": loader_way(member, faces, targets),
    }
    if find_spec("lightning") is not None:
        ways["lightning"] = lightning_way(member, faces, targets)
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(ROUNDS + 1):  # the first round is for warming up
        for name, way in ways.items():
            taken = way()
            seconds[name] += [taken / steps] if number else []
    return {
        "parameters": member.parameters, "steps": steps,
        "seconds_per_step": {name: round(min(values), 4) for name, values in seconds.items()},
        "share_of_bare": {
            name: round(statistics.median(b / v for b, v in zip(seconds["bare"], values, strict=True)), 3)
            for name, values in seconds.items()
        },
    }  # fmt: skip


def _bare(member: Member, faces: npt.NDArray[np.uint8], targets: npt.NDArray[np.float32]) -> Callable[[], float]:
    """Everything that could be done before is done: input and labels of every batch lie on the device."""
    optimizer = plain_sgd(member)
    ready: list[tuple[Tensor, Tensor]] = []
    for start in range(0, len(faces), BATCH):
        x = member.input_layer(torch.from_numpy(faces[start : start + BATCH]).to(member.device))
        y = torch.from_numpy(targets[start : start + BATCH]).to(member.device)
        ready.append((x.contiguous(memory_format=torch.channels_last), y))

    def run() -> None:
        member.network.train()
        for x, y in ready:
            plain_step(member, optimizer, x, y)

    return lambda: timed(member, run)


def _ours(member: Member, faces: npt.NDArray[np.uint8], targets: npt.NDArray[np.float32]) -> float:
    """An epoch of the trainer of `ensemble fit`, its checkpoint included, without the pass over validation faces."""
    batches = FaceBatches(
        faces, targets, augmentation=Augmentation(member.spec.augment), batch_size=BATCH, seed=0, device=member.device
    )
    lesson = Lesson(
        part=member.network, prepare=member.input_layer.random_window, batches=batches, validate=lambda _: (1.0, 0.5)
    )
    spec = member.spec.model_copy(update={"epochs": 1})
    counts = torch.ones(len(EXPRESSIONS))
    with tempfile.TemporaryDirectory() as folder:
        trainer = Trainer(
            model=member.network, lesson=lesson, loss=LOSSES.build("cross_entropy", counts), spec=spec,
            fingerprint="none", device=member.device, checkpoint=Path(folder) / "checkpoint.safetensors",
            watcher=Watcher(),
        )  # fmt: skip
        return float(trainer.run().history[0]["seconds"])


if __name__ == "__main__":
    main()
