"""Seconds until `ensemble --help` has answered and until a wrong YAML is refused, as whole processes.

python -m benchmarks.startup      writes benchmarks/results/startup.json
"""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

RESULT = Path(__file__).parent / "results" / "startup.json"
SCRIPT = Path(sys.executable).with_name("ensemble")
WRONG = "members:\n  - {name: a, backbone: {kind: scratch_cn}}\n"


def seconds(*args: str) -> dict[str, float]:
    times = []
    for _ in range(8):
        started = time.perf_counter()
        subprocess.run([str(SCRIPT), *args], capture_output=True, check=False)
        times.append(time.perf_counter() - started)
    times = times[1:]  # the first one writes byte-code
    return {"min": round(min(times), 3), "median": round(statistics.median(times), 3), "max": round(max(times), 3)}


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        wrong = Path(folder) / "members.yaml"
        wrong.write_text(WRONG)
        result = {
            "machine": f"{platform.machine()}, {os.cpu_count()} cores",
            "load": os.getloadavg()[0],
            "help_s": seconds("--help"),
            "wrong_yaml_s": seconds("fit", "--members", str(wrong)),
        }
    RESULT.write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
