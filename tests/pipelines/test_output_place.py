"""Results never replace what the user, or another command, has put where they are to go."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from support import ROOT, Outcome

from backbones.errors import InputError
from pipelines.atomic import write_text

Cli = Callable[..., Outcome]
COMMITTEES = Path("mlruns/committees")


def files() -> dict[str, bytes]:
    """Everything below the working directory but what MLflow and caches keep."""
    parts = [path for path in Path().rglob("*") if path.is_file()]
    return {str(path): path.read_bytes() for path in parts if not {"cache", "artifacts"} & set(path.parts[:2])}


@pytest.fixture
def face(tiny: Path) -> str:
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (48, 48), dtype=np.uint8)).save("face.png")
    return "face.png"


def _table(path: Path) -> None:
    rows = [f"{i % 2 * 3},{' '.join(str((i * 7 + j) % 256) for j in range(2304))}" for i in range(12)]
    usage = ["Training"] * 8 + ["PublicTest"] * 4
    lines = ["emotion,pixels,Usage", *(f"{row},{use}" for row, use in zip(rows, usage, strict=True))]
    path.write_text("\n".join(lines) + "\n")


@pytest.mark.parametrize("out", [".", str(COMMITTEES), "keep", str(COMMITTEES / "tiny"), str(COMMITTEES / "tiny/pack")])
@pytest.mark.parametrize("command", [("pack",), ("fuse", "--prune", "1", "--committee")])
def test_what_is_made_of_a_committee_takes_nobodys_place(
    command: tuple[str, ...], out: str, tiny: Path, cli: Cli
) -> None:
    Path("keep/members").mkdir(parents=True)
    Path("keep/members/list.txt").write_text("x")
    Path("keep/report.md").write_text("notes")
    before = files()
    outcome = cli(*command, "tiny", "--out", out)
    assert outcome.code == 2
    assert "Expected `" in outcome.err
    assert files() == before


def test_a_pack_that_fails_leaves_no_folder(tiny: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device", "small/MODEL_CARD.md")

    monkeypatch.setattr("pipelines.pack._describe", full)
    assert cli("pack", "--out", "small").code == 2
    assert not Path("small").exists()


@pytest.mark.parametrize("size", ["nan", "0", "-3", "inf"])
def test_a_size_is_a_size(size: str, tiny: Path, cli: Cli) -> None:
    outcome = cli("pack", "--mib", size)
    assert outcome.code == 2
    assert "Expected `--mib` to be above 0" in outcome.err


def test_findings_replace_no_data(cli: Cli) -> None:
    _table(Path("f.csv"))
    Path("m.yaml").write_text("name: m\n")
    Path("d.json").mkdir()
    for out, said in (
        ("f.csv", "to end in one of .json"),
        ("m.yaml", "to end in one of .json"),
        ("d.json", "a folder"),
    ):
        before = files()
        outcome = cli("data", "audit", "f.csv", "--out", out)
        assert outcome.code == 2
        assert said in outcome.err
        assert files() == before
    Path("mine.json").write_text('{"a": 1}')
    before = files()
    assert "`mine.json` is another file" in cli("data", "audit", "f.csv", "--out", "mine.json").err
    assert files() == before
    for _ in range(2):
        assert cli("data", "audit", "f.csv", "--out", "found.json").code == 0
    assert "findings" in json.loads(Path("found.json").read_text())


def test_predictions_replace_none_of_the_inputs(face: str, cli: Cli) -> None:
    _table(Path("f.csv"))
    os.link("f.csv", "same.csv")
    Path("d.csv").mkdir()
    Path("t.skipped.csv").mkdir()
    cases = [
        (("f.csv", "--out", "f.csv"), "would be lost"),
        (("f.csv", "--out", "same.csv"), "would be lost"),
        ((face, "--out", "d.csv"), "`d.csv` is a folder"),
        ((face, "--out", "t.csv", "--on-bad", "skip"), "`t.skipped.csv` is a folder"),
        ((face, "--out", "x" * 300 + ".csv"), ".csv"),
    ]
    before = files()
    for args, said in cases:
        outcome = cli("predict", *args)
        assert outcome.code == 2, outcome.err
        assert said in outcome.err
        assert files() == before


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet"])
def test_predictions_replace_predictions_and_nothing_else(suffix: str, face: str, cli: Cli) -> None:
    mine, out = Path(f"mine.{suffix}"), Path(f"p.{suffix}")
    out.touch()  # an empty file is nobody's
    for _ in range(2):
        assert cli("predict", face, "--out", str(out)).code == 0
    for content in (b"a,b\n1,2\n", b'{"id": "a"}\n', b"[1]\n", b"\xff\xfe", b"5\n"):
        mine.write_bytes(content)
        before = files()
        outcome = cli("predict", face, "--out", str(mine))
        assert outcome.code == 2
        assert f"`{mine}` is another file, which would be lost" in outcome.err
        assert files() == before
    mine = out.with_suffix(".skipped.csv")
    mine.write_text("a,b\n")
    assert cli("predict", face, "--out", str(out), "--on-bad", "skip").code == 2
    assert mine.read_text() == "a,b\n"


def test_predictions_replace_no_data_of_the_fit_and_no_posteriors(tiny: Path, face: str, cli: Cli) -> None:
    assert cli("predict", face, "--out", "p.csv").code == 0
    for out, args in (("votes.csv", ()), ("p.csv", ("--posteriors", "x=p.csv"))):
        if out == "votes.csv":
            Path(out).write_text("pixels,emotion\n")
        before = files()
        outcome = cli("predict", face, "--out", out, *args)
        assert outcome.code == 2
        assert "would be lost" in outcome.err
        assert files() == before


def test_a_failed_end_leaves_nothing_and_names_the_file(face: str, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    before = files()
    for out in ("p.csv", "p.parquet"):
        with monkeypatch.context() as patch:
            patch.setattr("os.fsync", full)
            outcome = cli("predict", face, "--out", out)
        assert outcome.code == 2
        assert f"`{out}`" in outcome.err
        assert files() == before


def test_sheets_replace_no_files_of_others(tiny: Path, cli: Cli) -> None:
    for name, content in (("index.md", "notes"), ("index.json", '{"mine": 1}')):
        folder = Path(name.replace(".", "-"))
        folder.mkdir()
        (folder / name).write_text(content)
        outcome = cli("explain", "--out", str(folder), "--what", "filters", "--no-track")
        assert outcome.code == 2
        assert "other files lie in" in outcome.err
        assert (folder / name).read_text() == content
    Path("file").write_text("x")
    assert "`file` is a file" in cli("explain", "--out", "file", "--what", "filters").err
    for _ in range(2):
        assert cli("explain", "--out", "new", "--what", "filters", "--no-track", "--member", "plain").code == 0
    assert cli("explain", "--seed", "-1").code == 2


def test_only_plain_files_are_replaced(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for place in (tmp_path / "pipe", tmp_path):
        with pytest.raises(FileExistsError, match="something else than a plain file"):
            write_text(place, "x")
    (tmp_path / "file").write_text("old")
    (tmp_path / "link").symlink_to(tmp_path / "file")
    write_text(tmp_path / "link", "new")
    assert (tmp_path / "link").read_text() == "new"


@pytest.mark.parametrize(
    "args",
    [
        ("predict", "~nosuchuser/a.png"),
        ("predict", "face.png", "--draw", "~nosuchuser/x"),
        ("predict", "face.png", "--out", "~nosuchuser/x.csv"),
        ("export", "tiny", "--out", "~nosuchuser/x.onnx"),
        ("evaluate", "--data", "~nosuchuser/x"),
        ("explain", "--out", "~nosuchuser/x"),
        ("data", "audit", "~nosuchuser/x"),
    ],
)
def test_homes_of_nobody(args: tuple[str, ...], face: str, cli: Cli) -> None:
    outcome = cli(*args)
    assert outcome.code == 2
    assert "there is no" in outcome.err


def test_no_other_file_expands_homes() -> None:
    users = [path for path in (ROOT / "pipelines").rglob("*.py") if ".expanduser(" in path.read_text()]
    assert [path.name for path in users] == ["home_path.py"]


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("--tta", "100000000000000000000"), "at most 10,000"),
        (("--device", "meta"), "to be a device of this machine"),
    ],
)
def test_numbers_and_devices_beyond_all_machines(args: tuple[str, ...], said: str, face: str, cli: Cli) -> None:
    outcome = cli("predict", face, *args)
    assert outcome.code == 2
    assert said in outcome.err


def test_an_input_given_twice_is_one_input(face: str, cli: Cli) -> None:
    assert cli("predict", face, face, "./face.png").code == 0
    assert len(Path("predictions.csv").read_text().splitlines()) == 2


def test_a_working_directory_that_is_gone(tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    code = (
        f"import os, sys\nos.rmdir({str(gone)!r})\nsys.argv[1:] = ['members', 'list']\n"
        "from pipelines.cli import main\nmain()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=gone, capture_output=True, text=True, timeout=60, check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr.strip() == (
        "ensemble: Expected the working directory to exist, but it is gone. Change to another one."
    )


def _garbage(path: Path) -> None:
    path.write_bytes(bytes(range(256)) * 20)


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def _folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _foreign(path: Path) -> None:
    path.unlink()
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE birds (name TEXT)")
    database.close()


@pytest.mark.parametrize("spoil", [_garbage, _cut, _folder, _foreign])
def test_a_store_that_is_no_database_is_named_at_once(
    spoil: Callable[[Path], None], face: str, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    spoil(Path("mlruns/mlflow.db"))
    for args in (("predict", "--committee", "models:/ensemble-tiny/1", face), ("verify", "models:/ensemble-tiny/1")):
        outcome = cli(*args)
        assert outcome.code == 2
        assert "mlflow.db` to be MLflow's database" in outcome.err
    from pipelines.ui import find_pages

    with pytest.raises(InputError, match="or move it away"):
        find_pages(f"sqlite:///{Path('mlruns/mlflow.db').resolve()}")
