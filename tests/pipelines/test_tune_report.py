"""What a search leaves: the figure, the table, and values to paste."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ensemble.spec import MemberSpec
from ensemble.tune_spec import TuneSpec
from pipelines.figure import SearchAxis, search_figure
from pipelines.study import Study
from pipelines.tune_report import FIGURE, TuneReport, short_names
from pipelines.yaml_file import read_yaml

BASE = MemberSpec.model_validate(
    {
        "name": "a",
        "backbone": {"kind": "scratch_cnn", "blocks": [{"filters": 8}, {"filters": 16}]},
        "head": {"kind": "mlp", "hidden": [8]},
        "optimizer": {"kind": "sgd", "momentum": 0.5},
    }
)
SEARCH = {
    "optimizer.lr": {"low": 1e-5, "high": 1e-1, "log": True},
    "head.dropout": {"low": 0.0, "high": 0.6},
    "backbone.blocks.1.dropout": {"low": 0.0, "high": 0.6},
    "clip": {"choices": [None, 1.0]},
}


def report_of(folder: Path, accuracies: list[float | None]) -> TuneReport:
    tune = TuneSpec.model_validate({"member": "a", "search": SEARCH})
    study = Study(folder, tune, {})
    for accuracy in accuracies:
        study.next()
        if accuracy is None:
            study.fail("diverged, as it seems")
        else:
            study.finish({"accuracy": accuracy, "nll": 1.0, "train_accuracy": accuracy, "seconds": 2.0})
    return TuneReport(folder, tune, BASE, study)


def test_the_best_values_are_ready_to_paste(tmp_path: Path) -> None:
    report = report_of(tmp_path, [0.3, 0.6, None, 0.5])
    report.write()
    best = report.study.best()
    assert best is not None
    pasted = MemberSpec.model_validate(BASE.model_dump(mode="json") | read_yaml(tmp_path / "best.yaml"))
    assert pasted.optimizer.lr == best.values["optimizer.lr"]
    assert pasted.optimizer.momentum == 0.5
    assert pasted.head.parameters == {"hidden": [8], "dropout": best.values["head.dropout"]}
    assert pasted.backbone.parameters["blocks"][0] == {"filters": 8}
    assert pasted.backbone.parameters["blocks"][1]["dropout"] == best.values["backbone.blocks.1.dropout"]
    assert pasted.clip == best.values["clip"]
    text = (tmp_path / "trials.csv").read_text().splitlines()
    assert text[0].startswith("trial,state,optimizer.lr,head.dropout")
    assert text[3].endswith('"diverged, as it seems"')
    report.study.close()


def test_a_null_that_won_is_pasted_as_one(tmp_path: Path) -> None:
    tune = TuneSpec.model_validate({"member": "a", "search": {"optimizer.backbone_lr": {"choices": [None]}}})
    study = Study(tmp_path, tune, {})
    study.next()
    study.finish({"accuracy": 0.5, "nll": 1.0, "train_accuracy": 0.5, "seconds": 2.0})
    TuneReport(tmp_path, tune, BASE, study).write()
    best = read_yaml(tmp_path / "best.yaml")
    assert best["optimizer"]["backbone_lr"] is None
    assert "layer_decay" not in best["optimizer"]  # was not searched
    study.close()


def test_the_table_holds_the_ten_best(tmp_path: Path) -> None:
    report = report_of(tmp_path, [0.1 + 0.05 * number for number in range(11)] + [None])
    title, header, rows = report.table()
    assert "best 10 of 12 trials by accuracy, validation faces, 1 failed" in title
    assert header[1:5] == ("lr", "head.dropout", "1.dropout", "clip")
    assert [row[0] for row in rows] == [str(number) for number in range(10, 0, -1)]
    report.draw()
    assert (tmp_path / FIGURE).read_bytes().startswith(b"\x89PNG")
    report.study.close()


def test_a_search_without_any_result_says_so(tmp_path: Path) -> None:
    report = report_of(tmp_path, [None, None])
    report.write()
    report.draw()
    assert report.snippet() is None
    assert [path.name for path in report.files()] == ["trials.csv", "search.png"]
    report.study.close()


def test_names_are_as_short_as_can_be() -> None:
    assert short_names(["a.x", "b.x", "b.y", "optimizer.kind"]) == ["a.x", "b.x", "y", "optimizer.kind"]


@pytest.mark.parametrize("logs", [(True,), (True, False), (False, True)])
def test_the_figure_has_a_panel_for_each_accuracy(logs: tuple[bool, ...]) -> None:
    axes = [SearchAxis(name=f"p{i}", values=[0.1, 0.2, 0.4, 0.8], log=log) for i, log in enumerate(logs)]
    nan = float("nan")
    figure = search_figure(axes, train=[0.5, 0.9, nan, 0.6], validation=[0.4, 0.7, nan, 0.6], best=1, title="t")
    train, validation = figure.axes[:2]
    for panel, scores in ((train, [0.5, 0.9, 0.6]), (validation, [0.4, 0.7, 0.6])):
        dots, crosses, ring = panel.collections
        assert dots.get_array().tolist() == scores
        assert dots.get_clim() == (0.4, 0.9)
        assert (len(crosses.get_offsets()), len(ring.get_offsets())) == (1, 1)
        assert panel.get_xscale() == ("log" if logs[0] else "linear")
        assert panel.get_yscale() == ("log" if len(logs) > 1 and logs[1] else "linear")
        assert ring.get_offsets()[0][0] == 0.2
    assert np.isclose(validation.collections[2].get_offsets()[0][1], 0.2 if len(logs) > 1 else 0.7)


def test_a_search_over_choices_alone_has_a_place_for_each() -> None:
    values: list[Any] = ["adam", "sgd", "adam"]
    figure = search_figure(
        [SearchAxis(name="kind", values=values)], train=[1, 1, 1], validation=[1, 1, 1], best=0, title=""
    )
    assert [label.get_text() for label in figure.axes[0].get_xticklabels()] == ["adam", "sgd"]
    assert figure.axes[0].collections[0].get_offsets()[:, 0].tolist() == [0, 1, 0]
