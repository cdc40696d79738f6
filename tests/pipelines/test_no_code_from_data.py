"""The lint rules that keep data from becoming code find what is planted, and the code has nothing of the kind."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest
from support import ROOT

PLANTED = {
    "import pickle\n": "TID251",
    "from pickle import loads\n": "TID251",
    "import marshal\n": "TID251",
    "import shelve\n": "TID251",
    "import joblib\n": "TID251",
    "import torch\n\ntorch.load('x.pt')\n": "TID251",
    "import pandas as pd\n\npd.read_pickle('x')\n": "TID251",
    "import mlflow.pyfunc\n\nmlflow.pyfunc.load_model('x')\n": "TID251",
    "eval('1')\n": "S307",
    "exec('x = 1')\n": "S102",
    "import yaml\n\nyaml.load('x', Loader=yaml.UnsafeLoader)\n": "S506",
}

PACKAGES = ("backbones", "ensemble", "pipelines")


@pytest.mark.parametrize("code", PLANTED, ids=lambda code: code.splitlines()[-1])
def test_the_linter_finds_a_planted_sample(code: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "ruff", "check", "--output-format", "concise", "--stdin-filename",
         str(ROOT / "pipelines" / "planted.py"), "-"],
        input=code, capture_output=True, text=True, cwd=ROOT, check=False,
    )  # fmt: skip
    assert done.returncode == 1, done.stderr
    assert f" {PLANTED[code]} " in done.stdout


def _calls(path: Path) -> list[ast.Call]:
    return [node for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.Call)]


def test_no_array_is_unpickled_and_weights_are_read_as_weights_only() -> None:
    files = [path for package in PACKAGES for path in (ROOT / package).rglob("*.py")]
    assert len(files) > 100
    loads = 0
    for path in files:
        for call in _calls(path):
            given = {word.arg: ast.unparse(word.value) for word in call.keywords}
            assert given.get("allow_pickle", "False") == "False", path
            if ast.unparse(call.func) == "torch.load":
                loads += 1
                assert given.get("weights_only") == "True", path
    assert loads == 1
