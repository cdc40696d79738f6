"""Seconds to read labelled faces the first time and from the cache, and the peak memory of a reading process.

A csv is also read as notebooks do it, by pandas and `np.fromstring`, in turn with ours: the ratio is of these pairs.

python -m benchmarks.loading SOURCE [SOURCE ...]      writes benchmarks/results/loading.json
"""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from pipelines.atomic import write_json

RESULT = Path(__file__).parent / "results" / "loading.json"
PAIRS = 3
READ = """
import json, resource, sys, time
started = time.perf_counter()
from pathlib import Path
from pipelines.face_loading import load_faces
imported = time.perf_counter()
store = load_faces(sys.argv[1], cache=Path(sys.argv[2]))
pixels = store.split("train").images[:1].sum()
print(json.dumps({
    "import_s": round(imported - started, 2), "read_s": round(time.perf_counter() - imported, 2),
    "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    "faces": dict(store.counts), "digest": store.digest,
}))
"""
NOTEBOOK = """
import json, resource, sys, time
import numpy as np, pandas as pd
started = time.perf_counter()
table = pd.read_csv(sys.argv[1])
faces = np.stack([np.fromstring(text, dtype=np.uint8, sep=" ").reshape(48, 48) for text in table["pixels"]])
print(json.dumps({
    "read_s": round(time.perf_counter() - started, 2), "faces": len(faces),
    "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
}))
"""


def main(sources: list[str]) -> None:
    """Measure, print and store."""
    rows = [_measured(source) for source in sources]
    result = {"machine": f"{platform.machine()}, {os.cpu_count()} cores", "load": os.getloadavg()[0], "rows": rows}
    write_json(RESULT, result)
    print(json.dumps(result, indent=2))


def _measured(source: str) -> dict[str, Any]:
    row: dict[str, Any] = {"source": Path(source).name, "mib": Path(source).stat().st_size >> 20}
    is_table = source.endswith(".csv")
    cold, notebook = [], []
    for _ in range(PAIRS if is_table else 1):
        with tempfile.TemporaryDirectory() as cache:
            cold.append(_run(READ, source, cache))
            if is_table:
                notebook.append(_run(NOTEBOOK, source))
            cached = [_run(READ, source, cache) for _ in range(3)]
    row |= {"first": cold[-1], "cached": cached}
    if is_table:
        ratios = [own["read_s"] / other["read_s"] for own, other in zip(cold, notebook, strict=True)]
        row |= {"pandas": notebook[-1], "first_to_pandas": round(statistics.median(ratios), 2)}
    return row


def _run(code: str, *args: str) -> dict[str, Any]:
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code, *args], check=True, capture_output=True)
    content: dict[str, Any] = json.loads(done.stdout)
    return content


if __name__ == "__main__":
    main(sys.argv[1:])
