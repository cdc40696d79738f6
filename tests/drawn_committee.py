"""Committees whose members are drawn, not trained, and a reader of their pages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np

from ensemble.bank import save_posteriors
from ensemble.committee_spec import resolve_committee
from ensemble.faces import Faces
from ensemble.outside_spec import OUTSIDE
from pipelines.atomic import write_json
from pipelines.fuse import fuse_stored
from pipelines.yaml_file import write_yaml

EPOCHS = 12


def make_committee(
    folder: Path,
    names: Sequence[str],
    *,
    labels: np.ndarray,
    classes: Sequence[str],
    ids: Sequence[str],
    data: dict[str, Any] | None = None,
    tree: dict[str, Any] | None = None,
) -> Path:
    """A finished committee; the last member is another tool's, without parameters and history."""
    rng = np.random.default_rng(0)
    common = 0.8 * rng.normal(size=(len(labels), len(classes)))
    for number, name in enumerate(names):
        logits = common + rng.normal(size=common.shape)
        logits[np.arange(len(labels)), labels] += 1.0 + 2.0 * number / len(names)
        powers = np.exp(logits)
        own = folder / "members" / name
        own.mkdir(parents=True)
        save_posteriors(
            own / "posteriors.npz", classes=classes, ids={"validation": ids}, labels={"validation": labels},
            probs={"validation": (powers / powers.sum(axis=1, keepdims=True))[None]},
        )  # fmt: skip
        outside = number == len(names) - 1
        facts = {"parameters": 1000 * (number + 1), "epochs": EPOCHS, "seconds": 40.0 + number, "best_epoch": 9}
        facts = dict.fromkeys(facts) | {"kind": OUTSIDE} if outside else facts
        write_json(own / "spec.json", {"spec": {"name": name}, **facts})
        if not outside:
            write_json(own / "history.json", [
                {"epoch": e, "train_loss": 2 * 0.8**e, "validation_nll": 1.2 * 0.9**e + 0.02 * e,
                 "validation_accuracy": 0.8 - 0.5 * 0.75**e, "lr": 0.1, "seconds": 3.0}
                for e in range(1, EPOCHS + 1)
            ])  # fmt: skip
    flat: dict[str, tuple[str, ...]] = dict.fromkeys(names, ())
    node = resolve_committee(tree or {"rule": "log_likelihood"}, flat)
    write_yaml(folder / "committee.yaml", {
        "name": folder.name, "data": data or {"source": "synthetic"}, "seed": 0, "views": 1,
        "members": [{"name": name} for name in names], "committee": node.tree(),
    })  # fmt: skip
    facts = {"name": folder.name, "data": {"source": "synthetic", "digest": "0" * 64}, "device": "CPU", "notes": ["so"]}
    fuse_stored(folder, node, seed=0, facts=facts)
    return folder


@dataclass(frozen=True)
class Drawn:
    """A committee of ten drawn members in a workspace of its own."""

    folder: Path
    cache: Path
    faces: Faces
    names: tuple[str, ...]


@dataclass
class Page(HTMLParser):
    """A page taken apart: its sections' words, its tables' cells, and every attribute."""

    text: str
    sections: dict[str, str] = field(default_factory=dict)
    rows: dict[str, list[list[dict[str, str]]]] = field(default_factory=dict)
    attributes: list[tuple[str, str, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()
        self._section, self._cell = "top", False
        self.feed(self.text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {key: value or "" for key, value in attrs}
        self.attributes += [(tag, key, value) for key, value in found.items()]
        if tag == "section":
            self._section = found["id"]
        elif tag == "tr":
            self.rows.setdefault(self._section, []).append([])
        elif tag in ("td", "th"):
            self.rows[self._section][-1].append({**found, "text": ""})
            self._cell = True

    def handle_endtag(self, tag: str) -> None:
        self._cell = self._cell and tag not in ("td", "th")
        if tag == "section":
            self._section = "top"

    def handle_data(self, data: str) -> None:
        words = data.replace("\xa0", " ")
        self.sections[self._section] = self.sections.get(self._section, "") + words
        if self._cell:
            self.rows[self._section][-1][-1]["text"] += words.strip()

    def row(self, section: str, name: str) -> list[dict[str, str]]:
        """The first row of a section that begins with a name."""
        return next(cells for cells in self.rows[section] if cells and cells[0]["text"].startswith(name))
