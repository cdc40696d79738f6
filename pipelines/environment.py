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
    "MLFLOW_LOGGING_LEVEL": "WARNING",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
}


def prepare_environment() -> None:
    """Set the defaults; has to be called before torch, mlflow or albumentations are imported."""
    for name, value in _DEFAULTS.items():
        os.environ.setdefault(name, value)
