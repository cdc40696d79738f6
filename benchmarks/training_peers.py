"""The training loops of others that `python -m benchmarks.training` measures: a plain one, and Lightning's."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from ensemble.spec import ComponentSpec
from pipelines.augmentation import PRESETS
from pipelines.device import autocast, resolve_precision
from pipelines.environment import core_count
from pipelines.member import Member

__all__ = ["BATCH", "lightning_way", "loader_way", "plain_sgd", "plain_step", "timed"]

BATCH = 128


def plain_sgd(member: Member) -> torch.optim.Optimizer:
    """The member's optimiser as torch has it."""
    spec = member.spec.optimizer
    return torch.optim.SGD(
        member.network.parameters(), lr=spec.lr, momentum=spec.momentum, weight_decay=spec.weight_decay,
        nesterov=spec.nesterov,
    )  # fmt: skip


def plain_step(member: Member, optimizer: torch.optim.Optimizer, x: Tensor, y: Tensor) -> None:
    """One update as everybody writes it."""
    precision = resolve_precision("auto", member.device)
    with autocast(precision, member.device):
        logits = member.network(x)
    loss = nn.functional.cross_entropy(logits.float(), y)
    optimizer.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    optimizer.step()


def timed(member: Member, run: Callable[[], None]) -> float:
    """Seconds of a call, on the device too."""
    started = time.perf_counter()
    run()
    if member.device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - started


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


def loader_way(member: Member, faces: npt.NDArray[np.uint8], targets: npt.NDArray[np.float32]) -> Callable[[], float]:
    """An epoch of a plain loop over a `DataLoader`."""
    optimizer, loader = plain_sgd(member), _loader(member, faces, targets)

    def batches() -> Iterator[tuple[Tensor, Tensor]]:
        for x, y in loader:
            ready = member.input_layer(x.to(member.device, non_blocking=True))
            yield ready.contiguous(memory_format=torch.channels_last), y.to(member.device, non_blocking=True)

    def run() -> None:
        member.network.train()
        for x, y in batches():
            plain_step(member, optimizer, x, y)

    return lambda: timed(member, run)


def lightning_way(
    member: Member, faces: npt.NDArray[np.uint8], targets: npt.NDArray[np.float32]
) -> Callable[[], float]:
    """An epoch of Lightning's trainer."""
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
            return plain_sgd(member)

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
