"""The `tune:` section of a `members.yaml`: every mistake with its place, before torch is loaded."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from backbones.errors import InputError
from pipelines.plan import Plan, make_plan

MEMBERS = """
name: x
data: {source: synthetic, count: 100}
members:
  - {name: a, backbone: {kind: scratch_cnn, blocks: [{filters: 8}]}, head: {kind: mlp, hidden: [8]}}
  - {name: b, backbone: {kind: scratch_cnn, blocks: [{filters: 8}]}}
"""

RIGHT = """
tune:
  member: a
  trials: 7
  search:
    optimizer.lr: {low: 1e-5, high: 1e-1, log: true}
    optimizer.kind: {choices: [adam, sgd]}
    backbone.blocks.0.dropout: {low: 0, high: 0.5}
    clip: {choices: [null, 1.0]}
"""

WRONG = """
tune:
  membr: a
  member: c
  sampler: rnd
  trials: 0
  search:
    optimizer.lr: {low: 1e-1, high: 1e-5, log: true}
    head.dropout: {low: 0.0, high: 0.6, lo: 1}
"""

WRONG_PLACES = """
tune:
  member: a
  search:
    optimiser.lr: {low: 1e-5, high: 1e-1, log: true}
    optimizer.lrr: {low: 1e-5, high: 1e-1, log: true}
    optimizer.momentum: {low: 0.0, high: 1.0}
    optimizer.kind: {choices: [adam, sdg]}
    head.droput: {low: 0.0, high: 0.6}
    backbone.blocks.0.filters: {low: 0, high: 8, step: 4}
    backbone.blocks.1.dropout: {low: 0.0, high: 0.5}
    epochs.more: {low: 1, high: 8}
    input.normalize: {choices: [mean_std, mean_sdt]}
    weights.file: {choices: [a.pt]}
"""


def plan_of(folder: Path, text: str, **options: object) -> Plan:
    path = folder / "members.yaml"
    path.write_text(text)
    return make_plan(path, **options)  # type: ignore[arg-type]


def lines_of(folder: Path, text: str, **options: object) -> list[str]:
    with pytest.raises(InputError) as caught:
        plan_of(folder, text, **options)
    return str(caught.value).splitlines()[1:]


def test_a_search_is_read_and_a_fit_ignores_it(tmp_path: Path) -> None:
    plan = plan_of(tmp_path, MEMBERS + RIGHT)
    assert plan.tune is not None
    assert (plan.tune.member, plan.tune.trials, plan.tune.sampler, plan.tune.folds) == ("a", 7, "random", 1)
    assert plan.members == plan_of(tmp_path, MEMBERS).members


def test_the_command_line_overrides_it(tmp_path: Path) -> None:
    changed = RIGHT.replace("    backbone.blocks.0.dropout: {low: 0, high: 0.5}\n", "")
    plan = plan_of(tmp_path, MEMBERS + changed, tune={"member": "b", "trials": 9, "folds": 3})
    assert plan.tune is not None
    assert (plan.tune.member, plan.tune.trials, plan.tune.folds) == ("b", 9, 3)


def test_the_only_member_needs_no_name(tmp_path: Path) -> None:
    text = "".join(line for line in (MEMBERS + RIGHT).splitlines(True) if "name: b" not in line)
    plan = plan_of(tmp_path, text.replace("  member: a\n", ""))
    assert plan.tune is not None
    assert plan.tune.member == "a"


def test_a_file_without_a_search_is_told_how_one_looks(tmp_path: Path) -> None:
    assert plan_of(tmp_path, MEMBERS).tune is None
    assert "tune: {search: {optimizer.lr:" in lines_of(tmp_path, MEMBERS, tune={})[0]
    assert "at least one place" in lines_of(tmp_path, MEMBERS + "tune: {member: a, search: {}}")[0]
    assert "Expected `search`, but it is missing" in lines_of(tmp_path, MEMBERS + "tune: {member: a}")[0]
    assert "Expected `tune` to be a mapping" in lines_of(tmp_path, MEMBERS + "tune: 3", tune={"trials": 3})[0]
    assert "none is given. Valid names: a, b" in lines_of(tmp_path, MEMBERS + RIGHT.replace("  member: a\n", ""))[0]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            WRONG,
            [
                ("tune.membr", "`member`"),
                ("tune.member: ", "Valid names: a, b"),
                ("tune.sampler", "`random`"),
                ("tune.trials", "at least 1, but got 0"),
                ("tune.search.optimizer.lr", "`low` to be below `high`"),
                ("tune.search.head.dropout.lo", "`low`"),
            ],
        ),
        (
            WRONG_PLACES,
            [
                ("tune.search.optimiser", "`optimizer`"),
                ("tune.search.optimizer.lrr", "`lr`"),
                ("tune.search.optimizer.momentum", "below 1, but got 1.0"),
                ("tune.search.optimizer.kind", "`sgd`"),
                ("tune.search.head.droput", "`dropout`"),
                ("tune.search.backbone.blocks[0].filters", "at least 1, but got 0"),
                ("tune.search.backbone.blocks.1.dropout", "an index from 0 to 0"),
                ("tune.search.epochs.more", "a place in a mapping or a list"),
                ("tune.search.input.normalize", "`mean_std`"),
                ("tune.search.weights.file", "a setting of the training"),
            ],
        ),
    ],
)
def test_all_mistakes_are_reported_at_once(tmp_path: Path, text: str, expected: list[tuple[str, str]]) -> None:
    lines = lines_of(tmp_path, MEMBERS + text)
    for place, message in expected:
        line = next((line for line in lines if place in line), "")
        assert message in line, f"{place}: {lines}"
    assert len(lines) == len(expected), lines


def test_a_wrong_member_does_not_hide_the_search_s_mistakes(tmp_path: Path) -> None:
    text = MEMBERS.replace("filters: 8}]}, head", "filtres: 8}]}, head") + RIGHT.replace("low: 1e-5", "low: 1")
    lines = lines_of(tmp_path, text)
    assert any("members[0].backbone" in line for line in lines)
    assert any("tune.search.optimizer.lr" in line for line in lines)
    assert not any("tune.member" in line for line in lines)


def test_mistakes_are_told_without_torch_or_optuna(tmp_path: Path) -> None:
    (tmp_path / "members.yaml").write_text(MEMBERS + WRONG)
    code = (
        "import sys\nsys.argv = ['ensemble', 'tune']\nfrom pipelines.cli import main\n"
        "try:\n    main()\nexcept SystemExit as ending:\n"
        "    print(ending.code, [m for m in ('torch', 'optuna', 'mlflow') if m in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "2 []"
