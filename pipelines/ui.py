"""`ensemble ui`: MLflow's page on the workspace's store, in a process of its own, and the addresses worth opening."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading
import time
import webbrowser
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from backbones.errors import InputError, reason_of
from pipelines.environment import prepare_environment
from pipelines.run_writer import mark_killed
from pipelines.termination import terminable
from pipelines.tracking_store import EXPERIMENT, open_client, store_uri
from pipelines.workspace import Workspace

__all__ = ["Pages", "find_pages", "serve_ui"]

_COMPARED = 30
"""Members that the address of the compare page names; an address has its limits."""


@dataclass(frozen=True, kw_only=True)
class Pages:
    """Places within MLflow's page, each what follows the server's address.

    Attributes:
        experiment: All committees and searches; the front page if nothing is known.
        committee: The newest committee's run.
        compare: Its members side by side.
        name: Its name.
    """

    experiment: str = "/"
    committee: str | None = None
    compare: str | None = None
    name: str | None = None

    def lines(self, server: str) -> list[str]:
        """The addresses, for the console."""
        lines = [f"committees  {server}{self.experiment}"]
        lines += [f"{self.name}: the committee  {server}{self.committee}"] if self.committee else []
        return lines + ([f"{self.name}: its members compared  {server}{self.compare}"] if self.compare else [])


def find_pages(uri: str) -> Pages:
    """Look up what there is to see. Runs of processes that were killed are marked on the way."""
    client = open_client(uri)
    experiment = client.get_experiment_by_name(EXPERIMENT)
    if experiment is None:
        return Pages()
    own = experiment.experiment_id
    mark_killed(client, own)
    place = f"/#/experiments/{own}/runs"
    newest = client.search_runs([own], "tags.stage = 'committee'", max_results=1, order_by=["start_time DESC"])
    if not newest:
        return Pages(experiment=place)
    parent = newest[0].info
    children = client.search_runs(
        [own], f"tags.`mlflow.parentRunId` = '{parent.run_id}'", max_results=_COMPARED, order_by=["start_time ASC"]
    )
    runs, experiments = ([child.info.run_id for child in children], [own])
    compare = f"/#/compare-runs?runs={_listed(runs)}&experiments={_listed(experiments)}"
    return Pages(
        experiment=place,
        committee=f"{place}/{parent.run_id}",
        compare=compare if len(runs) > 1 else None,
        name=parent.run_name,
    )


def serve_ui(workspace: Workspace, *, host: str, port: int, browse: bool = False) -> int:
    """Run MLflow's UI on the workspace's store until it is interrupted.

    If the store is a tracking server, that one has the page already; then only its addresses are told.

    Args:
        workspace: Where the default store lies.
        host: Address to listen on.
        port: Port to listen on.
        browse: Whether to open a browser.

    Returns:
        The exit code.

    Raises:
        InputError: Nothing has been tracked yet, or the port is taken.
    """
    uri = store_uri(workspace)
    prepare_environment()
    if uri.startswith(("http://", "https://")):
        return _show_server(uri.rstrip("/"), browse=browse)
    if uri.startswith("sqlite:///") and not Path(uri.removeprefix("sqlite:///")).is_file():
        raise InputError(
            f"Expected a tracking store in `{workspace.root}`, but there is none. Run `ensemble fit` first."
        )
    if _answers(host, port):
        raise InputError(f"Expected port {port} to be free, but something listens on it. Choose another: `--port`.")
    server, pages = f"http://{host}:{port}", find_pages(uri)
    _tell(f"MLflow on {server}  (Ctrl-C stops it)", *pages.lines(server))
    command = [sys.executable, "-m", "mlflow", "ui", "--backend-store-uri", uri, "--workers", "1"]
    command += ["--host", host, "--port", str(port)]
    with terminable(), subprocess.Popen(command) as process:
        if browse:
            address = server + pages.experiment
            threading.Thread(target=_open_later, args=(process, host, port, address), daemon=True).start()
        try:
            return process.wait()
        except KeyboardInterrupt:
            process.terminate()
            return 0


def _show_server(server: str, *, browse: bool) -> int:
    try:
        pages = find_pages(server)
    except Exception as error:  # noqa: BLE001 - whatever a server answers that is none
        raise InputError(f"Expected a tracking server on {server}, but got: {reason_of(error)}") from None
    _tell(f"MLflow runs on {server}", *pages.lines(server))
    if browse:
        webbrowser.open(server + pages.experiment)
    return 0


def _open_later(process: subprocess.Popen[bytes], host: str, port: int, address: str) -> None:
    """Open the browser as soon as the server listens."""
    while process.poll() is None:
        if _answers(host, port):
            webbrowser.open(address)
            return
        time.sleep(0.3)


def _answers(host: str, port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((host, port)) == 0


def _tell(*lines: str) -> None:
    print("\n".join(lines), flush=True)  # noqa: T201


def _listed(names: list[str]) -> str:
    return quote(json.dumps(names, separators=(",", ":")), safe="")
