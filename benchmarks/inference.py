"""What prediction with ten views costs beyond the networks themselves, and against a loop over images.

Measured in turn, round after round, in one process: ten bare forward passes of all members over prepared tensors; ours,
`Predictor.predict(tta=10)`, from arrays of pixels to fused probabilities; and what one writes otherwise, a loop over
images that runs every member on every view (with `ttach` where it is installed; it is no dependency).

Run from the repository root: `python -m benchmarks.inference [--committee NAME]`; without a committee, the three
nets of `benchmarks/training.yaml` are fitted for one epoch.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from pipelines.atomic import write_json
from pipelines.committee_fit import fit_committee
from pipelines.device import describe_device, forward_rows
from pipelines.forward import softmax
from pipelines.member import Member
from pipelines.plan import make_plan
from pipelines.predictor import Predictor

RESULT = Path(__file__).parent / "results" / "inference.json"
MEMBERS = Path(__file__).parent / "training.yaml"
VIEWS, ROUNDS = 10, 5
FACES = {"cpu": 64, "cuda": 1024}


def main() -> None:
    """Measure, print and store."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.inference", description=__doc__.partition("\n")[0])
    parser.add_argument("--committee", help="a finished committee [three nets of benchmarks/training.yaml]")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.committee or small_committee(Path(temporary))
        result = _measure(Predictor.load(folder))
    name = f"{RESULT.stem}-{Path(options.committee).name}.json" if options.committee else RESULT.name
    write_json(RESULT.with_name(name), result)
    print(json.dumps(result, indent=2))


def small_committee(folder: Path) -> Path:
    return fit_committee(make_plan(MEMBERS), out=folder / "nets", jobs=1, track=False, quiet=True)


def _measure(predictor: Predictor) -> dict[str, Any]:
    device, size = predictor.device, predictor.face_size
    shape = (FACES[device.type], size, size) + ((3,) if predictor.face_channels == 3 else ())
    faces = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    members = [member for member in predictor.members.values() if isinstance(member, Member)]
    ways: dict[str, Callable[[], object]] = {
        "bare": _bare(members, faces),
        "ensemble": lambda: predictor.predict(list(faces), tta=VIEWS),
        "loop": _loop(members, faces),
    }
    if find_spec("ttach") is not None:
        ways["ttach"] = _ttach(members, faces)
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(ROUNDS + 1):  # the first round is for warming up
        for name, way in ways.items():
            started = time.perf_counter()
            way()
            if device.type == "cuda":
                torch.cuda.synchronize()
            seconds[name] += [time.perf_counter() - started] if number else []
    return {
        "device": describe_device(device), "torch": torch.__version__, "processors": os.cpu_count(),
        "load": round(os.getloadavg()[0], 1), "members": len(members), "faces": len(faces), "views": VIEWS,
        "rounds": ROUNDS,
        "ms_of_one_face": round(1000 * _alone(predictor, faces), 2),
        "ms_per_face": {name: round(1000 * min(values) / len(faces), 2) for name, values in seconds.items()},
        "times_bare": {
            name: round(statistics.median(v / b for b, v in zip(seconds["bare"], values, strict=True)), 3)
            for name, values in seconds.items()
        },
    }  # fmt: skip


def _alone(predictor: Predictor, faces: npt.NDArray[np.uint8]) -> float:
    """Seconds of a face that comes alone, with all its views: the median over the first faces."""
    seconds = []
    for face in faces[:20]:
        started = time.perf_counter()
        predictor.predict([face], tta=VIEWS)
        seconds.append(time.perf_counter() - started)
    return statistics.median(seconds)


def _inputs(member: Member, faces: npt.NDArray[np.uint8]) -> Tensor:
    x = member.input_layer(torch.from_numpy(faces).to(member.device))
    return x.contiguous(memory_format=torch.channels_last)


def _bare(members: list[Member], faces: npt.NDArray[np.uint8]) -> Callable[[], object]:
    """As many forward passes as there are views, over input that lies ready."""
    rows = forward_rows(members[0].device)
    ready = [
        [_inputs(member, faces[start : start + rows]) for start in range(0, len(faces), rows)] for member in members
    ]

    def run() -> None:
        with torch.inference_mode():
            for member, batches in zip(members, ready, strict=True):
                member.network.eval()
                for _ in range(VIEWS):
                    for x in batches:
                        member.network(x)

    return run


def _loop(members: list[Member], faces: npt.NDArray[np.uint8]) -> Callable[[], object]:
    """An image at a time, a view at a time, a member at a time."""
    import cv2

    rng = np.random.default_rng(0)

    def view(face: npt.NDArray[np.uint8], number: int) -> npt.NDArray[np.uint8]:
        size = len(face)
        middle = ((size - 1) / 2, (size - 1) / 2)
        matrix = cv2.getRotationMatrix2D(middle, float(rng.uniform(-10, 10)), float(rng.uniform(0.95, 1.05)))
        moved = cv2.warpAffine(face, matrix, (size, size), borderMode=cv2.BORDER_REPLICATE) if number else face
        return np.ascontiguousarray(moved[:, ::-1] if number % 2 else moved)

    def run() -> None:
        with torch.inference_mode():
            for face in faces:
                for number in range(VIEWS):
                    one = view(face, number)[None]
                    for member in members:
                        softmax(member.network.eval()(_inputs(member, one)).float().cpu().numpy())

    return run


def _ttach(members: list[Member], faces: npt.NDArray[np.uint8]) -> Callable[[], object]:
    """`ttach` around every member, an image at a time: 2 mirrorings times 5 zooms are ten views."""
    import ttach  # type: ignore[import-not-found, unused-ignore]

    views = ttach.Compose([ttach.HorizontalFlip(), ttach.Multiply([0.9, 0.95, 1.0, 1.05, 1.1])])
    wrapped = [ttach.ClassificationTTAWrapper(member.network.eval(), views) for member in members]

    def run() -> None:
        with torch.inference_mode():
            for face in faces:
                for member, model in zip(members, wrapped, strict=True):
                    softmax(model(_inputs(member, face[None])).float().cpu().numpy())

    return run


if __name__ == "__main__":
    main()
