from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support import ROOT, Outcome

from backbones.registry import BACKBONES, HEADS, LOSSES
from ensemble.rules import RULES
from pipelines.normalizers import NORMALIZERS
from pipelines.plan import make_plan
from pipelines.readers import READERS

Cli = Callable[..., Outcome]

HEAVY = ("torch", "mlflow", "pandas", "sklearn", "timm", "cv2", "albumentations", "matplotlib", "scipy", "numpy")


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys\nsys.argv = ['ensemble', '--help']\nfrom pipelines.cli import main\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        f"print('HEAVY', [m for m in {HEAVY} if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "HEAVY []" in done.stdout
    for command in ("fit", "predict", "tune", "fuse", "report", "ui", "members", "weights", "data"):
        assert f"  {command} " in done.stdout


@pytest.mark.parametrize(
    "command", ["fit", "tune", "predict", "fuse", "report", "ui", "members list", "members check", "data describe"]
)
def test_every_command_explains_itself(cli: Cli, command: str) -> None:
    outcome = cli(*command.split(), "--help")
    assert outcome.code == 0
    assert "Usage" in outcome.out


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["fitt"], "No such command"),
        (["fit", "--memberz", "x"], "No such option"),
        (["fit", "--members", "absent.yaml"], "there is no such file"),
        (["fit", "--jobs", "0"], "--jobs"),
        (["predict", "--detect", "dlib"], "--detect"),
        (["members", "check", "absent.yaml"], "there is no such file"),
        (["data", "describe", "absent"], "there is no 'absent'"),
        (["fuse"], "ensemble fit"),
    ],
)
def test_wrong_words_end_with_code_2(cli: Cli, args: list[str], message: str) -> None:
    outcome = cli(*args)
    assert outcome.code == 2
    assert message in outcome.err
    assert "Traceback" not in outcome.err


def test_members_list_names_every_component(cli: Cli) -> None:
    text = cli("members", "list").out
    for registry in (BACKBONES, HEADS, LOSSES, NORMALIZERS, RULES, READERS):
        for name in registry.names():
            assert f"  {name} " in text, name
            for parameter in registry.describe(name).parameters:
                assert f"{parameter}: " in text


COMMITTED = sorted(ROOT.glob("members.yaml")) + sorted(ROOT.glob("members/**/*.yaml"))


def test_the_committed_committees_are_all_checked() -> None:
    assert len(COMMITTED) == 10


@pytest.mark.parametrize("path", COMMITTED, ids=lambda path: path.name)
def test_a_committed_committee_is_valid(path: Path) -> None:
    plan = make_plan(path, data="synthetic", keep_absent=True)
    assert len(plan.members) >= 2
    if path.parent.name != "seeds":
        if path.name != "fer2013-laptop.yaml":  # three strong ones: more beside them gained nothing (campaign.md)
            assert len(plan.members) >= 4
        assert len({member.backbone.kind for member in plan.members}) >= 2


def test_members_check_builds_them(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "m.yaml").write_text("members:\n  - {name: a, backbone: {kind: light_cnn}, input: {size: 128}}\n")
    outcome = cli("members", "check", "m.yaml")
    assert outcome.code == 0, outcome.err
    assert "5,482,663" in outcome.out


def test_data_describe_counts(cli: Cli) -> None:
    outcome = cli("data", "describe", "synthetic")
    assert outcome.code == 0
    assert "read as synthetic" in outcome.out


def _tree(counts: dict[str, int]) -> str:
    rng = np.random.default_rng(0)
    for folder, count in counts.items():
        Path("tree", folder).mkdir(parents=True)
        for number in range(count):
            Image.fromarray(rng.integers(0, 256, (20, 20), dtype=np.uint8)).save(Path("tree", folder, f"{number}.png"))
    return "tree"


@pytest.mark.parametrize(
    ("counts", "said"),
    [
        ({"sad": 12, "happy": 12}, "fear, surprise, neutral: `classes: {angry: null, disgust: null"),
        ({"train/sad": 4, "train/hapy": 4, "train/fear": 4, "val/sad": 2, "val/happy": 2, "val/fear": 2},
         "is of happy, of which there are others; is hapy the same? `classes: {hapy: happy}`"),
        ({"train/sad": 4, "train/fear": 4, "val/sad": 2}, "no validation face of tree is of fear"),
        ({str(number): 6 for number in range(7)}, "are numbers, read in FER2013's order: 0 angry, 1 disgust"),
    ],
)  # fmt: skip
def test_data_describe_tells_odd_classes(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, counts: dict[str, int], said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    outcome = cli("data", "describe", _tree(counts))
    assert outcome.code == 0, outcome.err
    assert said in outcome.err.replace("\n", " ")


def test_folders_of_other_names_are_classes_if_the_reader_is_named(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    tree = _tree({"traurig": 12, "très joyeux": 12})
    refused = cli("data", "describe", tree)
    assert refused.code == 2
    assert "folders of other names are read with `reader: class_folder`" in refused.err
    assert cli("data", "describe", tree, "--reader", "class_folder").code == 0


def test_an_interruption_that_a_library_swallowed_is_one(tmp_path: Path) -> None:
    code = (
        "import os, signal, sys\nfrom backbones.errors import InputError\nimport pipelines.cli as cli\n"
        "def command():\n"
        "    try:\n        os.kill(os.getpid(), signal.SIGTERM)\n        signal.pause()\n"
        "    except KeyboardInterrupt:\n        raise InputError('Expected a whole file.') from None\n"
        "cli.app = command\ncli.main()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 130
    assert done.stderr.startswith("ensemble: interrupted")


def test_fuse_gives_the_same_committee_again_without_torch(tiny: Path, cli: Cli) -> None:
    path = tiny / "mlruns" / "committees" / "tiny" / "committee.json"
    before = path.read_text()
    path.unlink()
    code = (
        "import sys\nsys.argv = ['ensemble', 'fuse']\nfrom pipelines.cli import main\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "print('HEAVY', [m for m in ('torch', 'sklearn', 'mlflow', 'pandas') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tiny)
    assert "HEAVY []" in done.stdout
    assert "COMMITTEE" in done.stdout
    assert path.read_text() == before
