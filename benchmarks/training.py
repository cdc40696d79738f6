"""How fast members train, as shares of a bare loop: the same net on tensors prepared beforehand, without augmentation.

Measured in turn, round after round, in one process: the bare loop; ours, with the preset `strong`; the same
augmentation face by face in albumentations behind a `DataLoader`, as Lightning's users have it; and Lightning itself
where it is installed (`pip install lightning`; it is no dependency).

Run from the repository root: `python -m benchmarks.training`.
"""

from __future__ import annotations

import json
import os
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from backbones.registry import LOSSES
from ensemble.expression import EXPRESSIONS
from ensemble.spec import ComponentSpec, MemberSpec
from pipelines.atomic import write_json
from pipelines.augmentation import PRESETS, Augmentation
from pipelines.batches import FaceBatches
from pipelines.device import autocast, choose_device, describe_device, resolve_precision
from pipelines.environment import core_count
from pipelines.member import Member
from pipelines.plan import make_plan
from pipelines.trainer import Trainer, Watcher
from pipelines.unfreezing import Lesson

RESULT = Path(__file__).parent / "results" / "training.json"
MEMBERS = Path(__file__).with_suffix(".yaml")
ROUNDS, BATCH = 5, 128
STEPS = {"cpu": {"small": 224, "residual": 24, "resnet18": 8}, "cuda": {"small": 200, "residual": 200, "resnet18": 200}}


def main() -> None:
    """Measure, print and store."""
    device = choose_device(None)
    threads = torch.get_num_threads()
    nets = {}
    for spec in make_plan(MEMBERS).members:
        nets[spec.name] = _measure(spec, device, STEPS[device.type][spec.name])
        print(spec.name, json.dumps(nets[spec.name]), flush=True)
    result = {
        "device": describe_device(device), "torch": torch.__version__, "threads": threads,
        "processors": os.cpu_count(), "load": round(os.getloadavg()[0], 1), "batch": BATCH, "rounds": ROUNDS,
        "precision": resolve_precision("auto", device), "nets": nets,
    }  # fmt: skip
    write_json(RESULT, result)


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
        "dataloader": _loader_way(member, faces, targets),
    }
    if find_spec("lightning") is not None:
        ways["lightning"] = _lightning(member, faces, targets)
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


def _timed(member: Member, run: Callable[[], None]) -> float:
    started = time.perf_counter()
    run()
    if member.device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - started


def _step(member: Member, optimizer: torch.optim.Optimizer, x: Tensor, y: Tensor) -> None:
    precision = resolve_precision("auto", member.device)
    with autocast(precision, member.device):
        logits = member.network(x)
    loss = nn.functional.cross_entropy(logits.float(), y)
    optimizer.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    optimizer.step()


def _sgd(member: Member) -> torch.optim.Optimizer:
    """The member's optimiser as torch has it."""
    spec = member.spec.optimizer
    return torch.optim.SGD(
        member.network.parameters(), lr=spec.lr, momentum=spec.momentum, weight_decay=spec.weight_decay,
        nesterov=spec.nesterov,
    )  # fmt: skip


def _bare(member: Member, faces: npt.NDArray[np.uint8], targets: npt.NDArray[np.float32]) -> Callable[[], float]:
    """Everything that could be done before is done: input and labels of every batch lie on the device."""
    optimizer = _sgd(member)
    ready: list[tuple[Tensor, Tensor]] = []
    for start in range(0, len(faces), BATCH):
        x = member.input_layer(torch.from_numpy(faces[start : start + BATCH]).to(member.device))
        y = torch.from_numpy(targets[start : start + BATCH]).to(member.device)
        ready.append((x.contiguous(memory_format=torch.channels_last), y))

    def run() -> None:
        member.network.train()
        for x, y in ready:
            _step(member, optimizer, x, y)

    return lambda: _timed(member, run)


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


class _Faces(Dataset[tuple[Tensor, Tensor]]):
    """What fastai's and Lightning's users write: a face, transformed by albumentations, as a tensor."""

    def __init__(self, faces: npt.NDArray[np.uint8], targets: npt.NDArray[np.float32]) -> None:
        import albumentations

        steps = [ComponentSpec(**step) for step in PRESETS["strong"]]
        self.chain = albumentations.Compose([getattr(albumentations, s.kind)(**s.parameters) for s in steps])
        self.faces, self.targets = faces, targets

    def __len__(self) -> int:
        return len(self.faces)

    def __getitem__(self, row: int) -> tuple[Tensor, Tensor]:
        face = self.chain(image=self.faces[row][..., None])["image"][..., 0]
        return torch.from_numpy(np.ascontiguousarray(face)), torch.from_numpy(self.targets[row])


def _loader(member: Member, faces: npt.NDArray[np.uint8], targets: npt.NDArray[np.float32]) -> DataLoader[Any]:
    workers = min(8, core_count())
    return DataLoader(
        _Faces(faces, targets), batch_size=BATCH, shuffle=True, num_workers=workers, persistent_workers=True,
        pin_memory=member.device.type == "cuda",
    )  # fmt: skip


def _loader_way(member: Member, faces: npt.NDArray[np.uint8], targets: npt.NDArray[np.float32]) -> Callable[[], float]:
    optimizer, loader = _sgd(member), _loader(member, faces, targets)

    def batches() -> Iterator[tuple[Tensor, Tensor]]:
        for x, y in loader:
            ready = member.input_layer(x.to(member.device, non_blocking=True))
            yield ready.contiguous(memory_format=torch.channels_last), y.to(member.device, non_blocking=True)

    def run() -> None:
        member.network.train()
        for x, y in batches():
            _step(member, optimizer, x, y)

    return lambda: _timed(member, run)


def _lightning(member: Member, faces: npt.NDArray[np.uint8], targets: npt.NDArray[np.float32]) -> Callable[[], float]:
    import lightning  # type: ignore[import-not-found, unused-ignore]

    warnings.filterwarnings("ignore", module="lightning")

    class Module(lightning.LightningModule):  # type: ignore[misc, unused-ignore]
        """A member as a LightningModule."""

        def __init__(self) -> None:
            super().__init__()
            self.network = member.network

        def training_step(self, batch: tuple[Tensor, Tensor], index: int) -> Tensor:
            x = member.input_layer(batch[0]).contiguous(memory_format=torch.channels_last)
            return nn.functional.cross_entropy(self.network(x).float(), batch[1])

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return _sgd(member)

    loader = _loader(member, faces, targets)
    precision = "bf16-mixed" if resolve_precision("auto", member.device) == "bfloat16" else "32-true"

    class Clock(lightning.Callback):  # type: ignore[misc, unused-ignore]
        """Time of the epoch alone, without the start of the trainer."""

        seconds = 0.0

        def on_train_epoch_start(self, trainer: Any, module: Any) -> None:
            self.started = time.perf_counter()

        def on_train_epoch_end(self, trainer: Any, module: Any) -> None:
            if member.device.type == "cuda":
                torch.cuda.synchronize()
            self.seconds = time.perf_counter() - self.started

    def run() -> float:
        clock = Clock()
        trainer = lightning.Trainer(
            max_epochs=1, accelerator="gpu" if member.device.type == "cuda" else "cpu", devices=1, logger=False,
            enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False, callbacks=[clock],
            precision=precision,
        )  # fmt: skip
        trainer.fit(Module(), loader)
        return clock.seconds

    return run


if __name__ == "__main__":
    main()
