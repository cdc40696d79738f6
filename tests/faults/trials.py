"""The faults that are tried, each with what has to come of it.

A fault is survived if the command says in one message what is wrong, or goes on, and if the same command, run again
when the fault is over, ends with the bytes of a run that nothing happened to. Else work was lost.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
from faults.stage import MEMBERS, Ended, Stage, copy, damage, digests, has_two_checkpoints, writing_checkpoint

HOWS = ("emptied", "cut", "flipped")

MEMBER_FILES = ("spec.json", "weights.safetensors", "posteriors.npz", "history.json")
COMMITTEE_FILES = ("committee.json", "committee.yaml", "manifest.json", "report.json", "report.md")
CHECKPOINT_FILES = ("checkpoint.safetensors", "checkpoint.previous.safetensors")


@dataclass(frozen=True)
class Trial:
    """One fault that was tried.

    Attributes:
        fault: Its kind, a row of the table.
        detail: When, where and how.
        said: What the command said.
        survived: Whether nothing was lost.
    """

    fault: str
    detail: str
    said: str
    survived: bool


def killed(stage: Stage, whole: Path, chance: random.Random, *, kills: int, length: float) -> Iterator[Trial]:
    """Kill one fit so many times, every other time while it writes a checkpoint; then let it end."""
    parts = stage.root / "killed"
    shutil.rmtree(parts, ignore_errors=True)
    tried = []
    for number in range(kills):
        fit = stage.fit(parts)
        if number % 2 == 0 and fit.until(lambda: writing_checkpoint(parts)):
            ended, detail = fit.send(signal.SIGKILL), "while a checkpoint was written"
        else:
            moment = chance.uniform(0, length)
            fit.process.join(moment)
            ended, detail = fit.send(signal.SIGKILL), f"after {moment:.2f} s"
        if ended.code == -signal.SIGKILL:
            tried.append(detail)
    end = stage.fit(parts).end()
    same = end.code == 0 and digests(parts) == digests(whole) and not list(parts.rglob("*.tmp"))
    for detail in tried:
        yield Trial("kill -9 at a random moment", detail, "resumed", same)


def interrupted(stage: Stage, whole: Path, number: signal.Signals) -> Trial:
    """Interrupt a fit by a signal in its second epoch; then let it end."""
    parts = stage.root / number.name
    fit = stage.fit(parts)
    fit.until(lambda: "epoch 2/" in fit.text)
    ended = fit.send(number)
    end = stage.fit(parts).end()
    good = ended.code == 130 and "the same command resumes" in ended.text and digests(parts) == digests(whole)
    return Trial(number.name, "in the second epoch", f"exit {ended.code}, resumed", good and end.code == 0)


def two_fits(stage: Stage, whole: Path) -> Trial:
    """Start a fit where another one is at work; kill that one and start again."""
    parts = stage.root / "two"
    first = stage.fit(parts)
    first.until(lambda: "epoch 1/" in first.text)
    os.kill(first.process.pid, signal.SIGSTOP)  # it might be at its end before the second has begun
    second = stage.fit(parts).end()
    ended = first.send(signal.SIGKILL)
    end = stage.fit(parts).end()
    told = second.code == 2 and f"process {first.process.pid} on" in second.text and second.is_clear
    good = told and ended.code == -signal.SIGKILL and end.code == 0 and digests(parts) == digests(whole)
    return Trial("two fits into one folder", "the second while the first trains", last_message(second), good)


def damaged_file(stage: Stage, whole: Path, name: str, how: str, chance: random.Random) -> Trial:
    """Damage a file of a finished committee: it is found by what reads it, and the same fit makes it anew."""
    parts = copy(whole, stage.root / "damaged")
    path = parts / name
    detail = f"{name}: {damage(path, chance, how)}"
    found = stage.run("verify", str(parts), "--faces", "0")
    end = stage.fit(parts).end()
    good = found.code == 2 and found.is_clear and end.code == 0 and digests(parts) == digests(whole)
    good = good and stage.run("verify", str(parts), "--faces", "0").code == 0
    return Trial(f"damaged {path.name}", detail, last_message(found), good)


def damaged_checkpoint(stage: Stage, whole: Path, begun: Path, names: tuple[str, ...], how: str,
                       chance: random.Random) -> Trial:  # fmt: skip
    """Damage checkpoints of a fit that was killed: the one before is gone on from, and that is told."""
    parts = copy(begun, stage.root / "damaged")
    places = [next(parts.glob(f"members/*/{name}")) for name in names]
    detail = ", ".join(f"{place.name}: {damage(place, chance, how)}" for place in places)
    end = stage.fit(parts).end()
    told = CHECKPOINT_FILES[0] not in names or "damaged" in end.text
    said = next((line for line in end.text.splitlines() if "damaged" in line), "resumed")
    return Trial(
        "damaged checkpoint" if len(names) == 1 else "both checkpoints damaged", detail, said,
        end.code == 0 and told and digests(parts) == digests(whole),
    )  # fmt: skip


def begun_fit(stage: Stage) -> Path:
    """A fit that was killed when a member had two checkpoints."""
    parts = stage.root / "begun"
    fit = stage.fit(parts)
    fit.until(lambda: has_two_checkpoints(parts))
    assert fit.send(signal.SIGKILL).code == -signal.SIGKILL
    return parts


def damaged_cache(stage: Stage, whole: Path, pattern: str, how: str, chance: random.Random) -> Trial:
    """Damage a file of the cache: it is computed anew, unasked."""
    runs = copy(stage.root / "mlruns", stage.root / "runs")
    path = min(runs.glob(f"cache/{pattern}"))
    detail = f"{pattern}: {damage(path, chance, how)}"
    parts = stage.root / "damaged"
    shutil.rmtree(parts, ignore_errors=True)
    end = stage.fit(parts, runs=runs).end()
    good = end.code == 0 and digests(parts) == digests(whole)
    return Trial("damaged cache", detail, "computed anew", good)


def damaged_lock(stage: Stage, whole: Path, chance: random.Random) -> Trial:
    """Leave rubbish in the lock of a process that is gone."""
    parts = copy(whole, stage.root / "damaged")
    (parts / ".lock").write_bytes(chance.randbytes(300))
    end = stage.fit(parts).end()
    return Trial("damaged lock file", "rubbish in it", "taken over", end.code == 0 and digests(parts) == digests(whole))


def full_disk(stage: Stage, whole: Path, disk: Path, *, what: str, free: int) -> Trial:
    """Fit with so many bytes left on the disk; make room, and let it end.

    Args:
        stage: Where.
        whole: What has to come out.
        disk: A small file system.
        what: `checkpoint`, `bundle` or `cache`: what there is no room for.
        free: Bytes left.
    """
    parts, runs = (stage.root if what == "cache" else disk) / "parts", disk / "runs"
    shutil.rmtree(parts, ignore_errors=True)
    shutil.rmtree(runs, ignore_errors=True)
    if what != "cache":
        copy(stage.root / "mlruns", runs)
    if what == "bundle":  # the members are there, what is put together from them is not
        copy(whole, parts)
        for name in ("manifest.json", "committee.json", "report.json", "report.md"):
            (parts / name).unlink()
    with filled(disk, free):
        ended = stage.fit(parts, runs=runs).end()
    kept = list(digests(parts)) if what == "bundle" else []
    end = stage.fit(parts, runs=runs).end()
    good = ended.code == 2 and ended.is_clear and "No space left on device" in ended.text and str(disk) in ended.text
    good = good and end.code == 0 and digests(parts) == digests(whole) and (what != "bundle" or len(kept) >= 6)
    return Trial(f"full disk, {what}", f"{free:,} bytes left", last_message(ended), good)


def limited(stage: Stage, whole: Path, *, largest: int) -> Trial:
    """Fit where no file may be larger than so many bytes, as a quota does; then without."""
    parts = stage.root / "limited"
    ended = stage.fit(parts, largest=largest).end()
    end = stage.fit(parts).end()
    good = ended.code == 2 and ended.is_clear and str(parts) in ended.text
    good = good and end.code == 0 and digests(parts) == digests(whole)
    return Trial("file size limit", f"{largest:,} bytes a file", last_message(ended), good)


def read_only(stage: Stage, place: Path) -> Trial:
    """Fit into a folder that cannot be written to."""
    ended = stage.fit(place / "out").end()
    kept = stage.fit(stage.root / "beside", runs=place / "caches").end()
    good = all(e.code == 2 and e.is_clear and str(place) in e.text and "Read-only" in e.text for e in (ended, kept))
    return Trial("read-only output", "committee, then caches", last_message(ended), good)


def worker_killed(stage: Stage) -> Trial:
    """Kill one of two workers, as the system does for lack of memory: the others go on, the same command resumes."""
    whole, parts = stage.root / "two-jobs", stage.root / "worker"
    stage.fit(whole, "--jobs", "2").end()
    fit = stage.fit(parts, "--jobs", "2")
    fit.until(lambda: "plain: epoch 2/" in fit.text)
    workers = [
        child
        for child in psutil.Process(fit.process.pid).children(recursive=True)
        if _is_worker(child, fit.process.pid)
    ]
    min(workers, key=lambda worker: worker.create_time()).kill()
    ended = fit.end()
    finished = [name for name in MEMBERS if (parts / "members" / name / "spec.json").is_file()]
    end = stage.fit(parts, "--jobs", "2").end()
    good = ended.code == 2 and ended.is_clear and "ended from outside" in ended.text and len(finished) == 2
    good = good and end.code == 0 and digests(parts) == digests(whole)
    return Trial(
        "worker killed", "in its second epoch", f"{last_message(ended)[:90]} …; {len(finished)} others finished", good
    )


def _is_worker(child: psutil.Process, fit: int) -> bool:
    """Workers are forked from a server, where there is forking, and started by the fit elsewhere."""
    return child.ppid() != fit or "spawn_main" in " ".join(child.cmdline())


@contextmanager
def small_disk(place: Path, *, megabytes: int) -> Iterator[Path]:
    """A small file system in memory; only root may mount one.

    Raises:
        PermissionError: It cannot be mounted.
    """
    place.mkdir(parents=True, exist_ok=True)
    command = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(place)]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        raise PermissionError("mounting a tmpfs takes root")
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", str(place)], capture_output=True, check=False)


@contextmanager
def write_protected(disk: Path) -> Iterator[None]:
    """Mount a small file system for reading only."""
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    try:
        yield
    finally:
        subprocess.run(["mount", "-o", "remount,rw", str(disk)], check=True)


@contextmanager
def filled(disk: Path, free: int) -> Iterator[None]:
    """Leave only so many bytes on a disk."""
    filler = disk / "filler"
    room = shutil.disk_usage(disk).free
    with filler.open("wb") as file:
        for _ in range(max(0, room - free) // 4096):
            file.write(bytes(4096))
    try:
        yield
    finally:
        filler.unlink()


def last_message(ended: Ended) -> str:
    """The last message of a command, in one line."""
    _, found, message = ended.text.rpartition("ensemble: ")
    return " ".join(message.split())[:240] if found else f"exit {ended.code}"
