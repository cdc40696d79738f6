"""Where faults are played out: a tiny committee, processes that cost no start, and what has to be equal afterwards.

Python, torch and the project are loaded once, in a server process that forks: a fit then begins within milliseconds,
and being killed at every moment of it becomes affordable.
"""

from __future__ import annotations

import contextlib
import hashlib
import multiprocessing
import os
import random
import resource
import shutil
import signal
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]

YAML = """
name: small
data: {source: synthetic, count: 112}
views: 2
defaults: {epochs: 5, batch_size: 32, augment: shift_flip, input: {size: 48, channels: 1}}
members:
  - name: plain
    backbone: {kind: scratch_cnn, blocks: [{filters: 4}, {filters: 6}]}
    head: {kind: mlp, hidden: [64], dropout: 0.2}
    optimizer: {kind: adamw, lr: 3.0e-3}
  - name: averaged
    backbone: {kind: scratch_cnn, pooling: average, blocks: [{filters: 4}, {filters: 6, stride: 2, residual: true}]}
    ema: 0.8
    optimizer: {kind: sgd, lr: 0.05}
  - name: frozen
    backbone: {kind: scratch_cnn, blocks: [{filters: 4}]}
    head: {kind: mlp, hidden: [8]}
    freeze: {until: backbone}
    augment: flip
committee: {rule: log_likelihood}
"""

MEMBERS = ("plain", "averaged", "frozen")
FIT = ("fit", "--members", "small.yaml", "--jobs", "1")
CACHES = ("faces", "features")
_PATTERNS = ("members/*/weights.safetensors", "members/*/posteriors.npz", "committee.json")


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int
    text: str
    seconds: float

    @property
    def is_clear(self) -> bool:
        """Whether it ended well, or with one message and no traceback."""
        return self.code in (0, 2, 130) and "Traceback" not in self.text


class Running:
    """A command at work in a process of its own."""

    def __init__(self, process: Any, log: Path) -> None:
        self.process, self.log, self.started = process, log, time.monotonic()

    @property
    def text(self) -> str:
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def until(self, condition: Callable[[], bool], *, seconds: float = 60) -> bool:
        """Watch, as closely as the machine lets, until something is so or the command has ended."""
        deadline = time.monotonic() + seconds
        while self.process.is_alive() and time.monotonic() < deadline:
            if condition():
                return True
        return condition()

    def send(self, number: signal.Signals) -> Ended:
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.process.pid, number)
        return self.end()

    def end(self, *, seconds: float = 300) -> Ended:
        self.process.join(seconds)
        if self.process.is_alive():
            self.process.kill()
            raise TimeoutError(f"still running after {seconds} s:\n{self.text}")
        return Ended(self.process.exitcode, self.text, time.monotonic() - self.started)


class Stage:
    """A folder to play in, and the server that starts commands.

    Args:
        root: An empty folder.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        root.mkdir(parents=True, exist_ok=True)
        (root / "small.yaml").write_text(YAML)
        self.context = multiprocessing.get_context("forkserver")
        os.environ["PYTHONPATH"] = os.pathsep.join(map(str, (ROOT, ROOT / "tests")))  # the server looks for it there
        self.context.set_forkserver_preload(["faults.preload"])
        self.runs = 0

    def start(
        self, *args: str, runs: Path | None = None, largest: int | None = None, tracking: str | None = None
    ) -> Running:
        """Start `ensemble ARGS`.

        Args:
            args: Arguments of the command line.
            runs: Where `mlruns` lies.
            largest: Bytes of the largest file that it may write.
            tracking: Address of MLflow's server.
        """
        self.runs += 1
        log = self.root / f"run{self.runs}.log"
        settings = {"ENSEMBLE_RUNS": str(runs or self.root / "mlruns")}
        settings |= {"MLFLOW_TRACKING_URI": tracking} if tracking else {}
        process = self.context.Process(target=_run, args=(args, self.root, log, settings, largest))
        process.start()
        return Running(process, log)

    def run(self, *args: str, runs: Path | None = None, largest: int | None = None) -> Ended:
        """Run `ensemble ARGS` to its end."""
        return self.start(*args, runs=runs, largest=largest).end()

    def fit(self, out: Path | str, *more: str, runs: Path | None = None, largest: int | None = None) -> Running:
        """Start a fit of the committee into a folder."""
        return self.start(*FIT, "--no-track", "--out", str(out), *more, runs=runs, largest=largest)

    def tracked_fit(self, out: Path, tracking: str) -> Running:
        """Start a fit of the committee into a folder, logged to a server."""
        return self.start(*FIT, "--out", str(out), tracking=tracking)


def _run(args: tuple[str, ...], folder: Path, log: Path, settings: Mapping[str, str], largest: int | None) -> None:
    """What a process does: the command line, its output in a file."""
    os.chdir(folder)
    os.environ.update(settings)
    if largest is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (largest, largest))
    file = log.open("w", buffering=1)  # stays open: the process flushes it when it ends
    os.dup2(file.fileno(), 1)
    os.dup2(file.fileno(), 2)
    sys.stdout = sys.stderr = file
    sys.argv = ["ensemble", *args]
    from pipelines.cli import main

    main()


def digests(folder: Path) -> dict[str, str]:
    """sha256 of what has to be equal whatever happened: weights, posteriors and the committee."""
    paths = sorted(path for pattern in _PATTERNS for path in folder.glob(pattern))
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}


def damage(path: Path, chance: random.Random, how: str) -> str:
    """Damage a file as a power cut or a bad disk does; says how."""
    data = bytearray(path.read_bytes())
    if how == "emptied" or not data:
        path.write_bytes(b"")
        return "emptied"
    if how == "cut":
        length = chance.randrange(len(data))
        path.write_bytes(data[:length])
        return f"cut to {length} of {len(data)} bytes"
    place, bit = chance.randrange(len(data)), chance.randrange(8)
    data[place] ^= 1 << bit
    path.write_bytes(data)
    return f"bit {bit} of byte {place} flipped"


def copy(source: Path, target: Path) -> Path:
    """A fresh copy of a folder."""
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(source, target)
    return target


def writing_checkpoint(folder: Path) -> bool:
    """Whether a checkpoint is being written right now."""
    return any(folder.glob("members/*/.checkpoint.safetensors.*.tmp"))


def has_two_checkpoints(folder: Path) -> bool:
    """Whether a member has a checkpoint and the one before it."""
    return any(path.with_name("checkpoint.safetensors").is_file() for path in folder.glob("members/*/*.previous.*"))
