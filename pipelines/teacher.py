"""What a member is to say of its training faces: its targets, blended with the answers of its teacher if it has one.

With cross-entropy, learning from the blend is the same as learning from both with these weights. The answers are those
of the face itself or its views, not of its augmented versions, so they are computed once and kept.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from ensemble.canonical import digest_of
from ensemble.faces import Faces
from ensemble.spec import MemberSpec
from ensemble.teacher_spec import TeacherSpec
from pipelines.block_file import BlockFile, open_or_make
from pipelines.predictor import Predictor
from pipelines.teacher_plan import check_teacher

__all__ = ["taught_targets"]

_BLOCK = 512
_VERSION = 1


def taught_targets(
    spec: MemberSpec,
    faces: Faces,
    *,
    cache: Path,
    device: torch.device,
    advance: Callable[[int, int], None] | None = None,
) -> npt.NDArray[np.float32]:
    """(N, K) label distributions that a member learns from.

    Args:
        spec: The member, its teacher as planned.
        faces: Its training faces.
        cache: Folder of the answers of teachers.
        device: Where the teacher answers.
        advance: Told (faces done, faces in all) while it does.

    Raises:
        InputError: The teacher has changed or knows other classes, or votes are asked for and there are none.
    """
    own = faces.targets(spec.targets)
    if spec.teacher is None:
        return own
    share = np.float32(spec.teacher.share)
    return (1 - share) * own + share * _answers(spec.teacher, faces, cache, device, advance)


def _answers(
    teacher: TeacherSpec, faces: Faces, cache: Path, device: torch.device, advance: Callable[[int, int], None] | None
) -> npt.NDArray[np.float32]:
    """(N, K) what the teacher says of every face, in the order of the faces' classes."""
    check_teacher(teacher, faces.classes)
    key = digest_of({
        "version": _VERSION, "teacher": teacher.sha256, "views": teacher.views, "device": device.type,
        "faces": [faces.digest, faces.order_digest, faces.split], "classes": list(faces.classes),
    })  # fmt: skip
    path = cache / "teachers" / f"{key}.npy"
    return np.array(
        open_or_make(path, lambda: _compute(teacher, faces, path, device, advance), guard=path.with_suffix(""))
    )


def _compute(
    teacher: TeacherSpec, faces: Faces, path: Path, device: torch.device, advance: Callable[[int, int], None] | None
) -> None:
    committee = Predictor.load(Path(teacher.committee), device=str(device))
    columns = [committee.classes.index(name) for name in faces.classes]
    store = BlockFile(path, shape=(len(faces), len(columns)), dtype=np.float32, block=_BLOCK)
    for start, stop in store.missing():
        ids = [str(name) for name in faces.ids[start:stop]]
        found = committee.predict(np.asarray(faces.images[start:stop]), tta=teacher.views, ids=ids)
        store.write(start, found.probs[:, columns].astype(np.float32))
        if advance:
            advance(stop, len(faces))
    store.finish()
