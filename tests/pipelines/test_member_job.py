"""What could not be trained is refused when members are built; what a job needs while it runs is given back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from backbones.errors import InputError
from ensemble.spec import MemberSpec
from pipelines.face_loading import load_faces
from pipelines.face_store import FaceStore
from pipelines.member_job import MemberJob

NET = {
    "name": "net",
    "backbone": {"kind": "scratch_cnn", "blocks": [{"filters": 4}]},
    "input": {"size": 24},
    "epochs": 3,
}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> FaceStore:
    return load_faces("synthetic", options={"count": 140}, cache=tmp_path_factory.mktemp("cache"))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (
            {"schedule": {"kind": "cosine", "warmup_epochs": 3}},
            r"`schedule.warmup_epochs` to be less than `epochs` \(3\)",
        ),
        ({"loss": {"kind": "cross_entropy", "class_weights": [1.0, 2.0]}}, r"7"),
        ({"augment": [{"kind": "Normalize", "p": 1.0}]}, r"augment: Expected transforms that keep pixels of 0 to 255"),
        ({"input": {"size": 24, "normalize": {"kind": "intensity", "window": 8}}}, r"Expected `window` to be odd"),
    ],
)
def test_a_member_that_could_not_be_trained_is_refused(
    store: FaceStore, tmp_path: Path, fields: dict[str, Any], message: str
) -> None:
    spec = MemberSpec.model_validate({**NET, **fields})
    job = MemberJob(
        spec=spec, weights=None, store=store, folder=tmp_path / "net", cache=tmp_path, device="cpu", threads=1, views=1,
        seed=0,
    )  # fmt: skip
    with pytest.raises(InputError, match=message):
        job.build()
    assert not job.folder.exists()


def test_a_job_run_in_this_process_leaves_its_threads_as_they_were(store: FaceStore, tmp_path: Path) -> None:
    before, seen = torch.get_num_threads(), []
    job = MemberJob(
        spec=MemberSpec.model_validate({**NET, "epochs": 1}), weights=None, store=store, folder=tmp_path / "net",
        cache=tmp_path, device="cpu", threads=before + 1, views=1, seed=0,
    )  # fmt: skip
    job.run(lambda member, event, payload: seen.append(torch.get_num_threads()))
    assert set(seen) == {before + 1}
    assert torch.get_num_threads() == before
