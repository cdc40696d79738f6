"""What is logged to one run at its end. Knows nothing of MLflow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

__all__ = ["RunContent"]


@dataclass(frozen=True, kw_only=True)
class RunContent:
    """The results of a run.

    Attributes:
        metrics: Headline numbers, `split/metric`; in this order, the most telling one first.
        figures: matplotlib figures by the name of the picture, the same names on all runs.
        tables: Data frames by artifact path.
        files: Files and the artifact folder of each.
        tags: Further tags.
        description: Markdown; `{run}` stands for the run's id.
    """

    metrics: Mapping[str, float]
    figures: Mapping[str, Any] = field(default_factory=dict)
    tables: Mapping[str, Any] = field(default_factory=dict)
    files: Sequence[tuple[Path, str]] = ()
    tags: Mapping[str, str] = field(default_factory=dict)
    description: str = ""
