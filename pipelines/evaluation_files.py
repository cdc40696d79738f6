"""What `ensemble evaluate` leaves behind: the report as JSON and as Markdown, and its figures."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ensemble.calibration import ReliabilityBin
from pipelines.atomic import replacing, write_text
from pipelines.evaluation import evaluation_markdown
from pipelines.figure import confusion_figure, coverage_figure, reliability_figure

__all__ = ["write_evaluation"]


def write_evaluation(folder: Path, report: Mapping[str, Any]) -> None:
    """Write `report.json`, `report.md` and the figures.

    Args:
        folder: Made if it is not there.
        report: What `ensemble evaluate` has found.
    """
    folder.mkdir(parents=True, exist_ok=True)
    title = f"{report['committee_folder']}, {report['split']}"
    figures = {
        "confusion_matrix.png": confusion_figure(
            np.asarray(report["confusion_matrix"]), report["classes"], title=title
        ),
        "reliability.png": reliability_figure(_reliability(report), title=title),
        "coverage.png": coverage_figure(report["coverage_curve"], report["coverage"], title=title),
    }
    for name, figure in figures.items():
        with replacing(folder / name) as temporary:
            figure.savefig(temporary, format="png", dpi=120)
    write_text(folder / "report.md", evaluation_markdown(report, title=title))
    write_text(folder / "report.json", json.dumps(_without_nan(report), indent=2) + "\n")


def _reliability(report: Mapping[str, Any]) -> dict[str, list[ReliabilityBin]]:
    """The panels of the reliability diagram: as fused, and at the committee's temperature if it has one."""
    panels = {f"as fused, calibration error {report['committee']['calibration_error']:.3f}": report["reliability"]}
    if report["temperature"] is not None:
        error = report["calibrated"]["calibration_error"]
        panels[f"at temperature {report['temperature']:.2f}, calibration error {error:.3f}"] = report[
            "reliability_calibrated"
        ]
    return {name: [ReliabilityBin(**row) for row in rows] for name, rows in panels.items()}


def _without_nan(value: Any) -> Any:
    """The content with null where there is no number, since JSON has no NaN."""
    if isinstance(value, Mapping):
        return {key: _without_nan(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_without_nan(inner) for inner in value]
    return None if isinstance(value, float) and value != value else value
