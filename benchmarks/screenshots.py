"""Pictures of MLflow's page for the README, from a committee that is fitted already; needs Chromium and Playwright.

python -m benchmarks.screenshots FOLDER      writes docs/img/*.png; in FOLDER, `ensemble fit` was run
"""

from __future__ import annotations

import io
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

from PIL import Image
from playwright.sync_api import Page, sync_playwright

from pipelines.tracking_store import EXPERIMENT, open_client

ROOT = Path(__file__).resolve().parents[1]
IMAGES = ROOT / "docs" / "img"
LARGEST = 300_000
# As a visitor leaves it who closes the assistant and asks for the page of trained models.
VISITOR = """
    localStorage.setItem("mlflow.assistant.fab.autoOpenedOnFirstLoad_v1", "true");
    localStorage.setItem("mlflow.assistant.panelOpen_v1", "false");
    localStorage.setItem("mlflow.workflowType_v1", JSON.stringify("machine_learning"));
"""
NO_ASSISTANT = "[data-component-id^='mlflow.assistant'] { visibility: hidden }"


@contextmanager
def serving(workspace: Path) -> Iterator[str]:
    """The address of `ensemble ui` on a workspace."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "pipelines.cli", "ui", "--port", str(port)]
    server = subprocess.Popen(command, cwd=workspace, env={**os.environ, "PYTHONPATH": str(ROOT)})
    address = f"http://127.0.0.1:{port}"
    try:
        while server.poll() is None:
            try:
                urllib.request.urlopen(f"{address}/health", timeout=5).close()
                break
            except OSError:
                time.sleep(0.3)
        yield address
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait()


def keep(page: Page, name: str) -> None:
    """Write what the page shows, in so few colours that the file stays small."""
    page.wait_for_timeout(3000)
    page.add_style_tag(content=NO_ASSISTANT)
    image = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
    for colours in (256, 128, 64, 32):
        image.quantize(colours, dither=Image.Dither.NONE).save(IMAGES / f"{name}.png", optimize=True)
        size = (IMAGES / f"{name}.png").stat().st_size
        if size < LARGEST:
            break
    print(f"{name}.png: {size:,} bytes")


def main(workspace: Path) -> None:
    client = open_client(f"sqlite:///{workspace.resolve() / 'mlruns' / 'mlflow.db'}")
    experiment = client.get_experiment_by_name(EXPERIMENT).experiment_id
    runs = client.search_runs([experiment])
    parent = next(run for run in runs if run.data.tags.get("stage") == "committee")
    members = [run for run in runs if run.data.tags.get("mlflow.parentRunId") == parent.info.run_id]
    IMAGES.mkdir(exist_ok=True)
    with serving(workspace) as address, sync_playwright() as playwright:
        running = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox"] if os.geteuid() == 0 else []
        )
        context = running.new_context(viewport={"width": 1400, "height": 860})
        context.set_default_timeout(120_000)
        context.add_init_script(VISITOR)
        page = context.new_page()
        page.goto(f"{address}/#/experiments/{experiment}/runs")
        own = page.locator(".ag-row").filter(has=page.get_by_role("link", name=parent.info.run_name, exact=True))
        own.get_by_role("button").first.click()
        page.get_by_role("link", name=members[0].info.run_name, exact=True).wait_for()
        keep(page, "experiment")
        page.goto(f"{address}/#/experiments/{experiment}/runs/{parent.info.run_id}")
        page.get_by_text("About this run").wait_for()
        keep(page, "run")
        listed = quote(json.dumps([run.info.run_id for run in members]))
        page.goto(f"{address}/#/compare-runs?runs={listed}&experiments={quote(json.dumps([experiment]))}")
        page.locator(".js-plotly-plot canvas.gl-canvas").first.wait_for()
        keep(page, "compare")
        running.close()


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "."))
