"""`ensemble ui`: MLflow's page on the workspace's store, in a process of its own."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

from backbones.errors import InputError
from pipelines.environment import prepare_environment
from pipelines.tracking import store_uri
from pipelines.workspace import Workspace

__all__ = ["serve_ui"]


def serve_ui(workspace: Workspace, *, host: str, port: int) -> int:
    """Run MLflow's UI on the workspace's store until it is interrupted; returns its exit code.

    Raises:
        InputError: Nothing has been tracked yet, or the port is taken.
    """
    uri = store_uri(workspace)
    if uri.startswith("sqlite:///") and not Path(uri.removeprefix("sqlite:///")).is_file():
        raise InputError(
            f"Expected a tracking store in `{workspace.root}`, but there is none. Run `ensemble fit` first."
        )
    with socket.socket() as probe:
        if probe.connect_ex((host, port)) == 0:
            raise InputError(f"Expected port {port} to be free, but something listens on it. Choose another: `--port`.")
    print(f"MLflow on http://{host}:{port}  (Ctrl-C stops it)", flush=True)  # noqa: T201
    prepare_environment()
    command = [sys.executable, "-m", "mlflow", "ui", "--backend-store-uri", uri, "--workers", "1"]
    command += ["--host", host, "--port", str(port)]
    with subprocess.Popen(command) as server:
        try:
            return server.wait()
        except KeyboardInterrupt:
            server.terminate()
            return 0
