"""Tries faults on a small fit: kills, signals, damaged files, full disks, two fits at once; counts what is lost.

python -m benchmarks.faults [PART …] [--kills 24]     writes benchmarks/results/faults.json and docs/faults.md's table
python -m benchmarks.faults --render                    renders the table only
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from faults.stage import Stage  # noqa: E402
from faults.tracking_server import server_lost  # noqa: E402
from faults.trials import (  # noqa: E402
    CHECKPOINT_FILES,
    COMMITTEE_FILES,
    HOWS,
    MEMBER_FILES,
    Trial,
    begun_fit,
    damaged_cache,
    damaged_checkpoint,
    damaged_file,
    damaged_lock,
    full_disk,
    interrupted,
    killed,
    limited,
    read_only,
    small_disk,
    two_fits,
    worker_killed,
    write_protected,
)

from benchmarks.marked_page import with_table  # noqa: E402
from pipelines.atomic import write_json, write_text  # noqa: E402

RESULT = Path(__file__).parent / "results" / "faults.json"
PAGE = ROOT / "docs" / "faults.md"
CACHES = (
    "faces/*/train.images.npy",
    "faces/*/train.labels.npy",
    "faces/*/meta.json",
    "features/*.npy",
    "features/*.json",
)
PARTS = ("kills", "signals", "files", "caches", "disks", "workers", "tracking")
CHAIN = 6
"""Kills of one fit before it is let to its end."""


def trials(stage: Stage, part: str, *, kills: int, seed: int) -> Iterator[Trial]:
    """Try the faults of one part, one after the other."""
    chance = random.Random(f"{seed} {part}")
    whole = stage.root / "whole"
    match part:
        case "kills":
            yield from _kills(stage, whole, chance, kills)
        case "signals":
            yield interrupted(stage, whole, signal.SIGTERM)
            yield interrupted(stage, whole, signal.SIGINT)
            yield two_fits(stage, whole)
        case "files":
            yield from _damage(stage, whole, chance)
        case "caches":
            for pattern in CACHES:
                yield damaged_cache(stage, whole, pattern, chance.choice(HOWS), chance)
            yield damaged_lock(stage, whole, chance)
        case "disks":
            yield from _disks(stage, whole)
        case "workers":
            yield worker_killed(stage)
        case _:
            yield server_lost(stage, whole, back="during")
            yield server_lost(stage, whole, back="after")


def _kills(stage: Stage, whole: Path, chance: random.Random, kills: int) -> Iterator[Trial]:
    length, done = stage.fit(stage.root / "again").end().seconds, 0
    while done < kills:
        for trial in killed(stage, whole, chance, kills=CHAIN, length=0.9 * length):
            done += 1
            yield trial


def _damage(stage: Stage, whole: Path, chance: random.Random) -> Iterator[Trial]:
    for name in MEMBER_FILES:
        for how in HOWS[1:]:
            yield damaged_file(stage, whole, f"members/{chance.choice(('plain', 'averaged'))}/{name}", how, chance)
    for name in COMMITTEE_FILES:
        yield damaged_file(stage, whole, name, chance.choice(HOWS), chance)
    begun = begun_fit(stage)
    for how in HOWS:
        yield damaged_checkpoint(stage, whole, begun, CHECKPOINT_FILES[:1], how, chance)
    yield damaged_checkpoint(stage, whole, begun, CHECKPOINT_FILES[1:], "flipped", chance)
    yield damaged_checkpoint(stage, whole, begun, CHECKPOINT_FILES, "cut", chance)


def _disks(stage: Stage, whole: Path) -> Iterator[Trial]:
    yield limited(stage, whole, largest=400_000)
    try:
        with small_disk(stage.root / "disk", megabytes=16) as disk:
            for what, free in (("checkpoint", 100_000), ("bundle", 8_192), ("cache", 900_000)):
                yield full_disk(stage, whole, disk, what=what, free=free)
            with write_protected(disk):
                yield read_only(stage, disk)
    except PermissionError as error:
        print(f"full disk: not tried, {error}")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.faults", description=__doc__.partition("\n")[0])
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}; default all")
    parser.add_argument("--kills", type=int, default=24, help="fits to kill")
    parser.add_argument("--seed", type=int, default=0, help="of the moments and the damage")
    parser.add_argument("--render", action="store_true", help="only render the table of the last run")
    options = parser.parse_args()
    if not options.render:
        measure(options.parts or PARTS, kills=options.kills, seed=options.seed)
    write_text(PAGE, rendered(PAGE.read_text(encoding="utf-8"), _stored()))


def measure(parts: Sequence[str], *, kills: int, seed: int) -> None:
    """Try, print as it goes, store what each part has found beside the results of the others."""
    with tempfile.TemporaryDirectory() as folder:
        stage = Stage(Path(folder))
        first = stage.fit(stage.root / "whole").end()
        assert first.code == 0, first.text
        for part in parts:
            started, tried = time.perf_counter(), []
            for trial in trials(stage, part, kills=kills, seed=seed):
                tried.append(asdict(trial))
                outcome = "survived" if trial.survived else "LOST"
                print(f"{outcome}  {trial.fault}: {trial.detail}: {trial.said}", flush=True)
            _store(part, {"seed": seed, "seconds": round(time.perf_counter() - started), "trials": tried})


def _store(part: str, result: dict[str, Any]) -> None:
    found = _stored()["parts"] | {part: result}
    outcomes = [trial["survived"] for own in found.values() for trial in own["trials"]]
    write_json(RESULT, {
        "machine": f"{platform.machine()}, {os.cpu_count()} cores", "tried": len(outcomes), "survived": sum(outcomes),
        "lost": len(outcomes) - sum(outcomes), "parts": {name: found[name] for name in PARTS if name in found},
    })  # fmt: skip


def _stored() -> dict[str, Any]:
    empty: dict[str, Any] = {"tried": 0, "survived": 0, "lost": 0, "parts": {}}
    return json.loads(RESULT.read_text(encoding="utf-8")) if RESULT.is_file() else empty


def rendered(page: str, result: dict[str, Any]) -> str:
    """The page with the table of a run between its marks."""
    trials = [trial for part in result["parts"].values() for trial in part["trials"]]
    kinds = list(dict.fromkeys(trial["fault"] for trial in trials))
    lines = ["| Fault | Tried | Survived | Lost |", "|---|--:|--:|--:|"]
    for kind in kinds:
        own = [trial["survived"] for trial in trials if trial["fault"] == kind]
        lines.append(f"| {kind} | {len(own)} | {sum(own)} | {len(own) - sum(own)} |")
    lines.append(f"| **all** | **{result['tried']}** | **{result['survived']}** | **{result['lost']}** |")
    return with_table(page, "faults", lines)


if __name__ == "__main__":
    main()
