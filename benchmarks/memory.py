"""Peak memory of a fit and of a prediction, over all their processes.

Proportional set sizes (shared pages counted once) of the process and its children, summed, ten times a second.

Run from the repository root: `python -m benchmarks.memory --data fer2013.zip`: fits the three nets of
`benchmarks/training.yaml` for one epoch, and predicts the validation faces with ten views.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import psutil

from pipelines.atomic import write_json

ROOT = Path(__file__).parents[1]
RESULT = Path(__file__).parent / "results" / "memory.json"
MEMBERS = Path(__file__).parent / "training.yaml"


def main() -> None:
    """Measure, print and store."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.memory", description=__doc__.partition("\n")[0])
    parser.add_argument("--data", required=True, help="labelled faces")
    data = Path(parser.parse_args().data).resolve()
    with tempfile.TemporaryDirectory() as temporary:
        fit = ["fit", "--members", str(MEMBERS), "--data", str(data), "--no-track", "--quiet"]
        predict = ["predict", "--tta", "10", "--committee", "training", "--quiet"]
        result = {
            "source": data.name, "processors": os.cpu_count(),
            "fit": _peak(fit, Path(temporary)), "predict": _peak(predict, Path(temporary)),
        }  # fmt: skip
    write_json(RESULT, result)
    print(json.dumps(result, indent=2))


def _peak(command: list[str], folder: Path) -> dict[str, Any]:
    """Largest sum of the processes' memory, in MiB."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    started, most, largest = time.perf_counter(), 0, 0
    whole = [sys.executable, "-m", "pipelines.cli", *command]
    with subprocess.Popen(whole, cwd=folder, env=environment, stdout=subprocess.DEVNULL) as process:
        root = psutil.Process(process.pid)
        while process.poll() is None:
            sizes = [_size(one) for one in [root, *_children(root)]]
            most, largest = max(most, sum(sizes)), max(largest, *sizes)
            time.sleep(0.1)
    if process.returncode:
        raise SystemExit(f"benchmarks.memory: `ensemble {' '.join(command)}` ended with {process.returncode}")
    seconds = round(time.perf_counter() - started, 1)
    return {"peak_mib": most >> 20, "largest_process_mib": largest >> 20, "seconds": seconds}


def _children(process: psutil.Process) -> list[psutil.Process]:
    try:
        return process.children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def _size(process: psutil.Process) -> int:
    try:
        return int(process.memory_full_info().pss)
    except psutil.Error:
        return 0


if __name__ == "__main__":
    main()
