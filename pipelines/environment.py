"""Settings that libraries read from the environment when they are loaded; what the user has set stays."""

from __future__ import annotations

import os

__all__ = ["prepare_environment"]

_DEFAULTS = {
    # No request leaves the machine unasked.
    "NO_ALBUMENTATIONS_UPDATE": "1",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    # Threads that wait for each other sleep instead of spinning: on a machine that does anything else besides,
    # training small networks is several times faster.
    "OMP_WAIT_POLICY": "PASSIVE",
    # What is wrong with an image is told once, by whoever reads it.
    "OPENCV_LOG_LEVEL": "SILENT",
    "MLFLOW_LOGGING_LEVEL": "WARNING",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    # A tracking server that is away holds a fit up for seconds, not minutes; what it misses is sent later.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "30",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    # The page's server starts eight more processes for jobs with language models, which nobody here has.
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
}


def prepare_environment() -> None:
    """Set the defaults; has to be called before torch, mlflow or albumentations are imported."""
    for name, value in _DEFAULTS.items():
        os.environ.setdefault(name, value)
