"""Members whose stages begin to learn in a later epoch: what learns when, from what, and after an interruption."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from backbones.errors import InputError
from backbones.freeze import frozen_stages
from ensemble.expression import EXPRESSIONS
from ensemble.faces import Faces
from ensemble.spec import MemberSpec
from pipelines.bundle import WEIGHTS
from pipelines.fit_data import FitData
from pipelines.member import Member
from pipelines.member_fit import HISTORY, fit_member
from pipelines.progress import Progress
from pipelines.trainer import Watcher

BACKBONE = {"kind": "scratch_cnn", "blocks": [{"filters": 4}, {"filters": 6}, {"filters": 8}], "pooling": "average"}
PROBE = {"kind": "probe", "epochs": 2}
GRADUAL = {"kind": "gradual", "every": 1}


def make_faces(split: str, count: int) -> Faces:
    rng = np.random.default_rng(count)
    labels = np.arange(count) % 7
    images = np.clip(rng.normal(30 * labels[:, None, None], 40, (count, 16, 16)), 0, 255).astype(np.uint8)
    ids = np.array([f"{split}{i}" for i in range(count)])
    return Faces.of(split=split, classes=EXPRESSIONS, ids=ids, images=images, labels=labels)


DATA = FitData(train=make_faces("train", 56), validation=make_faces("validation", 28))


def make_member(**fields: Any) -> Member:
    content = {"name": "m", "backbone": BACKBONE, "epochs": 5, "batch_size": 14, "input": {"size": 16}, **fields}
    spec = MemberSpec.model_validate(content)
    return Member.build(spec, classes=EXPRESSIONS, face_size=16, device=torch.device("cpu"))


class StopError(Exception):
    pass


class Diary(Watcher):
    """Notes what is frozen and what every stage holds after an epoch; may stop at a batch, the way a signal would."""

    def __init__(self, member: Member, stop: tuple[int, int] | None = None) -> None:
        self.member, self.stop, self.now = member, stop, 0
        self.frozen: list[list[str]] = []
        self.states: list[dict[str, dict[str, Tensor]]] = [self.state()]

    def state(self) -> dict[str, dict[str, Tensor]]:
        network = self.member.network
        parts = {**network.backbone.stages(), "head": network.head}
        return {name: {k: t.clone() for k, t in part.state_dict().items()} for name, part in parts.items()}

    def start(self, progress: Progress) -> None:
        self.now = progress.epoch

    def batch(self, done: int, total: int) -> None:
        if (self.now, done) == self.stop:
            raise StopError

    def epoch(self, progress: Progress) -> None:
        self.now = progress.epoch
        self.frozen.append(frozen_stages(self.member.network.backbone))
        self.states.append(self.state())

    def changed(self) -> list[set[str]]:
        """The parts that an epoch changed, their batch statistics included."""
        return [
            {part for part in old if any(not torch.equal(old[part][k], new[part][k]) for k in old[part])}
            for old, new in zip(self.states, self.states[1:], strict=False)
        ]


def fit(folder: Path, cache: Path, *, stop: tuple[int, int] | None = None, **fields: Any) -> Diary:
    folder.mkdir(parents=True, exist_ok=True)
    member = make_member(**fields)
    diary = Diary(member, stop)
    fit_member(member, DATA, folder=folder, cache=cache, watcher=diary)
    return diary


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


ALL = {"block1", "block2", "block3", "head"}


@pytest.mark.parametrize(
    ("fields", "changed"),
    [
        ({}, [ALL] * 5),
        ({"unfreeze": PROBE}, [{"head"}, {"head"}, ALL, ALL, ALL]),
        ({"unfreeze": PROBE, "augment": "shift_flip"}, [{"head"}, {"head"}, ALL, ALL, ALL]),
        ({"unfreeze": PROBE, "augment": "flip"}, [{"head"}, {"head"}, ALL, ALL, ALL]),
        ({"unfreeze": GRADUAL}, [{"head"}, {"head", "block3"}, ALL - {"block1"}, ALL, ALL]),
        (
            {"unfreeze": GRADUAL, "freeze": {"until": "block1"}},
            [{"head"}, {"head", "block3"}, *[ALL - {"block1"}] * 3],
        ),
        ({"unfreeze": {"kind": "gradual", "every": 2}}, [{"head"}] * 2 + [{"head", "block3"}] * 2 + [ALL - {"block1"}]),
    ],
)
def test_an_epoch_changes_what_learns_in_it_and_nothing_else(
    tmp_path: Path, fields: dict[str, Any], changed: list[set[str]]
) -> None:
    diary = fit(tmp_path / "m", tmp_path, select="last", **fields)
    assert diary.changed() == changed
    assert [ALL - {"head"} - set(frozen) for frozen in diary.frozen] == [parts - {"head"} for parts in changed]


@pytest.mark.parametrize("stop", [(0, 2), (1, 4), (2, 1), (2, 4), (3, 3)])
@pytest.mark.parametrize(
    "fields",
    [
        {"unfreeze": PROBE, "augment": "flip", "head": {"kind": "mlp", "hidden": [6], "dropout": 0.3}},
        {"unfreeze": PROBE, "augment": "shift_flip", "optimizer": {"kind": "sgd", "lr": 0.05}, "ema": 0.7},
        {"unfreeze": GRADUAL, "optimizer": {"kind": "adamw", "layer_decay": 0.6}, "freeze": {"batch_norm": True}},
        {"unfreeze": GRADUAL, "freeze": {"until": "block1"}, "optimizer": {"kind": "rmsprop"}, "clip": 0.5},
    ],
    ids=["probe-cached", "probe-augmented-ema", "gradual-layers", "gradual-held"],
)
def test_an_interrupted_unfreezing_ends_with_the_same_bytes(
    tmp_path: Path, fields: dict[str, Any], stop: tuple[int, int]
) -> None:
    fit(tmp_path / "whole", tmp_path / "a", **fields)
    with pytest.raises(StopError):
        fit(tmp_path / "parts", tmp_path / "b", stop=stop, **fields)
    fit(tmp_path / "parts", tmp_path / "b", **fields)
    assert (tmp_path / "parts" / WEIGHTS).read_bytes() == (tmp_path / "whole" / WEIGHTS).read_bytes()
    assert history(tmp_path / "parts") == history(tmp_path / "whole")


def history(folder: Path) -> list[dict[str, float]]:
    import json

    return [{**record, "seconds": 0} for record in json.loads((folder / HISTORY).read_text())]


def test_epochs_of_the_head_alone_share_the_features_of_a_frozen_member(tmp_path: Path) -> None:
    frozen = fit(tmp_path / "frozen", tmp_path, freeze={"until": "backbone"}, select="last")
    files = sorted((tmp_path / "features").iterdir())
    times = [file.stat().st_mtime_ns for file in files]
    probe = fit(tmp_path / "probe", tmp_path, unfreeze=PROBE, select="last")
    assert sorted((tmp_path / "features").iterdir()) == files
    assert [file.stat().st_mtime_ns for file in files] == times
    # The same head from the same seed on the same features: two epochs are enough to see it.
    for epoch in (1, 2):
        for key, tensor in frozen.states[epoch]["head"].items():
            assert torch.equal(tensor, probe.states[epoch]["head"][key])


def test_augmented_epochs_of_the_head_alone_leave_no_features(tmp_path: Path) -> None:
    fit(tmp_path / "m", tmp_path, unfreeze=PROBE, augment="shift_flip")
    fit(tmp_path / "n", tmp_path, unfreeze=PROBE, input={"size": 12, "crop": 16})
    assert not (tmp_path / "features").exists()


def test_validation_in_a_probe_is_that_of_the_whole_network(tmp_path: Path) -> None:
    cached = fit(tmp_path / "m", tmp_path, unfreeze=PROBE, epochs=3)
    whole = make_member(unfreeze=PROBE, epochs=3)
    whole.input_layer.fit(DATA.train.images)
    whole.network.head.load_state_dict(cached.states[1]["head"])
    probs = whole.probabilities(DATA.validation.images)
    nll = -np.log(probs[np.arange(len(probs)), DATA.validation.labels]).mean()
    assert history(tmp_path / "m")[0]["validation_nll"] == pytest.approx(nll, abs=1e-5)


def test_patience_waits_until_everything_learns(tmp_path: Path) -> None:
    from backbones.registry import LOSSES
    from pipelines.batches import FeatureBatches
    from pipelines.trainer import Trainer
    from pipelines.unfreezing import Lesson, Unfreezing

    member = make_member(unfreeze={"kind": "gradual", "every": 2}, epochs=20, patience=2)
    unfreezing = Unfreezing(member.network, member.spec.unfreeze, head_lesson=None)
    images = np.zeros((1, 14, 1, 16, 16), np.float32)
    batches = FeatureBatches(
        images.reshape(1, 14, -1), np.eye(7, dtype=np.float32)[np.arange(14) % 7], batch_size=7, seed=0
    )
    worse = iter(range(1, 100))
    trainer = Trainer(
        model=member.network,
        lesson=Lesson(
            part=member.network, prepare=lambda x: x.view(-1, 1, 16, 16), batches=batches,
            validate=lambda _: (float(next(worse)), 0.0),
        ),
        loss=LOSSES.build("cross_entropy", torch.ones(7)), spec=member.spec, fingerprint="f",
        device=torch.device("cpu"), checkpoint=tmp_path / "c", watcher=Watcher(), unfreezing=unfreezing,
    )  # fmt: skip
    progress = trainer.run()
    assert progress.best_epoch == 1
    assert progress.epoch == 2 * 3 + 2  # every stage learns after six epochs, and two more show no better one


def test_kept_batch_statistics_stay_while_their_layers_learn(tmp_path: Path) -> None:
    diary = fit(tmp_path / "m", tmp_path, freeze={"batch_norm": True}, select="last", epochs=2)
    first, last = diary.states[0], diary.states[-1]
    for stage in ("block1", "block2", "block3"):
        for key, tensor in first[stage].items():
            kept = torch.equal(tensor, last[stage][key])
            assert kept == key.endswith(("running_mean", "running_var", "num_batches_tracked")), (stage, key)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"freeze": {"until": "block3"}}, r"member `m`: Expected a stage of ScratchCNN that `unfreeze` can let learn"),
        ({"backbone": {"kind": "pixels"}}, r"Expected a stage of Pixels that `unfreeze` can let learn"),
        ({"head": {"kind": "linear_svm"}}, r"Expected a frozen backbone under the head `linear_svm`"),
    ],
)
def test_members_with_nothing_to_unfreeze_are_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        make_member(unfreeze=PROBE, **fields)
