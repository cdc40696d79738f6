"""Ten thousand random YAML files, tables, zips and images: every one is read or refused.

    python -m benchmarks.fuzz [SHARE]

Writes benchmarks/results/fuzz.json; a share below 1 runs as much less.
"""

from __future__ import annotations

import json
import sys
import time
import warnings
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1] / "tests"))

from hostile.fuzz import fuzz

CASES = {"yaml": 2500, "csv": 600, "zip": 600, "image": 6500}


def main() -> None:
    """Run every kind, print and write what came of it."""
    share = float(sys.argv[1]) if len(sys.argv) > 1 else 1.0
    results = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for kind, cases in CASES.items():
            start = time.perf_counter()
            exits = fuzz(kind, max(1, round(cases * share)), repeatable=share < 1)
            results[kind] = {
                "cases": exits.total(),
                "seconds": round(time.perf_counter() - start, 1),
                "exits": {str(code): count for code, count in sorted(exits.items())},
            }
            print(kind, results[kind], flush=True)
    total = sum(result["cases"] for result in results.values())
    path = Path(__file__).parent / "results" / "fuzz.json"
    path.write_text(json.dumps({"cases": total, "kinds": results}, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
