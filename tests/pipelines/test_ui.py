from __future__ import annotations

import json
import webbrowser
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote

import pytest

from backbones.errors import InputError
from pipelines import ui
from pipelines.ui import Pages, find_pages, serve_ui
from pipelines.workspace import Workspace


def test_the_pages_are_those_of_the_newest_committee_and_its_members(tiny: Path) -> None:
    pages = find_pages(f"sqlite:///{tiny}/mlruns/mlflow.db")
    runs = json.loads((tiny / "mlruns/committees/tiny/tracking.json").read_text())
    assert pages.experiment == "/#/experiments/1/runs"
    assert pages.committee == f"/#/experiments/1/runs/{runs['parent']}"
    assert pages.compare is not None
    asked = parse_qs(pages.compare.partition("?")[2])
    assert set(json.loads(asked["runs"][0])) == set(runs["members"].values())
    assert json.loads(asked["experiments"][0]) == ["1"]
    assert '"' in unquote(pages.compare)
    assert '"' not in pages.compare  # it can be copied from a terminal
    lines = pages.lines("http://here:1")
    assert [line.split("  ")[0] for line in lines] == [
        "committees", "tiny: the committee", "tiny: its members compared",
    ]  # fmt: skip
    assert all("http://here:1/#/" in line for line in lines)


def test_a_store_without_committees_has_a_front_page(tmp_path: Path) -> None:
    assert find_pages(f"sqlite:///{tmp_path}/empty.db") == Pages()


@pytest.mark.parametrize("browse", [False, True])
def test_a_server_has_the_page_already(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], browse: bool
) -> None:
    asked: list[Any] = []
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://tracking.example:5000/")
    monkeypatch.setattr(ui, "find_pages", lambda uri: Pages(experiment="/#/experiments/7/runs"))
    monkeypatch.setattr(webbrowser, "open", asked.append)
    assert serve_ui(Workspace(), host="127.0.0.1", port=1, browse=browse) == 0
    assert "http://tracking.example:5000/#/experiments/7/runs" in capsys.readouterr().out
    assert asked == (["http://tracking.example:5000/#/experiments/7/runs"] if browse else [])


def test_a_server_that_is_none_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(InputError, match=r"Expected a tracking server on http://127\.0\.0\.1:9, but got"):
        serve_ui(Workspace(), host="127.0.0.1", port=1)
