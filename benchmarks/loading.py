"""Seconds to read labelled faces the first time and from the cache, and the peak memory of a reading process.

python -m benchmarks.loading SOURCE [SOURCE ...]      writes benchmarks/results/loading.json
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import tempfile
from pathlib import Path

RESULT = Path(__file__).parent / "results" / "loading.json"
READ = """
import json, resource, sys, time
started = time.perf_counter()
from pathlib import Path
from pipelines.face_store import load_faces
imported = time.perf_counter()
store = load_faces(sys.argv[1], cache=Path(sys.argv[2]))
pixels = store.split("train").images[:1].sum()
print(json.dumps({
    "import_s": round(imported - started, 2), "read_s": round(time.perf_counter() - imported, 2),
    "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    "faces": dict(store.counts), "digest": store.digest,
}))
"""


def main(sources: list[str]) -> None:
    rows = []
    for source in sources:
        with tempfile.TemporaryDirectory() as cache:
            runs = [
                json.loads(
                    subprocess.run([sys.executable, "-c", READ, source, cache], check=True, capture_output=True).stdout
                )
                for _ in range(4)
            ]
        rows.append(
            {
                "source": Path(source).name,
                "mib": Path(source).stat().st_size >> 20,
                "first": runs[0],
                "cached": runs[1:],
            }
        )
    result = {"machine": f"{platform.machine()}, {os.cpu_count()} cores", "load": os.getloadavg()[0], "rows": rows}
    RESULT.write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main(sys.argv[1:])
