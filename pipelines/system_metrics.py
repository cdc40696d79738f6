"""What the machine does while a committee is fitted, on its run: MLflow's own monitor, switched on and off."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import Any

from pipelines.tracking import Tracker
from pipelines.tracking_store import store_uri

__all__ = ["SystemMetrics"]

_VARIABLE = "MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING"


class SystemMetrics:
    """Logs load, memory, disk and network, and the GPU's where there is one.

    Args:
        wanted: Whether to; None does what `$MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING` says.
    """

    def __init__(self, wanted: bool | None = None) -> None:
        self.wanted = os.environ.get(_VARIABLE, "").lower() in ("1", "true") if wanted is None else wanted
        self.monitor: Any = None

    def start(self, tracker: Tracker) -> None:
        """Begin, or go on where an interrupted fit was, on the parent run."""
        if not self.wanted or self.monitor is not None:
            return
        import mlflow.system_metrics.system_metrics_monitor as own

        uri = store_uri(tracker.workspace)
        monitor: Any = own.SystemMetricsMonitor
        self.monitor = monitor(tracker.run_of(None), resume_logging=True, tracking_uri=uri)
        self.monitor.start()

    def stop(self) -> None:
        """End it; what the store does not take is lost."""
        if self.monitor is not None:
            with suppress(Exception):
                self.monitor.finish()
            self.monitor = None
