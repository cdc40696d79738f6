from __future__ import annotations

import threading

import numpy as np
import pytest
import torch

from pipelines.augmentation import Augmentation
from pipelines.batches import FaceBatches, FeatureBatches, prefetched
from pipelines.seed import derived_seed


def faces(count: int = 23) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, 16, 16), dtype=np.uint8)


def make(augment: str = "strong", seed: int = 1, count: int = 23) -> FaceBatches:
    return FaceBatches(
        faces(count), np.eye(count, dtype=np.float32), augmentation=Augmentation(augment), batch_size=5, seed=seed,
        device=torch.device("cpu"),
    )  # fmt: skip


def collect(batches: FaceBatches, epoch: int) -> tuple[torch.Tensor, torch.Tensor]:
    pairs = list(batches.epoch(epoch))
    return torch.cat([x for x, _ in pairs]), torch.cat([y for _, y in pairs])


def test_an_epoch_follows_from_seed_and_number_alone() -> None:
    fresh, used = make(), make()
    collect(used, 0)
    collect(used, 1)
    for a, b in zip(collect(fresh, 2), collect(used, 2), strict=True):
        assert torch.equal(a, b)
    assert not torch.equal(collect(make(), 0)[1], collect(make(), 1)[1])
    assert not torch.equal(collect(make(), 0)[1], collect(make(seed=2), 0)[1])


def test_preparing_ahead_changes_nothing() -> None:
    ahead = make()
    assert not ahead.ahead
    ahead.ahead = True  # as on a GPU
    for a, b in zip(collect(ahead, 3), collect(make(), 3), strict=True):
        assert torch.equal(a, b)


def test_every_face_at_most_once_and_all_but_a_rest() -> None:
    _, targets = collect(make(augment="none"), 0)
    assert len(targets) == 20
    assert len(make()) == 4
    assert targets.sum(0).max() == 1


@pytest.mark.parametrize("count", [4, 23, 203])
def test_faces_and_targets_stay_together(count: int) -> None:
    images, targets = collect(make(augment="none", count=count), 5)
    assert torch.equal(images, torch.from_numpy(faces(count))[targets.argmax(1)])


@pytest.mark.parametrize("ahead", [False, True])
def test_many_batches_are_augmented_in_several_goes(ahead: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []
    augment = Augmentation.__call__

    def spy(self: Augmentation, images: torch.Tensor) -> torch.Tensor:
        sizes.append(len(images))
        return augment(self, images)

    monkeypatch.setattr(Augmentation, "__call__", spy)
    batches = make(count=403)
    batches.ahead = ahead
    assert [(len(x), len(y)) for x, y in batches.epoch(0)] == [(5, 5)] * len(batches) == [(5, 5)] * 80
    assert sizes == [160, 160, 80]


def test_large_faces_are_augmented_a_batch_at_a_time() -> None:
    images = np.zeros((20, 1000, 1000, 3), np.uint8)
    batches = FaceBatches(
        images, np.eye(20, dtype=np.float32), augmentation=Augmentation("none"), batch_size=5, seed=0,
        device=torch.device("cpu"),
    )  # fmt: skip
    goes = [x.untyped_storage().nbytes() for x, _ in batches.epoch(0)]
    assert goes == [5 * images[0].nbytes] * 4


def test_features_draw_one_of_the_views() -> None:
    features = np.stack([np.full((30, 2), v, np.float32) for v in (0, 1)])
    batches = FeatureBatches(features, np.eye(30, dtype=np.float32), batch_size=10, seed=0)
    drawn = torch.cat([x for x, _ in batches.epoch(0)])[:, 0]
    assert 5 < drawn.sum() < 25
    again = torch.cat([x for x, _ in batches.epoch(0)])[:, 0]
    assert torch.equal(drawn, again)


def test_prefetching_raises_what_the_work_raises_and_ends_its_thread() -> None:
    def work(item: int) -> int:
        if item == 3:
            raise ValueError("three")
        return item

    done = []
    with pytest.raises(ValueError, match="three"):
        done.extend(prefetched(work, list(range(9))))
    early = prefetched(work, [0, 1, 2])
    assert next(early) == 0
    early.close()  # type: ignore[attr-defined]
    assert not [t for t in threading.enumerate() if t.name.startswith("prefetch")]


def test_wrong_augmentation_is_one_clear_error() -> None:
    from backbones.errors import InputError
    from ensemble.spec import ComponentSpec

    with pytest.raises(InputError, match="Did you mean `strong`"):
        Augmentation("stong")
    with pytest.raises(InputError, match=r"augment\[0\].kind: .*Did you mean `HorizontalFlip`"):
        Augmentation([ComponentSpec(kind="HorizontalFlop")])
    with pytest.raises(InputError, match=r"augment\[0\]: Expected valid parameters of Affine"):
        Augmentation([ComponentSpec(kind="Affine", rotate="much")])


def test_derived_seeds_differ_and_fit_everywhere() -> None:
    seeds = {derived_seed(s, what, e) for s in range(5) for what in ("order", "augment") for e in range(5)}
    assert len(seeds) == 50
    assert all(0 <= s < 2**63 for s in seeds)
