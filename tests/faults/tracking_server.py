"""A tracking server that is lost in the middle of a fit, and comes back."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from faults.stage import MEMBERS, Stage, digests
from faults.trials import Trial, last_message

from pipelines.environment import prepare_environment
from pipelines.tracking_spool import SPOOL
from pipelines.tracking_store import EXPERIMENT, open_client


class Server:
    """MLflow's server on a store of its own.

    Args:
        folder: Where the store lies.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.folder, self.url = folder, f"http://127.0.0.1:{self.port}"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, *, seconds: float = 120) -> None:
        """Start it, and wait until it answers."""
        prepare_environment()
        command = [
            sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(self.port), "--workers", "1",
            "--backend-store-uri", f"sqlite:///{self.folder}/mlflow.db",
            "--artifacts-destination", f"{self.folder}/artifacts",
        ]  # fmt: skip
        with (self.folder / "server.log").open("ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
        deadline = time.monotonic() + seconds
        while not self._answers():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"no server:\n{(self.folder / 'server.log').read_text(errors='replace')[-2000:]}")
            time.sleep(0.1)

    def kill(self) -> None:
        """Kill it and all that it has started, without a word."""
        import psutil

        if self.process is None:
            return
        family = psutil.Process(self.process.pid)
        for process in (*family.children(recursive=True), family):
            process.kill()
        self.process.wait()
        self.process = None

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/health", timeout=5) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False


def server_lost(stage: Stage, whole: Path, *, back: str) -> Trial:
    """Kill the tracking server in the first member's second epoch.

    Args:
        stage: Where.
        whole: What has to come out.
        back: When it is back: `during` the fit, or `after` it, so that the same command has to send what waits.
    """
    parts, server = stage.root / f"lost-{back}", Server(stage.root / f"server-{back}")
    try:
        server.start()
        fit = stage.tracked_fit(parts, server.url)
        assert fit.until(lambda: "epoch 2/" in fit.text, seconds=300), fit.text
        server.kill()
        if back == "during":
            fit.until(lambda: "sends it later" in fit.text, seconds=300)
            server.start()
        first = fit.end()
        if back == "after":
            server.start()
        end = first if back == "during" else stage.tracked_fit(parts, server.url).end()
        again = stage.tracked_fit(parts, server.url).end() if (parts / SPOOL).exists() else end
        good = first.code == end.code == again.code == 0 and "sends it later" in first.text and first.is_clear
        good = good and not (parts / SPOOL).exists() and digests(parts) == digests(whole) and _is_complete(server.url)
    finally:
        server.kill()
    said = next((line.strip() for line in first.text.splitlines() if "sends it later" in line), last_message(first))
    return Trial("MLflow server lost", f"killed in the second epoch, back {back} the fit", said[:240], good)


def _is_complete(uri: str) -> bool:
    """Whether every run is finished and no epoch of a member is missing."""
    client: Any = open_client(uri)
    found = client.get_experiment_by_name(EXPERIMENT)
    runs = {run.info.run_name: run.info for run in client.search_runs([found.experiment_id])}
    if set(runs) != {"small", *MEMBERS} or any(run.status != "FINISHED" for run in runs.values()):
        return False
    steps = {
        name: [point.step for point in client.get_metric_history(runs[name].run_id, "epoch/validation_nll")]
        for name in MEMBERS
    }
    return all(own == list(range(1, 6)) for own in steps.values())
