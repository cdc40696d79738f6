"""Growing faces: small ones first, the full size in the last epochs, the same weights when interrupted."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from support import Outcome
from torch import nn

from backbones.contract import InputShape
from backbones.errors import InputError
from ensemble.grow_spec import GrowSpec
from ensemble.spec import MemberSpec
from pipelines.growth import Growth, check_growth
from pipelines.plan import make_plan

RECIPE = """
name: grown
data: {source: synthetic, count: 140}
defaults:
  batch_size: 32
  input: {size: 24}
  backbone: {kind: scratch_cnn, pooling: POOLING, blocks: [{filters: 4, stride: 2}, {filters: 6}]}
members:
  - {name: net, epochs: EPOCHS, select: last, grow: GROW}
"""


def recipe(*, pooling: str = "average", epochs: int = 4, grow: str = "{size: 12, until: 0.5}") -> Path:
    path = Path("grown.yaml")
    path.write_text(RECIPE.replace("POOLING", pooling).replace("EPOCHS", str(epochs)).replace("GROW", grow))
    return path


@pytest.mark.parametrize(
    ("epochs", "until", "small"), [(10, 0.95, 9), (1, 0.5, 0), (60, 0.3, 18), (60, 0.4, 24), (3, 0.34, 1)]
)
def test_the_last_epoch_sees_whole_faces(epochs: int, until: float, small: int) -> None:
    growth, sides = Growth(GrowSpec(size=12, until=until), epochs=epochs), []
    for epoch in range(epochs):
        growth.begin(epoch)
        sides.append(growth(torch.zeros(1, 1, 24, 24)).shape[-1])
    assert sides == [12] * small + [24] * (epochs - small)


def test_faces_are_small_until_their_share_of_the_epochs() -> None:
    growth, sides = Growth(GrowSpec(size=12, until=0.6), epochs=5), []
    for epoch in range(5):
        growth.begin(epoch)
        sides.append(growth(torch.zeros(2, 1, 24, 24)).shape[-1])
    assert sides == [12, 12, 12, 24, 24]


def test_reduced_faces_are_averaged_not_sampled() -> None:
    stripes = torch.arange(24).remainder(2).float().expand(1, 1, 24, 24)
    small = Growth(GrowSpec(size=12), epochs=2)(stripes)
    torch.testing.assert_close(small[..., 2:-2], torch.full((1, 1, 12, 8), 0.5), atol=0.07, rtol=0)


def test_a_network_of_one_size_is_refused() -> None:
    shape = InputShape(channels=1, size=24)
    flat = nn.Sequential(nn.Flatten(), nn.Linear(24 * 24, 7)).train()
    with pytest.raises(InputError, match=r"inputs of any size because of `grow`, but this one fails at 12 pixels"):
        check_growth(flat, GrowSpec(size=12), shape)
    assert flat.training
    with pytest.raises(InputError, match=r"`grow.size` to be below `input.size`, 24, but got 24"):
        check_growth(nn.Identity(), GrowSpec(size=24), shape)


def test_a_spec_without_it_keeps_its_fingerprint() -> None:
    spec = MemberSpec.model_validate({"name": "net", "backbone": {"kind": "pixels"}})
    assert "grow" not in spec.model_dump(mode="json")
    assert spec.fingerprint("x") != spec.model_copy(update={"grow": GrowSpec(size=8)}).fingerprint("x")


@pytest.mark.parametrize(
    ("grow", "said"),
    [
        ("{size: 12, until: 1.0}", r"members\[0\].grow.until: Expected"),
        ("{until: 0.5}", r"members\[0\].grow.size"),
        ("{size: 12}, freeze: backbone", r"members\[0\].grow: Expected none beside `freeze: backbone`"),
    ],
)
def test_mistakes_are_told_before_anything_is_read(tmp_path: Path, monkeypatch, grow: str, said: str) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=said):
        make_plan(recipe(grow=grow))


def test_a_fit_grows_and_resumes_to_the_same_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cli: Callable[..., Outcome]
) -> None:
    monkeypatch.chdir(tmp_path)
    seen: list[int] = []
    forward = nn.Conv2d.forward

    def noted(self: nn.Conv2d, x: torch.Tensor) -> torch.Tensor:
        if self.training and self.in_channels == 1:
            seen.append(x.shape[-1])
        return forward(self, x)

    monkeypatch.setattr(nn.Conv2d, "forward", noted)
    fit = ("fit", "--members", str(recipe()), "--jobs", "1", "--no-track", "-q", "--out")
    assert cli(*fit, "whole").code == 0
    steps = len(seen) // 4
    assert seen == [12] * 2 * steps + [24] * 2 * steps

    def stop(self: nn.Conv2d, x: torch.Tensor) -> torch.Tensor:
        if len(seen) > 5 * steps:  # in the second epoch
            raise KeyboardInterrupt
        return noted(self, x)

    monkeypatch.setattr(nn.Conv2d, "forward", stop)
    assert cli(*fit, "stopped").code == 130
    monkeypatch.setattr(nn.Conv2d, "forward", forward)
    assert cli(*fit, "stopped").code == 0
    whole, stopped = (load_file(f"{out}/members/net/weights.safetensors") for out in ("whole", "stopped"))
    assert all(torch.equal(whole[name], stopped[name]) for name in whole)


def test_a_recipe_that_cannot_grow_ends_with_one_message(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cli: Callable[..., Outcome]
) -> None:
    monkeypatch.chdir(tmp_path)
    outcome = cli("fit", "--members", str(recipe(pooling="flatten")), "--no-track")
    assert outcome.code == 2
    assert "member `net`: Expected a network for inputs of any size because of `grow`" in outcome.err
