"""What fractional max pooling costs: training steps of one net with its pools exchanged, interleaved in one run.

The net is the five-layer CNN of `members/seeds/raghuvanshi_choksi.yaml`; the paper reports a factor of 1.5 for its own.
The pools are timed in turn, round after round, so that other work on the machine meets all of them alike.

Run from the repository root: `python -m benchmarks.pooling`.
"""

from __future__ import annotations

import json
import statistics
import time
from pathlib import Path

import numpy as np
import torch

from ensemble.expression import EXPRESSIONS
from pipelines.atomic import write_json
from pipelines.augmentation import Augmentation
from pipelines.batches import FaceBatches
from pipelines.device import autocast, choose_device, describe_device, resolve_precision
from pipelines.member import Member
from pipelines.optimization import make_optimizer
from pipelines.plan import make_plan

RESULT = Path(__file__).parent / "results" / "pooling.json"
SEEDS = Path(__file__).parents[1] / "members" / "seeds" / "raghuvanshi_choksi.yaml"
NETS = ("five_layer", "five_layer_fractional", "five_layer_fractional_disjoint")
ROUNDS, STEPS = 6, 2


def main() -> None:
    """Measure, print and store."""
    device = choose_device(None)
    if device.type == "cpu":
        torch.set_num_threads(1)
    plan = make_plan(SEEDS, data="synthetic", keep_absent=True)
    specs = {m.name: m for m in plan.members if m.name in NETS}
    rng = np.random.default_rng(0)
    faces = rng.integers(0, 256, (STEPS * 128, 48, 48), dtype=np.uint8)
    targets = np.eye(len(EXPRESSIONS), dtype=np.float32)[rng.integers(0, len(EXPRESSIONS), len(faces))]
    steps = {name: _stepper(spec, faces, targets, device) for name, spec in specs.items()}
    times: dict[str, list[float]] = {name: [] for name in NETS}
    for number in range(ROUNDS + 1):
        for name in NETS:
            started = time.perf_counter()
            steps[name](number)
            times[name] += [time.perf_counter() - started] if number else []
    base = times["five_layer"]
    result = {
        "device": describe_device(device), "batch": 128, "rounds": ROUNDS,
        "precision": resolve_precision("auto", device),
        "seconds_per_step": {name: round(min(t) / STEPS, 3) for name, t in times.items()},
        "ratio": {
            name: round(statistics.median(a / b for a, b in zip(t, base, strict=True)), 3) for name, t in times.items()
        },
    }  # fmt: skip
    write_json(RESULT, result)
    print(json.dumps(result, indent=2))


def _stepper(spec, faces, targets, device):  # type: ignore[no-untyped-def]
    """A function that trains for one short epoch."""
    member = Member.build(spec, classes=EXPRESSIONS, face_size=48, device=device)
    member.input_layer.fit(faces)
    optimizer, precision = make_optimizer(member.network, spec.optimizer), resolve_precision(spec.precision, device)
    batches = FaceBatches(
        faces, targets, augmentation=Augmentation(spec.augment), batch_size=128, seed=0, device=device
    )

    def run(epoch: int) -> None:
        member.network.train()
        for x, y in batches.epoch(epoch):
            inputs = member.input_layer(x.to(device)).contiguous(memory_format=torch.channels_last)
            with autocast(precision, device):
                logits = member.network(inputs)
            loss = torch.nn.functional.cross_entropy(logits.float(), y.to(device))
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
        if device.type == "cuda":
            torch.cuda.synchronize()

    return run


if __name__ == "__main__":
    main()
