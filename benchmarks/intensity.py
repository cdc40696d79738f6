"""How long intensity normalisation takes for all 35,887 faces of FER2013's size: the seed paper needed 75 minutes.

Run from the repository root: `python -m benchmarks.intensity`.
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import torch

from pipelines.atomic import write_json
from pipelines.normalizer.intensity import normalize_intensity

RESULT = Path(__file__).parent / "results" / "intensity.json"
FACES, BLOCK = 35_887, 128


def main() -> None:
    """Measure, print and store."""
    faces = torch.randint(0, 256, (FACES, 1, 48, 48), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    seconds = []
    for _ in range(3):
        started = time.perf_counter()
        for block in torch.split(faces, BLOCK):
            normalize_intensity(block.float())
        seconds.append(round(time.perf_counter() - started, 2))
    result = {"faces": FACES, "seconds": seconds, "best_s": min(seconds), "load": round(os.getloadavg()[0], 1)}
    write_json(RESULT, result)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
