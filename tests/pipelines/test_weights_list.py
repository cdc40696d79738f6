"""`ensemble weights list|path|verify`: what is there, where, and whether it is whole. No connection is opened."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from support import Outcome

from backbones.contract import InputShape
from backbones.net.light_cnn import LightCNN
from backbones.net.mobile_facenet import MobileFaceNet
from ensemble.weights_catalogue import CATALOGUE

Cli = Callable[..., Outcome]


@pytest.fixture(autouse=True)
def _no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("a connection was opened")

    monkeypatch.setattr("socket.socket.connect", refuse)


@pytest.fixture
def file(monkeypatch: pytest.MonkeyPatch) -> Path:
    """Weights of MobileFaceNet in a folder of their own, with their digest as the published one."""
    path = Path("own/mobilefacenet.pt")
    path.parent.mkdir()
    torch.save(MobileFaceNet(InputShape(channels=3, size=112), taps="embedding").state_dict(), path)
    entry = replace(CATALOGUE["mobilefacenet"], sha256=hashlib.sha256(path.read_bytes()).hexdigest())
    monkeypatch.setitem(CATALOGUE, "mobilefacenet", entry)  # type: ignore[arg-type]
    return path


def test_the_list_shows_all_facts_and_what_is_here(cli: Cli, file: Path) -> None:
    outcome = cli("weights", "list", "--weights", "own")
    assert outcome.code == 0
    rows = {line.split("│")[1].strip(): line for line in outcome.out.splitlines() if "│" in line}
    for entry in CATALOGUE.values():
        shape = "×".join(map(str, (*entry.shape, entry.shape[1])))
        for fact in (entry.backbone, entry.megabytes, entry.licence, entry.training_set, shape):
            assert fact in rows[entry.name], (entry.name, fact)
        assert entry.url in outcome.out
        assert (entry.sha256 or "sha256 not known") in outcome.out
    assert str(file) in rows["mobilefacenet"]
    assert rows["vggface2"].rstrip("│ ").endswith("no")


def test_long_paths_are_not_cut(cli: Cli, file: Path) -> None:
    deep = Path("x" * 120, "y" * 60)
    deep.mkdir(parents=True)
    file.rename(deep / file.name)
    assert str(deep / file.name) in cli("weights", "list", "--weights", str(deep)).out


def test_listing_needs_no_torch() -> None:
    code = (
        "import sys\nsys.argv = ['ensemble', 'weights', 'list']\nfrom pipelines.cli import main\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\nprint('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.endswith("False\n")


def test_path(cli: Cli, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert cli("weights", "path", "mobilefacenet", "--weights", "own").out == f"{file}\n"
    outcome = cli("weights", "path", "mobilefacenet")
    assert (outcome.code, outcome.out) == (2, "")
    assert "(the file mobilefacenet.pt), but they are not in `weights`, `.`" in outcome.err
    assert "`ensemble weights fetch mobilefacenet`" in outcome.err
    monkeypatch.setenv("ENSEMBLE_WEIGHTS", "own")
    assert cli("weights", "path", "mobilefacenet").out == f"{file}\n"
    assert "Did you mean" in cli("weights", "path", "mobilefacenets").err


def test_folders_that_are_named_come_before_the_variable(cli: Cli, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = Path("other", file.name)
    other.parent.mkdir()
    other.write_bytes(b"damaged")
    monkeypatch.setenv("ENSEMBLE_WEIGHTS", "other")
    assert cli("weights", "path", "mobilefacenet", "--weights", "own").out == f"{file}\n"
    assert cli("weights", "path", "mobilefacenet").out == f"{other}\n"
    assert "`ensemble weights fetch mobilefacenet --to other` to replace it" in cli("weights", "verify").err
    monkeypatch.setenv("ENSEMBLE_WEIGHTS", "~nosuchuser/w")
    assert "there is none for `~nosuchuser`" in cli("weights", "path", "mobilefacenet").err


def test_verify(cli: Cli, file: Path) -> None:
    outcome = cli("weights", "verify", "--weights", "own")
    assert outcome.code == 0
    row = next(line for line in outcome.out.splitlines() if "own/" in line)
    assert hashlib.sha256(file.read_bytes()).hexdigest() in row
    assert [cell.strip() for cell in row.split("│")][4:7] == ["published", "300 of 307", "100%"]
    assert "no weights of the catalogue are here" in cli("weights", "verify").err
    missing = cli("weights", "verify", "vggface2")
    assert (missing.code, "`ensemble weights fetch vggface2`" in missing.err) == (2, True)


def test_verify_tells_a_changed_file(cli: Cli, file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-1])
    outcome = cli("weights", "verify", "mobilefacenet", "--weights", "own")
    assert outcome.code == 2
    assert "whose published sha256 is" in outcome.err
    assert "Traceback" not in outcome.err


def test_verify_tells_other_tensors_and_what_was_recorded(cli: Cli) -> None:
    name = "lightcnn9"
    path = Path(CATALOGUE[name].file)
    torch.save(LightCNN(InputShape(channels=1, size=64)).state_dict(), path)
    outcome = cli("weights", "verify", name)
    assert outcome.code == 2
    assert "at least 90% of the parameters of LightCNN" in outcome.err
    torch.save(LightCNN(InputShape(channels=1, size=128)).state_dict(), path)
    assert "nothing known" in cli("weights", "verify", name).out
    Path(f"{path}.json").write_text(json.dumps({"sha256": hashlib.sha256(path.read_bytes()).hexdigest()}))
    assert "recorded" in cli("weights", "verify", name).out
    Path(f"{path}.json").write_text(json.dumps({"sha256": "0" * 64}))
    assert f"whose sha256 recorded in {path.name}.json is 000" in cli("weights", "verify", name).err


def test_help(cli: Cli) -> None:
    text = cli("weights", "--help").out
    for command in ("list", "fetch", "verify", "path"):
        assert f"  {command} " in text
        assert cli("weights", command, "--help").code == 0
