"""Records the committee of a campaign, and renders the tables of `benchmarks/campaign.md`.

Stored are the committee's own report, what each member cost, and what the views gain: the same rules, fitted and judged
anew, on the faces as they are and on all views of the posterior bank.

Run from the repository root: `python -m benchmarks.campaign [COMMITTEE]`, a folder or a name; without one, what is
stored is rendered.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.marked_page import replace_table
from ensemble.bank import load_posteriors
from ensemble.estimate import nested_probs
from ensemble.metric import accuracy
from ensemble.perturbation import fuse_views
from pipelines.atomic import write_json
from pipelines.bundle import POSTERIORS, REPORT, read_json
from pipelines.fuse import stored_tree
from pipelines.spec_file import read_spec_file
from pipelines.workspace import Workspace

RESULTS = Path(__file__).parent / "results"
PAGE = Path(__file__).with_suffix(".md")
RUNS = {
    "fer2013-cpu": ("members/fer2013-cpu.yaml", "2 CPU cores"),
    "fer2013-laptop-residual": ("benchmarks/laptop/residual.yaml", "2 CPU cores"),
    "fer2013-laptop-start": ("benchmarks/laptop/start.yaml", "2 CPU cores"),
    "fer2013-laptop-votes": ("benchmarks/laptop/votes.yaml", "2 CPU cores"),
    "fer2013-laptop-imagenet": ("benchmarks/laptop/imagenet.yaml", "2 CPU cores"),
    "fer2013-laptop-two": ("benchmarks/laptop/two.yaml", "2 CPU cores"),
    "fer2013-laptop": ("members/fer2013-laptop.yaml", "2 CPU cores"),
    "fer2013-laptop-more": ("benchmarks/laptop/more.yaml", "2 CPU cores"),
    "fer2013-laptop-all": ("benchmarks/laptop/all.yaml", "2 CPU cores"),
    "fer2013-laptop-reseeded": ("benchmarks/laptop/reseeded.yaml", "2 CPU cores"),
    "fer2013-laptop-doubled": ("benchmarks/laptop/doubled.yaml", "2 CPU cores"),
    "fer2013-laptop-taught": ("benchmarks/laptop/taught.yaml", "2 CPU cores"),
    "fer2013-laptop-distilled": ("benchmarks/laptop/distilled.yaml", "2 CPU cores"),
    "fer2013-laptop-mixed": ("benchmarks/laptop/mixed.yaml", "2 CPU cores"),
    "fer2013-gpu": ("members/fer2013.yaml", "one H200"),
}
"""Recipes, and what they are meant for."""

_OF_A_MEMBER = ("parameters", "best_epoch", "epochs", "seconds", "precision", "torch", "device", "environment")


def main() -> None:
    """Record, if a committee is named, and render."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.campaign", description=__doc__.partition("\n")[0])
    parser.add_argument("committee", nargs="?", help="a finished committee [render only]")
    committee = parser.parse_args().committee
    if committee is not None:
        folder = Workspace().find(committee)
        found = _recorded(folder)
        write_json(RESULTS / f"{found['name']}.json", found)
    replace_table(PAGE, "runs", list(_runs()))
    replace_table(PAGE, "members", list(_members()))


def _recorded(folder: Path) -> dict[str, Any]:
    """The committee's report, its members' effort, and accuracy by views."""
    content, node = stored_tree(folder)
    banks = {
        name: load_posteriors(folder / "members" / name / POSTERIORS).splits["validation"] for name in node.members
    }
    labels, seed = next(iter(banks.values())).labels, int(content["seed"])
    views = {}
    for count in (1, int(content["views"])):
        fused = {name: fuse_views(bank.probs[:count]) for name, bank in banks.items()}
        views[str(count)] = {
            "members": {name: accuracy(probs, labels) for name, probs in fused.items()},
            "committee": accuracy(nested_probs(node, fused, labels, seed=seed), labels),
        }
    specs = {name: read_spec_file(folder / "members" / name) for name in node.members}
    effort = {name: {key: spec.get(key) for key in _OF_A_MEMBER} for name, spec in specs.items()}
    report = read_json(folder / REPORT)
    report["data"]["source"] = Path(report["data"]["source"]).name
    return {**report, "specs": effort, "views": views}


def _stored(name: str) -> dict[str, Any] | None:
    path = RESULTS / f"{name}.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None


def _runs() -> Iterator[str]:
    yield (
        "| recipe | members | device | seconds of training | best member | committee | 95 % | over the member | "
        "over one view |"
    )
    yield "|---|--:|---|--:|--:|--:|--:|--:|--:|"
    for name, (place, device) in RUNS.items():
        found, recipe = _stored(name), f"[{name}](../{place})"
        if found is None:
            yield f"| {recipe} | | {device} | not run | | | | | |"
            continue
        members, rule = found["members"], found["rules"]["committee"]
        low, high = rule["nested_interval"]
        gains = f"{_points(rule['against_best_member']['gain'])} | {_views_gain(found)}"
        yield (
            f"| {recipe}, [output](results/{name}.json) | {len(members)} | {device} | "
            f"{sum(m['seconds'] for m in members):,.0f} | {max(m['accuracy'] for m in members):.4f} | "
            f"**{rule['nested_accuracy']:.4f}** | {low:.3f}-{high:.3f} | {gains} |"
        )


def _views_gain(found: dict[str, Any]) -> str:
    views = found.get("views")
    if views is None:
        return "not measured"
    one, most = _ends(views)
    return _points(most["committee"] - one["committee"])


def _ends(views: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """What was found on one view, and on all."""
    counts = sorted(views, key=int)
    return views[counts[0]], views[counts[-1]]


def _points(gain: float) -> str:
    return f"{100 * gain:+.1f}"


def _members() -> Iterator[str]:
    yield "| recipe | member | one view | all views | parameters | epochs, best | seconds | computed on |"
    yield "|---|---|--:|--:|--:|--:|--:|---|"
    for recipe in RUNS:
        found = _stored(recipe)
        if found is None or "views" not in found:
            continue
        one, most = _ends(found["views"])
        for member in found["members"]:
            name, spec = member["name"], found["specs"][member["name"]]
            yield (
                f"| {recipe} | {name} | {one['members'][name]:.4f} | {most['members'][name]:.4f} | "
                f"{spec['parameters']:,} | {spec['epochs']}, {spec['best_epoch']} | {spec['seconds']:,.0f} | "
                f"{spec['environment']['processor']}, {spec['precision']} |"
            )


if __name__ == "__main__":
    main()
