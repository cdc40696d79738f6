"""`ensemble report`, and the page that `fit` and `fuse` leave."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from drawn_committee import Page
from support import Outcome

from ensemble.bank import load_posteriors
from ensemble.estimate import nested_probs
from pipelines.bundle import changed_files, read_committee
from pipelines.stored_posteriors import stored_held_out, stored_posteriors

Cli = Callable[..., Outcome]

FOLDER = Path("mlruns/committees/tiny")
PAGE = FOLDER / "report.html"


def read(path: Path = PAGE) -> Page:
    return Page(path.read_text(encoding="utf-8"))


def test_a_fit_leaves_the_page_beside_the_committee_and_on_its_run(tiny: Path) -> None:
    from mlflow import MlflowClient

    page = read()
    report = json.loads((FOLDER / "report.json").read_text())
    assert float(page.row("leaderboard", "tiny")[1]["data-v"]) == report["rules"]["committee"]["nested_accuracy"]
    assert page.sections["learning"].count("of 3 kept") == 2
    assert "<img" in page.text or "every answer is right" in page.text
    assert report["data"]["digest"] in page.sections["making"]
    assert changed_files(FOLDER) == []
    assert "report.html" not in json.loads((FOLDER / "manifest.json").read_text())["files"]
    client = MlflowClient(f"sqlite:///{tiny / 'mlruns' / 'mlflow.db'}")
    parent = json.loads((FOLDER / "tracking.json").read_text())["parent"]
    assert "report/report.html" in [entry.path for entry in client.list_artifacts(parent, "report")]


def test_held_out_answers_are_kept_as_they_were_judged(tiny: Path) -> None:
    committee = read_committee(FOLDER)
    bank = stored_posteriors(FOLDER, committee.members)
    nested = nested_probs(committee.root.node, bank.posteriors, bank.labels)
    assert (load_posteriors(FOLDER / "held_out.npz").splits["validation"].probs[0] == nested).all()
    (FOLDER / "held_out.npz").unlink()  # as a committee of an earlier version
    assert (stored_held_out(FOLDER, committee, bank, seed=0) == nested).all()


def test_the_command_writes_it_anew(tiny: Path, cli: Cli) -> None:
    first = PAGE.read_text()
    PAGE.unlink()
    outcome = cli("report")
    assert outcome.code == 0, outcome.err
    assert f"report: {PAGE}" in outcome.out
    assert PAGE.read_text() == first
    outcome = cli("report", "--committee", "tiny", "--out", "elsewhere/page.html", "--quiet")
    assert outcome.code == 0, outcome.err
    assert Path("elsewhere/page.html").read_text() == first
    assert outcome.err == ""
    assert changed_files(FOLDER) == []


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--out", "page.pdf"], "Expected `--out` to be a file that ends in .html, but got `page.pdf`."),
        (["--committee", "tinny"], "tiny"),
    ],
)
def test_wrong_requests_are_refused(tiny: Path, cli: Cli, args: list[str], message: str) -> None:
    outcome = cli("report", *args)
    assert outcome.code == 2
    assert message in outcome.err


def test_a_report_without_rows_is_refused(tiny: Path, cli: Cli) -> None:
    from pipelines.bundle import seal

    (FOLDER / "report.json").write_text('{"name": "tiny"}')
    seal(FOLDER, members=["plain", "residual"])
    outcome = cli("report")
    assert outcome.code == 2
    for field in ("members", "rules"):
        assert f"report.json: {field}: Expected `{field}`, but it is missing" in outcome.err
    assert "ensemble fuse" in outcome.err


def test_views_and_worth_come_from_an_evaluation_of_these_rules(tiny: Path, cli: Cli) -> None:
    assert "ensemble evaluate --tta 20" in read().sections["views"]
    assert cli("evaluate", "--tta", "3", "--ablation").code == 0
    assert cli("report").code == 0
    page = read()
    evaluated = json.loads((FOLDER / "evaluation" / "validation" / "report.json").read_text())
    assert [row[0]["text"] for row in page.rows["views"][1:4]] == ["1", "2", "3"]
    shown = [float(row[1]["text"].removesuffix(" %")) / 100 for row in page.rows["views"][1:4]]
    assert shown == pytest.approx([row["accuracy"] for row in evaluated["views_curve"]], abs=5e-5)
    assert "What each member is worth" in page.sections["views"]
    (without,) = [step for step in evaluated["left_out"] if step["member"] == "plain"]
    (whole,) = [step for step in evaluated["added"] if len(step["members"]) == 2]
    worth = page.row("views", "plain")[1]["text"].replace("−", "-")
    assert float(worth) == pytest.approx(without["nll"] - whole["nll"], abs=5.1e-5)
    assert re.search(r"takes [\d.]+ ms per face and view", page.sections["cost"])
    assert changed_files(FOLDER) == []
    assert cli("fuse", "--rule", "mean").code == 0
    assert cli("report").code == 0
    assert "ensemble evaluate --tta 20" in read().sections["views"]  # that was of other rules


def test_fuse_draws_the_page_or_takes_the_old_one_away(tiny: Path, cli: Cli) -> None:
    outcome = cli("fuse", "--rule", "mean")
    assert not PAGE.exists()
    assert "`ensemble report --committee tiny` draws its page" in outcome.err
    code = (
        "import sys\nsys.argv = ['ensemble', 'fuse']\nfrom pipelines.cli import main\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "print('HEAVY', [m for m in ('torch', 'sklearn', 'mlflow', 'pandas', 'matplotlib') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tiny)
    assert "HEAVY []" in done.stdout
    assert "equal weights" in read().sections["weights"]
    assert "mean" in read().sections["top"]
    assert changed_files(FOLDER) == []


def test_faces_that_are_gone_are_named(tiny: Path, cli: Cli) -> None:
    path = FOLDER / "committee.yaml"
    path.write_text(path.read_text().replace("source: synthetic", "source: /nowhere/faces.zip"))
    assert cli("fuse").code == 0  # takes the edit in
    assert "/nowhere/faces.zip" in read().sections["mistakes"]
    outcome = cli("report")
    assert outcome.code == 0
    assert "the page does not show faces" in outcome.err
    page = read()
    assert "The faces are not shown" in page.sections["mistakes"]
    assert "<img" not in page.text


def test_fuse_does_not_decode_faces_for_the_page(tiny: Path, cli: Cli) -> None:
    shutil.rmtree("mlruns/cache")
    assert cli("fuse").code == 0
    assert "to be decoded under" in read().sections["mistakes"]
    assert not list(Path("mlruns/cache/faces").glob("*/meta.json"))
    assert cli("report").code == 0
    assert "are not shown" not in read().sections["mistakes"]


def test_faces_that_are_others_are_not_shown(tiny: Path, cli: Cli) -> None:
    path = FOLDER / "committee.yaml"
    path.write_text(path.read_text().replace("count: 210", "count: 420"))
    assert cli("fuse").code == 0
    assert cli("report").code == 0
    assert "to be those of the fit" in read().sections["mistakes"]
