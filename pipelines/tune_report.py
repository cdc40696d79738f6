"""What a search leaves for its user: the table, `trials.csv`, `best.yaml` and `search.png`."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ensemble.spec import MemberSpec
from ensemble.tune_spec import TuneSpec
from pipelines.atomic import replacing, write_text
from pipelines.figure import SearchAxis, search_figure
from pipelines.search_place import placed
from pipelines.study import Study, Trial
from pipelines.yaml_file import yaml_text

__all__ = ["BEST", "FIGURE", "TRIALS", "TuneReport", "short_names", "shown"]

TRIALS, BEST, FIGURE = "trials.csv", "best.yaml", "search.png"
_SHOWN = 10
_FACTS = ("accuracy", "nll", "train_accuracy", "seconds")


def short_names(places: Sequence[str]) -> list[str]:
    """The ends of dotted places, as long as it takes to tell them apart.

    Example:
        >>> short_names(["optimizer.lr", "head.dropout", "backbone.dropout"])
        ['lr', 'head.dropout', 'backbone.dropout']
    """

    def ending(place: str, parts: int) -> str:
        return ".".join(place.split(".")[-parts:])

    names = []
    for place in places:
        parts = 2 if place.endswith(".kind") else 1
        while sum(ending(other, parts) == ending(place, parts) for other in places) > 1:
            parts += 1
        names.append(ending(place, parts))
    return names


def shown(value: Any) -> str:
    """A value in a table.

    Example:
        >>> shown(0.000123456), shown(3), shown("adam")
        ('0.000123', '3', 'adam')
    """
    return f"{value:.3g}" if isinstance(value, float) else str(value)


class TuneReport:
    """The results of a search as they stand.

    Args:
        folder: Where the files go.
        tune: The search.
        base: The member, with the epochs of a trial.
        study: Its trials.
    """

    def __init__(self, folder: Path, tune: TuneSpec, base: MemberSpec, study: Study) -> None:
        self.folder, self.tune, self.base, self.study = folder, tune, base, study
        self.places = list(tune.search)

    def table(self) -> tuple[str, tuple[str, ...], list[tuple[str, ...]]]:
        """Title, header and rows of the best trials."""
        trials = self.study.trials()
        ranked = sorted((trial for trial in trials if trial.reason is None), key=self.study.rank)
        failed = f", {len(trials) - len(ranked)} failed" if len(ranked) < len(trials) else ""
        judged = "validation faces" if self.tune.folds == 1 else f"{self.tune.folds}-fold cross-validation"
        count = f"best {_SHOWN} of {len(trials)}" if len(ranked) > _SHOWN else str(len(trials))
        title = f"{self.folder.name}: {count} trials by {self.tune.metric}, {judged}{failed}"
        header = ("trial", *short_names(self.places), "accuracy", "nll", "train", "seconds")
        rows = [
            (
                str(trial.number), *(shown(trial.values[place]) for place in self.places),
                f"{trial.facts['accuracy']:.4f}", f"{trial.facts['nll']:.4f}", f"{trial.facts['train_accuracy']:.4f}",
                f"{trial.facts['seconds']:.1f}",
            )
            for trial in ranked[:_SHOWN]
        ]  # fmt: skip
        return title, header, rows

    def snippet(self) -> str | None:
        """The member's fields that were searched, with the best trial's values: to paste over its own."""
        best = self.study.best()
        if best is None:
            return None
        content: Any = self.base.model_dump(mode="json")
        for place, value in best.values.items():
            content = placed(content, place, value)
        fields = dict.fromkeys(place.partition(".")[0] for place in self.places)
        facts = f"accuracy {best.facts['accuracy']:.4f}, nll {best.facts['nll']:.4f}"
        note = f"# {self.base.name}, trial {best.number} of {len(self.study.trials())}: validation {facts}\n"
        shown_fields: Any = {field: _without_nulls(content[field]) for field in fields}
        for place, value in best.values.items():  # a null that won is no field left out: `defaults` may have another
            shown_fields = placed(shown_fields, place, value)
        return note + yaml_text(shown_fields)

    def write(self) -> None:
        """Write the table of all trials and the best values."""
        write_text(self.folder / TRIALS, self._csv())
        snippet = self.snippet()
        if snippet is not None:
            write_text(self.folder / BEST, snippet)

    def draw(self) -> None:
        """Write the figure."""
        trials, best = self.study.trials(), self.study.best()
        numbers = [place for place in self.places if self.tune.search[place].choices is None][:2]
        axes = [
            SearchAxis(
                name=place, values=[trial.values[place] for trial in trials], log=self.tune.search[place].log
            )
            for place in numbers or self.places[:1]
        ]  # fmt: skip
        scores = {
            name: [trial.facts.get(name, float("nan")) for trial in trials] for name in ("accuracy", "train_accuracy")
        }
        figure = search_figure(
            axes,
            train=scores["train_accuracy"],
            validation=scores["accuracy"],
            best=None if best is None else [trial.number for trial in trials].index(best.number),
            title=f"{self.folder.name}: {len(trials)} trials",
        )
        with replacing(self.folder / FIGURE) as temporary:
            figure.savefig(temporary, format="png", dpi=150)

    def files(self) -> list[Path]:
        """The files that belong to the result."""
        return [path for name in (TRIALS, BEST, FIGURE) if (path := self.folder / name).is_file()]

    def _csv(self) -> str:
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(["trial", "state", *self.places, *_FACTS, "reason"])
        for trial in self.study.trials():
            writer.writerow(self._line(trial))
        return text.getvalue()

    def _line(self, trial: Trial) -> list[Any]:
        values = [trial.values.get(place, "") for place in self.places]
        facts = [trial.facts.get(name, "") for name in _FACTS]
        return [trial.number, "failed" if trial.reason else "finished", *values, *facts, trial.reason or ""]


def _without_nulls(content: Any) -> Any:
    """The content without fields that are null, which is what they are when left out."""
    if isinstance(content, Mapping):
        return {key: _without_nulls(value) for key, value in content.items() if value is not None}
    return content
