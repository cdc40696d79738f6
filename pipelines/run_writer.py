"""Writes metrics, parameters, figures, tables, files and the end of one run; all of it may be written twice."""

from __future__ import annotations

import io
import json
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pipelines.run_content import RunContent
from pipelines.run_owner import is_gone

if TYPE_CHECKING:
    from PIL import Image

__all__ = ["NOTE", "OWNER", "end_run", "log_content", "log_metrics", "log_params", "mark_killed"]

NOTE = "mlflow.note.content"
"""The tag that MLflow's pages show as a description."""

OWNER = "ensemble.process"
"""The tag that says which process writes a run."""

_FULL, _SMALL = 110, 42
"""Dots per inch of a figure and of its thumbnail; MLflow's Markdown has no widths, so a small picture is a file."""
_AT_ONCE = 900
_LONGEST = 500
_TABLES = "mlflow.loggedArtifacts"


def log_params(client: Any, run: str, params: Mapping[str, Any]) -> None:
    """Log parameters as text."""
    from mlflow.entities import Param

    client.log_batch(run, params=[Param(key, str(value)[:_LONGEST]) for key, value in params.items()])


def log_metrics(
    client: Any, run: str, batches: Sequence[tuple[Mapping[str, float], int]], *, at: int | None = None
) -> None:
    """Log metrics, each batch with its step.

    Args:
        client: Of the store.
        run: The run's id.
        batches: Metrics and step.
        at: When they were measured, in ms of the epoch; default now.
    """
    from mlflow.entities import Metric

    when = int(time.time() * 1000) if at is None else at
    metrics = [Metric(key, float(value), when, step) for named, step in batches for key, value in named.items()]
    for start in range(0, len(metrics), _AT_ONCE):
        client.log_batch(run, metrics=metrics[start : start + _AT_ONCE])


def log_content(client: Any, run: str, content: RunContent) -> None:
    """Log all that a run has at its end."""
    log_metrics(client, run, [(content.metrics, 0)])
    for name, figure in content.figures.items():
        picture = _drawn(figure)
        client.log_image(run, picture, f"figures/{name}")
        picture.thumbnail((picture.width * _SMALL // _FULL, picture.height))
        client.log_image(run, picture, f"thumbnails/{name}")
    for path, frame in content.tables.items():
        # Not `log_table`, which appends: a fit that is killed here logs the table again.
        client.log_text(run, frame.to_json(orient="split", index=False), path)
    if content.tables:
        client.set_tag(run, _TABLES, json.dumps([{"path": path, "type": "table"} for path in content.tables]))
    for file, place in content.files:
        client.log_artifact(run, str(file), place)
    for key, value in content.tags.items():
        client.set_tag(run, key, value)
    if content.description:
        client.set_tag(run, NOTE, content.description.replace("{run}", run))


def _drawn(figure: Any) -> Image.Image:
    """A matplotlib figure as an image: to draw takes long, and a thumbnail is made of the image."""
    from PIL import Image

    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=_FULL)
    return Image.open(content)


def end_run(client: Any, run: str, status: str) -> None:
    """Set a run's status, and the tag by which runs can be filtered."""
    client.set_tag(run, "status", status.lower())
    client.set_terminated(run, status)


def mark_killed(client: Any, experiment: str) -> None:
    """Mark the runs that say they are running while their process, on this machine, is gone without a word."""
    for run in client.search_runs([experiment], "attributes.status = 'RUNNING'"):
        if is_gone(run.data.tags.get(OWNER, "")):
            end_run(client, run.info.run_id, "KILLED")
