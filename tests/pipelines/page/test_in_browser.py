"""The page in a real browser: quick, quiet, readable on a phone, and content with itself."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from browser import browser  # noqa: F401 - a fixture
from drawn_committee import Drawn

from pipelines.page.evidence import read_evidence
from pipelines.page.page import write_page

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page


@pytest.fixture(scope="module")
def address(drawn: Drawn, tmp_path_factory: pytest.TempPathFactory) -> str:
    out = tmp_path_factory.mktemp("page") / "report.html"
    return write_page(read_evidence(drawn.folder), faces=drawn.faces, out=out).as_uri()


@dataclass
class Visit:
    """A page that has been opened."""

    page: Page
    said: list[str]
    asked: list[str]
    processor_seconds: float


def opened(browser: Browser, address: str, *, width: int, scheme: str) -> Visit:  # noqa: F811
    """The page, what it said on the console, what it asked the network for, and the work that it made."""
    page = browser.new_page(viewport={"width": width, "height": 844}, color_scheme=scheme)  # type: ignore[arg-type]
    visit = Visit(page, [], [], 0.0)
    page.on("console", lambda message: visit.said.append(message.text))
    page.on("pageerror", lambda error: visit.said.append(str(error)))
    page.on("request", lambda request: visit.asked.append(request.url))
    tools = page.context.new_cdp_session(page)
    tools.send("Performance.enable", {"timeDomain": "threadTicks"})
    page.goto(address)
    metrics = {one["name"]: one["value"] for one in tools.send("Performance.getMetrics")["metrics"]}
    visit.processor_seconds = metrics["ProcessTime"]
    return visit


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_it_opens_quickly_and_quietly(browser: Browser, address: str, width: int, scheme: str) -> None:  # noqa: F811
    visit = opened(browser, address, width=width, scheme=scheme)
    page = visit.page
    assert 0 < visit.processor_seconds < 2
    if os.getloadavg()[0] < (os.cpu_count() or 1):  # else the clock tells what others do
        assert page.evaluate("performance.getEntriesByType('navigation')[0].loadEventEnd") < 2000
    assert visit.said == []
    assert [url for url in visit.asked if not url.startswith(("file:", "data:"))] == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    colours = page.evaluate("(({color, backgroundColor}) => [color, backgroundColor])(getComputedStyle(document.body))")
    ink, back = (sum(map(int, re.findall(r"\d+", colour)[:3])) for colour in colours)
    assert (ink > back) == (scheme == "dark")
    page.close()


def test_text_in_charts_is_legible_on_a_phone(browser: Browser, address: str) -> None:  # noqa: F811
    page = opened(browser, address, width=390, scheme="light").page
    heights = page.evaluate(
        "[...document.querySelectorAll('svg.chart text:not([transform])')].map(t => t.getBoundingClientRect().height)"
    )
    assert len(heights) > 50
    assert min(heights) > 9
    page.close()


def test_a_click_turns_the_light_on_and_off(browser: Browser, address: str) -> None:  # noqa: F811
    visit = opened(browser, address, width=1280, scheme="dark")
    page = visit.page
    back = "getComputedStyle(document.body).backgroundColor"
    dark = page.evaluate(back)
    page.click("#theme")
    light = page.evaluate(back)
    assert light != dark
    page.click("#theme")
    assert page.evaluate(back) == dark
    assert visit.said == []
    page.close()


def test_a_click_sorts_the_leaderboard(browser: Browser, address: str) -> None:  # noqa: F811
    visit = opened(browser, address, width=1280, scheme="light")
    page = visit.page
    values = "[...document.querySelectorAll('#leaderboard tbody tr')].map(r => r.cells[{}].dataset.v)"
    page.click("#leaderboard th:nth-child(2) button")
    falling = [float(v) for v in page.evaluate(values.format(1))]
    assert falling == sorted(falling, reverse=True)
    page.click("#leaderboard th:nth-child(2) button")
    assert [float(v) for v in page.evaluate(values.format(1))] == sorted(falling)
    page.click("#leaderboard th:nth-child(7) button")  # parameters: rules have none, and come last either way
    known = [v for v in page.evaluate(values.format(6)) if v]
    assert page.evaluate(values.format(6))[: len(known)] == sorted(known, key=float, reverse=True)
    assert visit.said == []
    page.close()


def test_it_reads_in_full_without_script(browser: Browser, address: str) -> None:  # noqa: F811
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(address)
    assert not page.is_visible("#theme")
    for section in ("leaderboard", "confusion", "mistakes", "learning"):
        assert page.is_visible(f"#{section} h2")
    assert page.is_visible("#confusion details table")
    context.close()


def test_a_page_that_is_on_disk_needs_no_more(address: str) -> None:
    folder = Path(address.removeprefix("file://")).parent
    assert [path.name for path in folder.iterdir()] == ["report.html"]
