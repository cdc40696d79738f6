"""FER2013's duplicates: what `ensemble data audit` finds, held against the `duplicate` column of a FER+ votes file.

Run from the repository root: `python -m benchmarks.duplicates --data fer2013.zip --votes ferplus.csv`.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import pandas as pd

from ensemble.data_spec import DataSpec
from pipelines.atomic import write_json
from pipelines.audit import audit
from pipelines.console import Console
from pipelines.data_opening import open_data
from pipelines.workspace import Workspace

RESULT = Path(__file__).parent / "results" / "duplicates.json"
_COUNTS = ("faces", "copies", "twins", "conflicts", "against_votes")


def main() -> None:
    """Audit, compare, print and store."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="fer2013.zip")
    parser.add_argument("--votes", type=Path, required=True, help="FER+ votes with a `duplicate` column")
    given = parser.parse_args()
    console = Console()
    store = open_data(DataSpec(source=str(given.data), votes=str(given.votes)), Workspace(), console)
    findings = audit(store, console)
    votes = pd.read_csv(given.votes)
    marked = set(votes["file"][votes["duplicate"] == 1].map(_name))
    found = {_name(pair[end]) for place in findings.values() for pair in place["pairs"] for end in ("first", "second")}
    copied = {
        _name(pair[end])
        for place in findings.values()
        for pair in place["pairs"]
        if pair["similarity"] == 1.0 and not pair["mirrored"]
        for end in ("first", "second")
    }
    result = {
        "digest": store.digest,
        "places": {place: {key: of[key] for key in _COUNTS if key in of} for place, of in findings.items()},
        "faces_with_a_twin": len(found),
        "faces_with_a_copy": len(copied),
        "marked": len(marked),
        "marked_with_a_twin": len(marked & found),
        "marked_with_a_copy": len(marked & copied),
    }
    write_json(RESULT, result)
    console.result("\n".join(f"{key}: {value}" for key, value in result.items()))


def _name(path: object) -> str:
    """Names of faces are unique in FER2013, whatever folder they lie in."""
    return Path(str(path)).name


if __name__ == "__main__":
    main()
