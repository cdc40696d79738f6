"""Mixed batches: pixels and labels in the same shares, drawn as the papers say, repeatable."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from backbones.errors import InputError
from ensemble.mix_spec import MixSpec
from ensemble.spec import MemberSpec
from pipelines.mixing import Mixing
from pipelines.plan import make_plan

CLASSES = 5


def batch(count: int = 6, size: int = 20) -> tuple[Tensor, Tensor]:
    """Faces of one grey level each, which is their label: 0, 1, … as pixels and as classes."""
    labels = torch.arange(count) % CLASSES
    x = labels.float()[:, None, None, None].expand(-1, 2, size, size).clone()
    return x, torch.eye(CLASSES)[labels]


def expectation(targets: Tensor) -> Tensor:
    return targets @ torch.arange(CLASSES).float()


@pytest.mark.parametrize("spec", [MixSpec(mixup=0.4), MixSpec(cutmix=1.0), MixSpec(mixup=0.2, cutmix=0.7)])
def test_labels_are_mixed_in_the_shares_of_the_pixels(spec: MixSpec) -> None:
    mixing = Mixing(spec, seed=1, epochs=4)
    changed = 0
    for _ in range(30):
        x, targets = batch()
        before = x.clone()
        y, mixed = mixing(x, targets)
        assert torch.equal(x, before)  # the batch itself is left alone
        torch.testing.assert_close(mixed.sum(dim=1), torch.ones(6))
        torch.testing.assert_close(y.mean(dim=(1, 2, 3)), expectation(mixed), rtol=1e-4, atol=1e-4)
        changed += int(not torch.equal(y, x))
    assert changed > 20


def test_mixup_blends_and_cutmix_pastes() -> None:
    x, targets = batch()
    blended, _ = Mixing(MixSpec(mixup=1.0), seed=3, epochs=1)(x, targets)
    assert all(len(face.unique()) == 1 for face in blended)
    pasted, _ = Mixing(MixSpec(cutmix=1.0), seed=3, epochs=1)(x, targets)
    assert set(pasted.unique().tolist()) <= set(range(CLASSES))
    boxes = [(face[0] != own[0]).nonzero() for face, own in zip(pasted, x, strict=True)]
    for box in filter(len, boxes):  # a rectangle: as many pixels as its corners enclose
        rows, columns = (box.max(dim=0).values - box.min(dim=0).values + 1).tolist()
        assert rows * columns == len(box)


def test_shares_follow_the_beta_distribution() -> None:
    mixing, shares = Mixing(MixSpec(mixup=0.3), seed=0, epochs=1), []
    x = torch.zeros(2, 1, 1, 1)
    x[1] = 1.0
    for _ in range(3000):
        y, _ = mixing(x, torch.eye(2))
        if not torch.equal(y, x) and y[0] != y[1]:
            shares.append(float(y[1]))
    expected = np.random.default_rng(1).beta(0.3, 0.3, 100_000)
    grid = np.linspace(0.02, 0.98, 25)
    ours = np.searchsorted(np.sort(shares), grid) / len(shares)
    theirs = np.searchsorted(np.sort(expected), grid) / len(expected)
    assert np.abs(ours - theirs).max() < 0.06


def test_share_of_batches_and_of_epochs() -> None:
    def mixed(spec: MixSpec, epoch: int, epochs: int = 10) -> int:
        mixing = Mixing(spec, seed=0, epochs=epochs)
        mixing.begin(epoch)
        return sum(not torch.equal(mixing(*batch())[1], batch()[1]) for _ in range(200))

    assert 60 < mixed(MixSpec(mixup=1.0, share=0.5), 0) < 130
    assert mixed(MixSpec(mixup=1.0, until=0.8), 7) > 150
    assert mixed(MixSpec(mixup=1.0, until=0.8), 8) == 0
    assert mixed(MixSpec(mixup=1.0, until=0.55), 11, epochs=20) == 0  # 0.55 · 20 is a little more than 11


def test_epochs_draw_otherwise_and_repeat() -> None:
    def drawn(epoch: int, before: int = 0) -> Tensor:
        mixing = Mixing(MixSpec(mixup=0.5, cutmix=0.5), seed=2, epochs=9)
        for earlier in range(before):
            mixing.begin(earlier)
            mixing(*batch())
        mixing.begin(epoch)
        return torch.stack([mixing(*batch())[1] for _ in range(5)])

    assert torch.equal(drawn(3), drawn(3, before=3))
    assert not torch.equal(drawn(3), drawn(4))


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("mix: {}", "members[0].mix: Expected `mix` to be valid (`mixup` or `cutmix` above 0)"),
        ("mix: {mixup: -1}", "members[0].mix.mixup: Expected `mixup` to be at least 0, but got -1."),
        ("mix: {mixup: 1, share: 2}", "members[0].mix.share: Expected `share` to be at most 1, but got 2."),
        ("mix: {mixups: 1}", "Did you mean `mixup`?"),
        ("mix: {cutmix: 1}\n    freeze: backbone", "members[0].mix: Expected none beside `freeze: backbone`"),
    ],
)
def test_table_of_mistakes(tmp_path, line: str, message: str) -> None:  # type: ignore[no-untyped-def]
    path = tmp_path / "members.yaml"
    path.write_text(
        "name: x\ndata: {source: synthetic, count: 50}\nmembers:\n"
        f"  - name: a\n    backbone: {{kind: scratch_cnn, blocks: [{{filters: 4}}]}}\n    {line}\n"
    )
    with pytest.raises(InputError) as caught:
        make_plan(path)
    assert message in str(caught.value)


def test_members_without_it_keep_their_fingerprint() -> None:
    plain = {"name": "m", "backbone": {"kind": "pixels"}}
    assert "mix" not in MemberSpec.model_validate(plain).model_dump(mode="json")
    keys = {MemberSpec.model_validate({**plain, "mix": mix}).fingerprint("d") for mix in (None, {"mixup": 1})}
    assert len(keys) == 2
