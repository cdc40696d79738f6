"""What a process is given: settings that libraries read when they are loaded (the user's stay), streams and cores."""

from __future__ import annotations

import io
import os
import sys

__all__ = ["core_count", "prepare_environment"]

_DEFAULTS = {
    # No request leaves the machine unasked.
    "NO_ALBUMENTATIONS_UPDATE": "1",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    # Threads that wait for each other soon sleep instead of spinning for long: on a machine that does anything else
    # besides, training small networks is then twice as fast. GNU's OpenMP spins for as long as a small step takes,
    # since asleep at once (as those are that know no such number) they take an eighth longer where nothing else runs.
    "OMP_WAIT_POLICY": "PASSIVE",
    "GOMP_SPINCOUNT": "30000",
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
    """Set the defaults; has to be called before torch, mlflow or albumentations are imported.

    What the terminal's encoding cannot show, such as a name in another script, is written as its escape.
    """
    for name, value in _DEFAULTS.items():
        os.environ.setdefault(name, value)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and stream.errors == "strict":
            stream.reconfigure(errors="backslashreplace")


def core_count() -> int:
    """Cores that this process may use: those it is bound to (`taskset`, a container's set), not all there are."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1  # macOS and Windows
