"""`input: {size, crop}`: random windows in training, the central one everywhere else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from ensemble.expression import EXPRESSIONS
from ensemble.faces import Faces
from ensemble.spec import InputSpec, MemberSpec
from ensemble.spec_check import check_spec
from pipelines.fit_data import FitData
from pipelines.input_layer import InputLayer
from pipelines.member import Member
from pipelines.member_fit import fit_member
from pipelines.trainer import Watcher

MEMBER: dict[str, Any] = {"name": "m", "backbone": {"kind": "light_cnn"}}


def layer(channels: int = 1, **fields: Any) -> tuple[InputLayer, torch.Tensor]:
    """An input layer, and faces of which no two windows are alike."""
    shape = (64, 20, 20, 3)[: 3 if channels == 1 else 4]
    faces = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    built = InputLayer(InputSpec(channels=channels, **fields), face_size=20, convention=None)  # type: ignore[arg-type]
    built.fit(faces)
    return built, torch.from_numpy(faces)


@pytest.mark.parametrize("channels", [1, 3])
def test_windows_are_parts_of_the_face_one_a_face(channels: int) -> None:
    cropping, faces = layer(channels, size=16, crop=20)
    whole, _ = layer(channels, size=20)
    x = whole(faces)
    assert torch.equal(cropping(faces), x[..., 2:18, 2:18])
    torch.manual_seed(0)
    drawn = cropping.random_window(faces)
    assert drawn.shape == (64, channels, 16, 16)
    places = []
    for face, window in zip(x, drawn, strict=True):
        at = [(r, c) for r in range(5) for c in range(5) if torch.equal(face[:, r : r + 16, c : c + 16], window)]
        assert len(at) == 1
        places += at
    assert {r for r, _ in places} == {c for _, c in places} == set(range(5))
    torch.manual_seed(0)
    assert torch.equal(cropping.random_window(faces), drawn)


def test_without_crop_nothing_is_drawn() -> None:
    plain, faces = layer(size=16)
    state = torch.get_rng_state()
    assert torch.equal(plain.random_window(faces), plain(faces))
    assert torch.equal(torch.get_rng_state(), state)
    enlarged, _ = layer(size=24, crop=28, interpolation="nearest")
    assert enlarged(faces).shape == enlarged.random_window(faces).shape == (64, 1, 24, 24)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"size": 128, "crop": 100}, "Expected `crop` to be at least 128, but got 100."),
        ({"crop": 144}, "beside `size`"),
        ({"size": 4, "crop": 9}, "Expected `size` to be at least 8, but got 4."),
        ({"size": 16, "crop": "wide"}, "Expected `crop` to be a whole number"),
    ],
)
def test_a_wrong_crop_is_one_clear_message(given: dict[str, Any], message: str) -> None:
    _, problems = check_spec(MemberSpec, {**MEMBER, "input": given}, "members[0]")
    (problem,) = problems
    assert problem.startswith("members[0].input.")
    assert message in problem


def test_a_spec_without_crop_is_written_and_fingerprinted_as_if_there_were_none() -> None:
    plain = MemberSpec.model_validate(MEMBER)
    assert "crop" not in plain.model_dump(mode="json")["input"]
    assert MemberSpec.model_validate(plain.model_dump(mode="json")) == plain
    cropped = MemberSpec.model_validate({**MEMBER, "input": {"size": 128, "crop": 144}})
    assert MemberSpec.model_validate(cropped.model_dump(mode="json")) == cropped
    sized = MemberSpec.model_validate({**MEMBER, "input": {"size": 128}})
    assert len({spec.fingerprint("d") for spec in (plain, cropped, sized)}) == 3


class StopError(Exception):
    pass


class Stop(Watcher):
    def epoch(self, progress: Any) -> None:
        if progress.epoch == 2:
            raise StopError


def faces(split: str, count: int, seed: int) -> Faces:
    rng = np.random.default_rng(seed)
    images, labels = rng.integers(0, 256, (count, 12, 12), dtype=np.uint8), np.arange(count) % 7
    ids = np.array([f"{split}{i}" for i in range(count)])
    return Faces.of(split=split, classes=EXPRESSIONS, ids=ids, images=images, labels=labels)


@pytest.mark.parametrize("freeze", [None, {"until": "backbone"}])
def test_a_fit_with_windows_resumes_to_the_same_bits(tmp_path: Path, freeze: dict[str, str] | None) -> None:
    spec = MemberSpec.model_validate({
        "name": "m", "backbone": {"kind": "scratch_cnn", "blocks": [{"filters": 4}], "pooling": "average"},
        "input": {"size": 12, "crop": 16}, "epochs": 4, "batch_size": 8, "freeze": freeze,
    })  # fmt: skip
    data = FitData(train=faces("train", 32, 0), validation=faces("validation", 14, 1))

    def run(folder: Path, watcher: Watcher) -> Member:
        member = Member.build(spec, classes=EXPRESSIONS, face_size=12, device=torch.device("cpu"))
        folder.mkdir(exist_ok=True)
        fit_member(member, data, folder=folder, cache=tmp_path / "cache", watcher=watcher)
        return member

    whole = run(tmp_path / "whole", Watcher())
    with pytest.raises(StopError):
        run(tmp_path / "parts", Stop())
    resumed = run(tmp_path / "parts", Watcher())
    for name, tensor in whole.network.state_dict().items():
        assert torch.equal(tensor, resumed.network.state_dict()[name]), name
    again = Member.load(tmp_path / "parts", device=torch.device("cpu"))
    np.testing.assert_array_equal(
        again.probabilities(data.validation.images), whole.probabilities(data.validation.images)
    )
