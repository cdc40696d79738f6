"""Atomic writes, what killed processes leave, locks, and clocks that jump."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from support import ROOT

from backbones.errors import InputError
from pipelines.atomic import explain_os_error, is_alive, replacing, sweep, write_checked_json, write_text
from pipelines.bundle import read_json, seal
from pipelines.lock import locked
from pipelines.workspace import Workspace


@pytest.fixture
def gone() -> int:
    """The number of a process that has ended."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_what_killed_processes_left_is_swept_and_nothing_else(tmp_path: Path, gone: int) -> None:
    deep = tmp_path / "members" / "net"
    deep.mkdir(parents=True)
    left = [tmp_path / f".a.json.{gone}.tmp", deep / f".checkpoint.safetensors.{gone}.tmp"]
    kept = [deep / f".b.{os.getpid()}.tmp", deep / ".c.tmp", deep / f"d.{gone}.tmp", deep / "weights"]
    for path in (*left, *kept):
        path.write_text("")
    sweep(tmp_path)
    assert not any(path.exists() for path in left)
    assert all(path.exists() for path in kept)
    assert is_alive(os.getpid())
    assert not is_alive(gone)


def test_a_failed_write_tells_where_it_was_to(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No space left") as caught, replacing(tmp_path / "a.json") as temporary:
        temporary.write_text("half")
        raise OSError(28, "No space left on device")
    assert explain_os_error(caught.value).startswith(f"Expected to be able to read and write `{tmp_path / 'a.json'}`")
    assert list(tmp_path.iterdir()) == []


def test_a_failed_write_leaves_no_folder_behind_that_it_made(tmp_path: Path) -> None:
    def write(path: Path, *, beside: bool = False) -> None:
        with replacing(path):
            if beside:
                write_text(path.with_name("b.json"), "{}")
            raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        write(tmp_path / "drawn" / "party" / "a.png")
    assert list(tmp_path.iterdir()) == []
    kept = tmp_path / "mine"
    kept.mkdir()
    with pytest.raises(OSError, match="No space left"):
        write(kept / "a.png")
    assert kept.is_dir()
    with pytest.raises(OSError, match="No space left"):
        write(tmp_path / "shared" / "a.json", beside=True)
    assert [path.name for path in (tmp_path / "shared").iterdir()] == ["b.json"]


def test_no_flipped_bit_of_a_checked_file_changes_what_is_read(tmp_path: Path) -> None:
    path, content = tmp_path / "a.json", {"weights": [0.1, 1e-9], "name": "é", "none": None}
    write_checked_json(path, content)
    data, refused = path.read_bytes(), 0
    assert read_json(path) == content
    for place in range(len(data)):
        for bit in (0, 3, 6):
            path.write_bytes(data[:place] + bytes([data[place] ^ 1 << bit]) + data[place + 1 :])
            try:
                found = read_json(path)  # white space may differ, or the name of the checksum itself
                assert {key: found.get(key) for key in content} == content, (place, bit)
            except InputError:
                refused += 1
    assert refused > 0.85 * 3 * len(data)


def test_a_locked_folder_names_its_owner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["/opt/bin/ensemble", "fit", "--out", "a folder"])
    with locked(tmp_path), pytest.raises(InputError) as caught, locked(tmp_path):
        pass
    message = str(caught.value)
    assert f"process {os.getpid()} on {socket.gethostname()} (`ensemble fit --out 'a folder'`, since 20" in message
    assert "choose another folder with `--out`" in message


@pytest.mark.parametrize("rubbish", [b"", b"\xff\x00{", b'{"process": 1}', b"4711\n", b"[1]"])
def test_rubbish_in_a_lock_of_a_dead_process_is_taken_over(tmp_path: Path, rubbish: bytes) -> None:
    (tmp_path / ".lock").write_bytes(rubbish)
    with locked(tmp_path):
        assert json.loads((tmp_path / ".lock").read_text())["process"] == os.getpid()


def test_a_killed_process_holds_no_lock(tmp_path: Path) -> None:
    code = "import sys, time; from pathlib import Path; from pipelines.lock import locked\n"
    code += "with locked(Path(sys.argv[1])): print('held', flush=True); time.sleep(60)"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", code, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        with pytest.raises(InputError, match=f"process {process.pid} on"), locked(tmp_path):
            pass
        process.kill()
    with locked(tmp_path):
        pass


def test_the_newest_committee_is_the_last_one_finished_whatever_the_clock_says(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    for hours, name in ((0, "first"), (-48, "second"), (-24, "third")):
        folder = workspace.committees / name
        folder.mkdir(parents=True)
        write_text(folder / "committee.json", "{}")
        seal(folder, members=[])
        time = 1_700_000_000 + 3600 * hours
        os.utime(folder / "manifest.json", (time, time))
        assert workspace.find(None).name == name
    seal(workspace.committees / "first", members=[])  # fused again
    assert workspace.find(None).name == "first"
    pack = workspace.committees / "first-pack"
    pack.mkdir()
    write_text(pack / "pack.json", "{}")
    seal(pack, members=[])
    assert workspace.find(None).name == workspace.find_ready(None).name == "first"  # a pack is to be handed on
    for name in ("first", "second", "third"):
        (workspace.committees / name / "manifest.json").unlink()
    assert workspace.find_ready(None) == pack
