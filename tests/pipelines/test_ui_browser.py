"""MLflow's page in a browser, as somebody who compares members goes through it."""

from __future__ import annotations

import io
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import numpy as np
import psutil
import pytest
from browser import browser
from PIL import Image
from support import ROOT, copy_workspace

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

__all__ = ["browser"]

COMMITTEE = "tiny"
RATES = {"plain": 0.003, "residual": 0.05}
"""The members, and what they are told apart by among other things."""

# A busy machine takes its time to start MLflow and to draw its page.
PATIENCE = 90.0


@dataclass
class Site:
    """The page of `ensemble ui`, and what lies behind it."""

    address: str
    experiment: str
    parent: Any
    members: dict[str, Any]

    def run(self, run: Any, below: str = "") -> str:
        return f"{self.address}/#/experiments/{self.experiment}/runs/{run.info.run_id}{below}"


@pytest.fixture(scope="module")
def site(tiny_workspace: Path, browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("site") / "work"
    copy_workspace(tiny_workspace, folder)
    site = look_up(f"sqlite:///{folder / 'mlruns/mlflow.db'}")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "pipelines.cli", "ui", "--port", str(port)]
    log = folder / "ui.log"
    with log.open("wb") as output:
        server = subprocess.Popen(
            command, cwd=folder, env={**os.environ, "PYTHONPATH": str(ROOT)}, stdout=output, stderr=subprocess.STDOUT
        )
    site.address = f"http://127.0.0.1:{port}"
    family: list[psutil.Process] = []
    try:
        wait_for(site.address, server, log)
        family = psutil.Process(server.pid).children(recursive=True)
        yield site
    finally:
        server.send_signal(signal.SIGTERM)
        assert server.wait(PATIENCE) == 0
    assert family
    assert psutil.wait_procs(family, timeout=PATIENCE)[1] == []  # SIGTERM leaves no server behind


def look_up(uri: str) -> Site:
    from pipelines.tracking_store import EXPERIMENT, open_client

    client = open_client(uri)
    experiment = client.get_experiment_by_name(EXPERIMENT).experiment_id
    runs = client.search_runs([experiment])
    members = {r.info.run_name: r for r in runs if "mlflow.parentRunId" in r.data.tags}
    assert members.keys() == RATES.keys()
    parent = next(run for run in runs if run.info.run_name == COMMITTEE)
    return Site(address="", experiment=experiment, parent=parent, members=members)


def wait_for(address: str, server: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline and server.poll() is None:
        try:
            with urllib.request.urlopen(f"{address}/health", timeout=5):
                return
        except OSError:
            time.sleep(0.2)
    pytest.fail(f"`ensemble ui` did not answer:\n{log.read_text()[-2000:]}")


@pytest.fixture
def page(browser: Browser, site: Site) -> Iterator[Page]:
    """A fresh page; whatever it asks of another machine is blocked, and fails the test."""
    context = browser.new_context(viewport={"width": 1500, "height": 1000})
    context.set_default_timeout(PATIENCE * 1000)
    # What a click on `close` and on `Model training` leaves: no assistant, and the page of trained models.
    context.add_init_script("""
        localStorage.setItem("mlflow.assistant.fab.autoOpenedOnFirstLoad_v1", "true");
        localStorage.setItem("mlflow.assistant.panelOpen_v1", "false");
        localStorage.setItem("mlflow.workflowType_v1", JSON.stringify("machine_learning"));
    """)
    foreign: list[str] = []

    def guard(route: Any) -> None:
        if route.request.url.startswith(f"{site.address}/"):
            route.continue_()
        else:
            foreign.append(route.request.url)
            route.abort()

    context.route("**/*", guard)
    inner = (f"{site.address}/", "data:", "blob:")
    context.on("request", lambda r: None if r.url.startswith(inner) else foreign.append(r.url))
    page = context.new_page()
    page.on("websocket", lambda socket: foreign.append(socket.url))
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    yield page
    context.close()
    assert foreign == []
    assert errors == []


def drawn_values(page: Page, metric: str) -> list[float]:
    """The values of a metric in the plot of all runs, in the order of the runs."""
    page.wait_for_function("() => document.querySelector('.js-plotly-plot')?.data?.[0]?.dimensions?.length")
    return list(
        page.evaluate(
            """
                metric => document.querySelector(".js-plotly-plot").data[0].dimensions
                    .find(dimension => dimension.label.includes(metric)).values
            """,
            metric,
        )
    )


def shown_compared(page: Page, site: Site) -> None:
    """The compare page lists every member with its accuracy and its parameters."""
    page.get_by_text("Comparing 2 Runs from 1 Experiment").wait_for()
    for name, run in site.members.items():
        page.get_by_text(name, exact=True).first.wait_for()
        page.get_by_text(run.info.run_id).first.wait_for()
    rows = {}
    for row in page.locator("table tr").all():
        head, *cells = (cell.strip() for cell in row.locator("th, td").all_inner_texts())
        rows[head.rstrip(":")] = cells
    order = [name for name in rows["Run Name"] if name]
    assert sorted(order) == sorted(RATES)
    page.get_by_role("link", name="validation/accuracy", exact=True).scroll_into_view_if_needed()
    for name, value in zip(order, drawn_values(page, "validation/accuracy"), strict=True):
        assert value == pytest.approx(site.members[name].data.metrics["validation/accuracy"], abs=6e-4)
    rates = dict(zip(order, map(float, rows["lr"]), strict=True))
    assert rates == RATES


def coloured(picture: bytes) -> int:
    """Pixels of a screenshot that are neither black nor white nor grey."""
    pixels = np.asarray(Image.open(io.BytesIO(picture)).convert("RGB")).astype(int)
    return int((np.ptp(pixels, axis=2) > 60).sum())


def test_members_are_selected_and_compared(page: Page, site: Site) -> None:
    page.goto(f"{site.address}/#/experiments/{site.experiment}/runs")
    parent = page.get_by_role("link", name=COMMITTEE, exact=True)
    parent.wait_for()
    page.locator(".ag-row").filter(has=parent).get_by_role("button").first.click()
    for name in RATES:
        row = page.locator(".ag-row").filter(has=page.get_by_role("link", name=name, exact=True))
        index = row.first.get_attribute("row-index")
        page.locator(f".ag-row[row-index='{index}'] input[type=checkbox]").first.check()
    page.get_by_role("button", name="Compare").first.click()
    shown_compared(page, site)


def test_the_compare_page_draws_its_charts(page: Page, site: Site) -> None:
    runs = quote(json.dumps([run.info.run_id for run in site.members.values()]))
    page.goto(f"{site.address}/#/compare-runs?runs={runs}&experiments={quote(json.dumps([site.experiment]))}")
    shown_compared(page, site)
    page.locator(".js-plotly-plot canvas.gl-canvas").first.wait_for()
    assert page.locator(".js-plotly-plot .parcoords .axis-title").count() >= 2
    page.get_by_role("tab", name="Scatter Plot").click()
    page.locator(".js-plotly-plot .ytick").first.wait_for()
    assert coloured(page.locator(".js-plotly-plot").first.screenshot()) > 100  # the points are on a canvas


def test_the_committees_run_tells_its_metrics_and_leads_to_its_members(page: Page, site: Site) -> None:
    page.goto(site.run(site.parent))
    page.get_by_text("About this run").wait_for()
    for name in RATES:
        page.get_by_role("link", name=name, exact=True).first.wait_for()
    assert site.parent.data.metrics
    for metric in site.parent.data.metrics:
        page.get_by_text(metric, exact=True).first.wait_for(state="attached")
    description = site.parent.data.tags.get("mlflow.note.content", "")
    assert description
    page.get_by_role("link", name="residual", exact=True).first.click()
    page.wait_for_url(f"**/{site.members['residual'].info.run_id}**")


def test_confusion_matrices_open(page: Page, site: Site) -> None:
    seen = set()
    for name, run in site.members.items():
        with page.expect_response(
            lambda r, run=run: "confusion_matrix.png" in r.url and run.info.run_id in r.url
        ) as got:
            page.goto(site.run(run, "/artifacts/figures/confusion_matrix.png"))
        assert got.value.ok
        page.get_by_role("heading", name=name).first.wait_for()
        page.wait_for_function("() => [...document.images].some(i => i.complete && i.naturalWidth > 300)")
        seen.add(got.value.body())
    assert len(seen) == len(RATES)  # each has a picture of its own
