"""Renders `docs/performance.md` from what the benchmarks have stored; what has not run says so.

python -m benchmarks.performance
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.marked_page import replace_table

RESULTS = Path(__file__).parent / "results"
PAGE = Path(__file__).parents[1] / "docs" / "performance.md"
NOT_RUN = "not run"


def main() -> None:
    """Write every table."""
    for name, table in {
        "training": _training, "inference": _inference, "reading": _reading, "memory": _memory, "scaling": _scaling,
        "rest": _rest,
    }.items():  # fmt: skip
        replace_table(PAGE, name, list(table()))


def _stored(name: str) -> dict[str, Any]:
    path = RESULTS / f"{name}.json"
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    return content


def _training() -> Iterator[str]:
    found = _stored("training")
    yield "| cores | net | parameters | bare loop, s a step | `ensemble` | `DataLoader` | Lightning |"
    yield "|--:|---|--:|--:|--:|--:|--:|"
    if not found:
        yield f"| | | | {NOT_RUN} | | | |"
        return
    for run in found["runs"]:
        for name, net in run["nets"].items():
            share, step = net["share_of_bare"], net["seconds_per_step"]["bare"]
            ways = [f"{share[way]:.2f}" if way in share else NOT_RUN for way in ("ensemble", "dataloader", "lightning")]
            yield f"| {run['cores']} | {name} | {net['parameters']:,} | {step:.3f} | {' | '.join(ways)} |"
    yield f"| | | | | | | {found['device']}, {found['precision']}, load {found['load']} |"


def _inference() -> Iterator[str]:
    found = _stored("inference")
    yield "| way | ms a face, ten views | times the bare passes |"
    yield "|---|--:|--:|"
    names = {
        "bare": "ten bare forward passes", "ensemble": "`ensemble predict --tta 10`", "loop": "a loop over images",
        "ttach": "a loop over images, `ttach`",
    }  # fmt: skip
    for way, name in names.items():
        if way in found.get("ms_per_face", {}):
            yield f"| {name} | {found['ms_per_face'][way]:.2f} | {found['times_bare'][way]:.2f} |"
        else:
            yield f"| {name} | {NOT_RUN} | |"


def _reading() -> Iterator[str]:
    yield "| source | first time | from the cache | pandas and `np.fromstring` | ours to theirs | peak memory |"
    yield "|---|--:|--:|--:|--:|--:|"
    for row in _stored("loading").get("rows", ()):
        cached = min(run["read_s"] for run in row["cached"])
        theirs = f"{row['pandas']['read_s']:.2f} s" if "pandas" in row else ""
        ratio = f"{row['first_to_pandas']:.2f}" if "pandas" in row else ""
        yield (
            f"| {row['source']} ({row['mib']} MiB) | {row['first']['read_s']:.2f} s | {cached:.2f} s | {theirs} | "
            f"{ratio} | {row['first']['peak_mib']} MiB |"
        )


def _memory() -> Iterator[str]:
    found = _stored("memory")
    yield "| command | all processes | largest process |"
    yield "|---|--:|--:|"
    for key, name in (("fit", "`fit`, three members"), ("predict", "`predict --tta 10`, the validation faces")):
        if key in found:
            yield f"| {name} | {found[key]['peak_mib']:,} MiB | {found[key]['largest_process_mib']:,} MiB |"
        else:
            yield f"| {name} | {NOT_RUN} | |"


def _scaling() -> Iterator[str]:
    found = _stored("scaling")
    yield "| doubled | from | to | ms each | off a straight line |"
    yield "|---|--:|--:|--:|--:|"
    for axis in ("faces", "members", "views"):
        if axis in found:
            own = found[axis]
            yield (
                f"| {axis} | {own['points'][0]} | {own['points'][-1]} | {own['slope_ms']:.2f} | "
                f"{own['largest_deviation']:.1%} |"
            )
        else:
            yield f"| {axis} | {NOT_RUN} | | | |"


def _rest() -> Iterator[str]:
    intensity, startup, fusion = _stored("intensity"), _stored("startup"), _stored("fusion")
    yield "| what | seconds | command |"
    yield "|---|--:|---|"
    faces = f"{intensity['faces']:,} faces" if intensity else "faces"
    normalised, started = intensity.get("best_s", NOT_RUN), startup["help_s"]["median"] if startup else NOT_RUN
    yield f"| intensity normalisation of {faces} | {normalised} | `python -m benchmarks.intensity` |"
    yield f"| `ensemble --help` | {started} | `python -m benchmarks.startup` |"
    yield (
        f"| one rule over {fusion.get('members', '')} members | {fusion.get('one_rule_s', NOT_RUN)} | "
        f"`python -m benchmarks.fusion` |"
    )


if __name__ == "__main__":
    main()
