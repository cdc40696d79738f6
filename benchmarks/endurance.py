"""Watches a long fit and a long prediction: memory, file handles, threads, and whether the time left is told truly.

python -m benchmarks.endurance [fit] [predict]     writes benchmarks/results/endurance.json and docs/faults.md's table
python -m benchmarks.endurance --render            renders the table only
"""

from __future__ import annotations

import argparse
import io
import json
import os
import platform
import re
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from PIL import Image

from benchmarks.marked_page import with_table
from pipelines.atomic import write_json, write_text

ROOT = Path(__file__).resolve().parents[1]
RESULT = Path(__file__).parent / "results" / "endurance.json"
PAGE = ROOT / "docs" / "faults.md"
WARM = 0.2
"""Share of the work until everything that stays in memory is there."""

YAML = """
name: long
data: {source: synthetic, count: 112}
defaults:
  epochs: EPOCHS
  batch_size: 64
  augment: shift_flip
  backbone: {kind: scratch_cnn, blocks: [{filters: 4}, {filters: 6}]}
  optimizer: {kind: adamw, lr: 1.0e-3}
members: [{name: one, seed: 1}, {name: two, seed: 2}, {name: three, seed: 3, ema: 0.9}]
committee: {rule: mean}
"""
_LEFT = re.compile(r"(\w+): epoch (\d+)/\d+ .* about (\d+) s left")


class Watched:
    """A command, watched until it ends.

    Args:
        folder: Where it runs.
        args: Of `ensemble`.
        share: How much of the work is done; None when none or all of it is.

    Attributes:
        samples: (share, MiB, file handles, threads), several a second.
        lines: (seconds, line) of what it said.
    """

    def __init__(self, folder: Path, args: Sequence[str], share: Callable[[str], float | None]) -> None:
        self.samples: list[tuple[float, float, int, int]] = []
        self.lines: list[tuple[float, str]] = []
        log = folder / "log"
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
        started = time.perf_counter()
        with log.open("w") as output:
            command = [sys.executable, "-m", "pipelines.cli", *args]
            process = psutil.Popen(command, cwd=folder, env=environment, stdout=output, stderr=output)
        read = 0
        while process.poll() is None:
            text = log.read_text(errors="replace")
            now = time.perf_counter() - started
            fresh = text[read : text.rfind("\n") + 1]
            self.lines += [(now, line) for line in fresh.splitlines()]
            read += len(fresh)
            done = share(text)
            if done is not None:
                self._sample(process, done)
            time.sleep(0.2)
        self.seconds = time.perf_counter() - started
        if process.returncode:
            raise SystemExit(f"benchmarks.endurance: {log.read_text()[-2000:]}")

    def _sample(self, process: psutil.Popen, done: float) -> None:
        try:
            memory = process.memory_info().rss / 2**20
            self.samples.append((done, memory, process.num_fds(), process.num_threads()))
        except psutil.Error:
            return

    def growth(self) -> dict[str, float]:
        """What was there at the end of the warm-up, and the most beyond it."""
        warm = [sample[1:] for sample in self.samples if sample[0] >= WARM]
        names = ("memory_mib", "file_handles", "threads")
        first = dict(zip((f"{name}_warm" for name in names), warm[0], strict=True))
        more = {
            f"{name}_growth": max(values) - values[0]
            for name, values in zip(names, zip(*warm, strict=True), strict=True)
        }
        return {key: round(float(value), 1) for key, value in {**first, **more}.items()}


def fit(folder: Path, *, epochs: int) -> dict[str, Any]:
    """Three members, one after the other."""
    (folder / "long.yaml").write_text(YAML.replace("EPOCHS", str(epochs)))

    def share(text: str) -> float | None:
        done = text.count(": epoch ")
        return done / (3 * epochs) if 0 < done < 3 * epochs else None

    command = ("fit", "--members", "long.yaml", "--no-track", "--jobs", "1")
    watched = Watched(folder, command, share)
    return {
        "epochs": epochs,
        "members": 3,
        "seconds": round(watched.seconds),
        **watched.growth(),
        **_eta(watched.lines),
    }


def _eta(lines: Sequence[tuple[float, str]]) -> dict[str, float]:
    """How far the time left, told half-way, was from what it took: the worst of the members, in percent."""
    worst = 0.0
    told = [(now, match) for now, line in lines if (match := _LEFT.match(line))]
    for name in {match[1] for _, match in told}:
        own = [(now, int(match[3])) for now, match in told if match[1] == name]
        now, left = own[len(own) // 2]
        worst = max(worst, abs(left / max(own[-1][0] - now, 0.1) - 1))
    return {"eta_error_percent": round(100 * worst)}


def predict(folder: Path, *, images: int) -> dict[str, Any]:
    """A zip of many small images, with a small committee."""
    (folder / "long.yaml").write_text(YAML.replace("EPOCHS", "1"))
    command = [sys.executable, "-m", "pipelines.cli", "fit", "--members", "long.yaml", "--no-track", "--jobs", "1"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    subprocess.run(command, cwd=folder, env=environment, check=True, capture_output=True)
    rng = np.random.default_rng(0)
    pictures = [_png(rng.integers(0, 256, (48, 48), dtype=np.uint8)) for _ in range(100)]
    with zipfile.ZipFile(folder / "faces.zip", "w") as archive:
        for number in range(images):
            archive.writestr(f"photos/{number:06}.png", pictures[number % len(pictures)])
    bytes_a_row = 150

    def share(_text: str) -> float | None:
        temporary = next(folder.glob(".predictions.csv.*.tmp"), None)
        if temporary is None:
            return None
        try:
            return min(1.0, temporary.stat().st_size / (bytes_a_row * images))
        except FileNotFoundError:
            return None

    watched = Watched(folder, ("predict", "faces.zip", "--detect", "none", "--batch-size", "64"), share)
    with (folder / "predictions.csv").open() as file:
        rows = sum(1 for _ in file) - 1
    return {"images": images, "rows": rows, "seconds": round(watched.seconds), **watched.growth()}


def _png(face: Any) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(face).save(buffer, format="png")
    return buffer.getvalue()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.endurance", description=__doc__.partition("\n")[0])
    parser.add_argument("parts", nargs="*", metavar="PART", help="fit, predict; default both")
    parser.add_argument("--epochs", type=int, default=200)
    parser.add_argument("--images", type=int, default=100_000)
    parser.add_argument("--render", action="store_true", help="only render the table of the last run")
    options = parser.parse_args()
    for part in [] if options.render else options.parts or ["fit", "predict"]:
        with tempfile.TemporaryDirectory() as folder:
            place = Path(folder)
            found = fit(place, epochs=options.epochs) if part == "fit" else predict(place, images=options.images)
        machine = {"machine": f"{platform.machine()}, {os.cpu_count()} cores"}
        write_json(RESULT, {**_stored(), **machine, part: found})
        print(part, json.dumps(found, indent=2))
    write_text(PAGE, rendered(PAGE.read_text(encoding="utf-8"), _stored()))


def _stored() -> dict[str, Any]:
    return json.loads(RESULT.read_text(encoding="utf-8")) if RESULT.is_file() else {}


def rendered(page: str, result: dict[str, Any]) -> str:
    """The page with the table between its marks."""
    lines = [
        "| Run | After warm-up | Growth | File handles | Threads | Time left, told half-way |",
        "|---|--:|--:|--:|--:|--:|",
    ]
    for part, what in (("fit", "{epochs} epochs × {members} members"), ("predict", "{images:,} images predicted")):
        own = result.get(part)
        if own is None:
            lines.append(f"| {part} | not run | | | | |")
            continue
        eta = f"within {own['eta_error_percent']} %" if "eta_error_percent" in own else ""
        lines.append(
            f"| {what.format(**own)} | {own['memory_mib_warm']:.0f} MiB | {own['memory_mib_growth']:+.1f} MiB | "
            f"{own['file_handles_growth']:+.0f} | {own['threads_growth']:+.0f} | {eta} |"
        )
    return with_table(page, "endurance", lines)


if __name__ == "__main__":
    main()
