"""A committee of drawn members."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from drawn_committee import Drawn, make_committee

from pipelines.face_loading import load_faces

DATA = {"source": "synthetic", "options": {"count": 1400}}


@pytest.fixture(scope="session")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Drawn:
    """Ten members of different worth that judge synthetic faces."""
    work = tmp_path_factory.mktemp("drawn")
    cache = work / "mlruns" / "cache"
    faces = load_faces("synthetic", options=DATA["options"], cache=cache).split("validation")
    names = tuple(f"member_{number}" for number in range(10))
    before = Path.cwd()
    os.chdir(work)
    try:
        folder = make_committee(
            work / "mlruns" / "committees" / "ten", names, labels=faces.labels, classes=faces.classes,
            ids=faces.ids.tolist(), data=DATA,
            tree={"rule": "log_likelihood", "over": [{"rule": "va_expo", "members": list(names[:5])}, *names[5:]]},
        )  # fmt: skip
    finally:
        os.chdir(before)
    return Drawn(folder=folder, cache=cache, faces=faces, names=names)
