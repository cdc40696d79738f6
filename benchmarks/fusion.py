"""How long fusion takes: 36 members, 3,589 faces, as whole processes.

`ensemble fuse` fits the tree and estimates every rule by cross-fitting; `ensemble fuse --rule log_likelihood` one rule.
The members are drawn, not trained: they share most of what they know, as networks trained on the same faces do.

Run from the repository root: `python -m benchmarks.fusion`.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from ensemble.bank import save_posteriors
from ensemble.committee import Committee
from ensemble.committee_spec import resolve_committee
from ensemble.expression import EXPRESSIONS
from pipelines.atomic import write_json
from pipelines.bundle import COMMITTEE, REPORT, seal
from pipelines.yaml_file import write_yaml

RESULT = Path(__file__).parent / "results" / "fusion.json"
MEMBERS, FACES = 36, 3589


def make_committee(folder: Path) -> None:
    """A finished committee whose members are nothing but their posteriors."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, len(EXPRESSIONS), FACES)
    common = 1.5 * rng.normal(size=(FACES, len(EXPRESSIONS)))
    ids, posteriors = np.array([f"face{i}" for i in range(FACES)]), {}
    for number in range(MEMBERS):
        logits = common + rng.normal(size=common.shape)
        logits[np.arange(FACES), labels] += rng.uniform(0.3, 1.2)
        powers = np.exp(logits)
        name = f"member{number:02}"
        posteriors[name] = powers / powers.sum(axis=1, keepdims=True)
        place = folder / "members" / name
        place.mkdir(parents=True)
        save_posteriors(
            place / "posteriors.npz", classes=EXPRESSIONS, ids={"validation": ids},
            probs={"validation": posteriors[name][None]}, labels={"validation": labels},
        )  # fmt: skip
        write_json(place / "spec.json", {"spec": {"name": name}, "parameters": 1, "epochs": 1, "seconds": 1.0})
    groups: dict[str, tuple[str, ...]] = dict.fromkeys(posteriors, ())
    node = resolve_committee({"rule": "log_likelihood"}, groups)
    write_json(folder / COMMITTEE, Committee.fit(node, posteriors, labels).to_json())
    write_json(folder / REPORT, {"name": "drawn"})
    members = [{"name": name} for name in posteriors]
    write_yaml(folder / "committee.yaml", {
        "name": "drawn", "data": {"source": "synthetic"}, "views": 1, "seed": 0, "members": members,
        "committee": node.tree(),
    })  # fmt: skip
    seal(folder, members=list(posteriors))


def seconds(folder: Path, *arguments: str) -> float:
    """Wall time of one `ensemble fuse`."""
    command = [sys.executable, "-m", "pipelines.cli", "fuse", "--committee", str(folder), *arguments]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    started = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=environment)
    return round(time.perf_counter() - started, 2)


def main() -> None:
    """Measure, print and store."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "drawn"
        make_committee(folder)
        one = sorted(seconds(folder, "--rule", "log_likelihood") for _ in range(3))
        result = {
            "members": MEMBERS, "faces": FACES, "one_rule_s": one[1], "every_rule_s": seconds(folder),
            "processors": os.cpu_count(),
        }  # fmt: skip
    write_json(RESULT, result)
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
