"""How the time of a prediction grows with faces, members and views: it should be in proportion to each.

One of the three is doubled from run to run, the others stay; the runs are taken in turn, round after round. A straight
line is fitted through the fastest times, and the largest deviation from it is told as a share of the time.

Run from the repository root: `python -m benchmarks.scaling`.
"""

from __future__ import annotations

import json
import os
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.inference import small_committee
from ensemble.committee import Committee
from ensemble.committee_spec import resolve_committee
from pipelines.atomic import write_json
from pipelines.device import describe_device
from pipelines.member import Member
from pipelines.predictor import Predictor

RESULT = Path(__file__).parent / "results" / "scaling.json"
ROUNDS = 5
GRID = {"faces": (64, 128, 256, 512), "members": (1, 2, 4, 8), "views": (1, 2, 4, 8)}
BASE = {"faces": 64, "members": 2, "views": 2}


def main() -> None:
    """Measure, print and store."""
    with tempfile.TemporaryDirectory() as temporary:
        predictor = Predictor.load(small_committee(Path(temporary)))
        result: dict[str, Any] = {
            "device": describe_device(predictor.device), "processors": os.cpu_count(),
            "load": round(os.getloadavg()[0], 1), "rounds": ROUNDS,
            **{axis: _slope(predictor, axis) for axis in GRID},
        }  # fmt: skip
    write_json(RESULT, result)
    print(json.dumps(result, indent=2))


def _slope(predictor: Predictor, axis: str) -> dict[str, Any]:
    points = GRID[axis]
    seconds = {point: [_seconds(predictor, {**BASE, axis: point}) for _ in range(1)] for point in points}
    for _ in range(ROUNDS):
        for point in points:
            seconds[point].append(_seconds(predictor, {**BASE, axis: point}))
    fastest = np.array([min(seconds[point][1:]) for point in points])
    line = np.polyfit(points, fastest, 1, w=1.0 / fastest)  # relative deviations count
    off = np.abs(np.polyval(line, points) - fastest) / fastest
    return {
        "points": list(points), "seconds": [round(float(s), 4) for s in fastest],
        "slope_ms": round(1000 * float(line[0]), 4), "start_ms": round(1000 * float(line[1]), 3),
        "largest_deviation": round(float(off.max()), 3),
    }  # fmt: skip


def _seconds(predictor: Predictor, setting: dict[str, int]) -> float:
    size = predictor.face_size
    faces = np.random.default_rng(0).integers(0, 256, (setting["faces"], size, size), dtype=np.uint8)
    middle = next(m for name, m in predictor.members.items() if name == "residual" and isinstance(m, Member))
    names = [f"copy{number}" for number in range(setting["members"])]
    node = resolve_committee({"rule": "mean"}, dict.fromkeys(names, ()))
    committee = Committee.fit(node, {name: np.full((7, 7), 1 / 7) for name in names}, np.arange(7))
    own = replace(predictor, members=dict.fromkeys(names, middle), committee=committee)
    started = time.perf_counter()
    own.predict(list(faces), tta=setting["views"])
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
