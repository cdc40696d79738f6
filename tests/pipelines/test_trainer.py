from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from backbones.contract import Loss
from backbones.errors import InputError
from backbones.registry import LOSSES
from ensemble.spec import ComponentSpec, MemberSpec
from pipelines.batches import FeatureBatches
from pipelines.checkpoint import load_checkpoint
from pipelines.checkpoint_place import CHECKPOINT, PREVIOUS
from pipelines.progress import Progress
from pipelines.trainer import Trainer, Watcher
from pipelines.unfreezing import Lesson


class StopError(Exception):
    pass


class StopAfter(Watcher):
    """Interrupts training at a batch of an epoch, the way a signal would."""

    def __init__(self, epoch: int, batch: int) -> None:
        self.at, self.now = (epoch, batch), 0

    def start(self, progress: Progress) -> None:
        self.now = progress.epoch

    def batch(self, done: int, total: int) -> None:
        if (self.now, done) == self.at:
            raise StopError

    def epoch(self, progress: Progress) -> None:
        self.now = progress.epoch


def make_spec(**changes: Any) -> MemberSpec:
    fields = {"name": "m", "backbone": ComponentSpec(kind="light_cnn"), "epochs": 4, "batch_size": 8, "seed": 3}
    return MemberSpec.model_validate(fields | changes)


def make_trainer(spec: MemberSpec, checkpoint: Path, watcher: Watcher | None = None, **changes: Any) -> Trainer:
    rng = np.random.default_rng(0)
    features = rng.normal(size=(2, 40, 6)).astype(np.float32)
    targets = np.eye(3, dtype=np.float32)[rng.integers(3, size=40)]
    torch.manual_seed(spec.seed)
    model = nn.Sequential(
        nn.Unflatten(1, (1, 2, 3)), nn.Conv2d(1, 4, 2), nn.BatchNorm2d(4), nn.Flatten(), nn.Dropout(0.3)
    )
    model.append(nn.Linear(8, 3))
    model = model.to(memory_format=torch.channels_last)
    validation, labels = torch.from_numpy(features[0]), torch.from_numpy(targets).argmax(1)

    def validate(network: nn.Module) -> tuple[float, float]:
        network.eval()
        with torch.inference_mode():
            logits = network(validation)
        return nn.functional.cross_entropy(logits, labels).item(), (logits.argmax(1) == labels).float().mean().item()

    lesson = Lesson(
        part=model, prepare=nn.Identity(), validate=changes.pop("validate", validate),
        batches=FeatureBatches(features, targets, batch_size=spec.batch_size, seed=spec.seed),
    )  # fmt: skip
    fields: dict[str, Any] = {
        "model": model, "lesson": lesson, "loss": LOSSES.build("cross_entropy", torch.ones(3)),
        "spec": spec, "fingerprint": "f", "device": torch.device("cpu"), "checkpoint": checkpoint,
        "watcher": watcher or Watcher(),
    }  # fmt: skip
    return Trainer(**(fields | changes))


def state_of(trainer: Trainer) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in trainer.model.state_dict().items()}


@pytest.mark.parametrize("where", [(0, 1), (1, 3), (2, 5), (3, 2)])
@pytest.mark.parametrize(
    "changes",
    [
        {"optimizer": {"kind": "sgd", "lr": 0.1}, "schedule": {"warmup_epochs": 1.5}},
        {"optimizer": {"kind": "adam", "lr": 0.01}, "ema": 0.7},
        {"optimizer": {"kind": "adamw", "lr": 0.01}, "clip": 0.5, "select": "accuracy"},
        {"optimizer": {"kind": "rmsprop", "lr": 0.003}, "schedule": {"kind": "step", "decay_epochs": 2}},
    ],
    ids=["sgd", "adam-ema", "adamw-clip", "rmsprop-step"],
)
def test_an_interrupted_run_ends_with_the_same_bits(
    tmp_path: Path, changes: dict[str, Any], where: tuple[int, int]
) -> None:
    spec = make_spec(**changes)
    whole = make_trainer(spec, tmp_path / "whole")
    expected = whole.run()
    with pytest.raises(StopError):
        make_trainer(spec, tmp_path / "parts", StopAfter(*where)).run()
    resumed = make_trainer(spec, tmp_path / "parts")
    progress = resumed.run()
    for name, tensor in state_of(whole).items():
        assert torch.equal(tensor, state_of(resumed)[name]), name
    assert [{**h, "seconds": 0} for h in progress.history] == [{**h, "seconds": 0} for h in expected.history]
    assert progress.best_epoch == expected.best_epoch


def test_it_learns(tmp_path: Path) -> None:
    trainer = make_trainer(make_spec(epochs=30, optimizer={"lr": 0.02}), tmp_path / "c")
    history = trainer.run().history
    assert history[-1]["train_loss"] < history[0]["train_loss"] - 0.05


def test_the_best_epoch_is_kept(tmp_path: Path) -> None:
    scores = iter([(1.0, 0.3), (0.5, 0.2), (0.9, 0.9), (0.8, 0.1)])
    kept: list[dict[str, Tensor]] = []

    def validate(network: nn.Module) -> tuple[float, float]:
        kept.append({k: v.clone() for k, v in network.state_dict().items()})
        return next(scores)

    trainer = make_trainer(make_spec(select="nll"), tmp_path / "c", validate=validate)
    assert trainer.run().best_epoch == 2
    assert all(torch.equal(tensor, kept[1][name]) for name, tensor in state_of(trainer).items())


@pytest.mark.parametrize(("select", "best"), [("nll", 2), ("accuracy", 3), ("last", 4)])
def test_selection(tmp_path: Path, select: str, best: int) -> None:
    scores = iter([(1.0, 0.3), (0.5, 0.2), (0.9, 0.9), (0.8, 0.1)])
    assert (
        make_trainer(make_spec(select=select), tmp_path / "c", validate=lambda _: next(scores)).run().best_epoch == best
    )


def test_patience_ends_training_early(tmp_path: Path) -> None:
    scores = iter([(1.0, 0.3), (2.0, 0.2), (3.0, 0.1), (0.1, 0.9)])
    progress = make_trainer(make_spec(patience=2), tmp_path / "c", validate=lambda _: next(scores)).run()
    assert (progress.epoch, progress.best_epoch) == (3, 1)


class NaN(Loss):
    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        return logits.sum() * float("nan")


def test_a_loss_that_is_no_number_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match=r"finite training loss of member `m`.*epoch 1, batch 1\. Lower `optimizer.lr`"
    ):
        make_trainer(make_spec(), tmp_path / "c", loss=NaN()).run()


def test_a_validation_that_is_no_number_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="finite"):
        make_trainer(make_spec(), tmp_path / "c", validate=lambda _: (float("nan"), 0.0)).run()


def test_a_checkpoint_of_another_member_is_not_used(tmp_path: Path) -> None:
    path = tmp_path / "c"
    make_trainer(make_spec(), path).run()
    assert load_checkpoint(path, "f").progress is not None
    other = load_checkpoint(path, "other")
    assert (other.progress, other.note) == (None, None)
    absent = load_checkpoint(tmp_path / "absent", "f")
    assert (absent.progress, absent.note) == (None, None)


def damaged(data: bytes, how: str) -> bytes:
    """A flipped bit in the header's text, in a tensor, or a cut."""
    if how == "cut":
        return data[:-7]
    place = data.index(b"fingerprint") + 3 if how == "header" else len(data) - 5
    return data[:place] + bytes([data[place] ^ 4]) + data[place + 1 :]


@pytest.mark.parametrize("how", ["cut", "header", "tensor"])
def test_a_damaged_checkpoint_is_told_and_the_one_before_is_gone_on_from(tmp_path: Path, how: str) -> None:
    path, spec = tmp_path / CHECKPOINT, make_spec(ema=0.5)
    whole = make_trainer(spec, tmp_path / "whole")
    whole.run()
    with pytest.raises(StopError):
        make_trainer(spec, path, StopAfter(2, 1)).run()
    path.write_bytes(damaged(path.read_bytes(), how))
    told = Told()
    again = make_trainer(spec, path, told)
    again.run()
    assert told.lines == [
        f"{CHECKPOINT} is damaged: goes on from the previous one, after epoch 1, with the same result"
    ]
    assert told.started == 1
    same, expected = state_of(again), state_of(whole)
    assert all(torch.equal(same[name], expected[name]) for name in expected)


def test_without_a_whole_checkpoint_it_begins_anew(tmp_path: Path) -> None:
    path = tmp_path / CHECKPOINT
    with pytest.raises(StopError):
        make_trainer(make_spec(), path, StopAfter(2, 1)).run()
    for place in (path, path.with_name(PREVIOUS)):
        place.write_bytes(b"")
    told = Told()
    make_trainer(make_spec(), path, told).run()
    assert told.lines == [f"{CHECKPOINT} and {PREVIOUS} are damaged: begins anew, with the same result"]
    assert told.started == 0


class Told(Watcher):
    """Keeps what the loop says."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.started = -1

    def note(self, line: str) -> None:
        self.lines.append(line)

    def start(self, progress: Progress) -> None:
        self.started = progress.epoch


def test_biases_and_norms_are_not_decayed_and_frozen_parameters_not_optimised(tmp_path: Path) -> None:
    from pipelines.optimization import make_optimizer

    model = nn.Module()
    model.backbone = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
    model.head = nn.Linear(4, 2)
    model.backbone[0].weight.requires_grad_(False)
    spec = make_spec(optimizer={"lr": 0.1, "weight_decay": 0.2}).optimizer
    groups = {(g["lr"], g["weight_decay"]): len(g["params"]) for g in make_optimizer(model, spec).param_groups}
    assert groups == {(0.1, 0.2): 1, (0.1, 0.0): 4}


@pytest.mark.parametrize("fused", [False, True])
def test_a_step_counter_is_restored_where_the_kernels_look_for_it(fused: bool) -> None:
    """Fused kernels read it beside the parameters, the others on the CPU."""
    from pipelines.checkpoint import restore_optimizer

    parameter = nn.Parameter(torch.empty(3, device="meta"))
    optimizer = torch.optim.Adam([parameter])
    optimizer.defaults["fused"] = fused
    restore_optimizer(optimizer, {"0/step": torch.tensor(5.0), "0/exp_avg": torch.ones(3)})
    state = optimizer.state[parameter]
    assert state["step"].device.type == ("meta" if fused else "cpu")
    assert state["exp_avg"].device.type == "meta"
