"""A browser for tests that look at a page: Debian's Chromium, or Playwright's own where that is installed.

Import the fixture into a test file: `from browser import browser`.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser

__all__ = ["FLAGS", "browser", "find_browser"]

FLAGS = (
    "--disable-gpu", "--disable-quic", "--disable-background-networking", "--disable-component-update",
    "--disable-sync", "--disable-dev-shm-usage", "--disable-crash-reporter", "--no-first-run",
)  # fmt: skip
"""A page and nothing else: no look for updates, no crash handler that outlives the test."""

_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def find_browser() -> str | None:
    """Path of a Chromium on this machine; None if there is none."""
    return next(filter(None, map(shutil.which, _NAMES)), None)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A running Chromium without a window; the test is skipped, with the reason, where there is none.

    Of a module, not of the session: Playwright keeps an event loop running for as long as it lives.
    """
    sync_api = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
    flags = [*FLAGS, *(["--no-sandbox"] if os.geteuid() == 0 else [])]
    with sync_api.sync_playwright() as playwright:
        path = find_browser()
        if path is None and not Path(playwright.chromium.executable_path).is_file():
            pytest.skip("no Chromium on this machine: `apt-get install chromium`, or `playwright install chromium`")
        running = playwright.chromium.launch(executable_path=path, args=flags)
        yield running
        running.close()
