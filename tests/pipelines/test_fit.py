"""The main job, end to end, on a few synthetic faces."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from safetensors import SafetensorError
from support import ROOT, TINY, Outcome

from ensemble.bank import load_posteriors
from pipelines import committee_fit
from pipelines.bundle import changed_files


def digests(folder: Path) -> dict[str, str]:
    """sha256 of what has to be equal: weights, posteriors and the committee."""
    patterns = ("members/*/weights.safetensors", "members/*/posteriors.npz", "committee.json")
    paths = sorted(path for pattern in patterns for path in folder.glob(pattern))
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}


def test_a_finished_committee_is_one_complete_folder(tiny: Path) -> None:
    folder = tiny / "mlruns" / "committees" / "tiny"
    assert changed_files(folder) == []
    for name in ("plain", "residual"):
        files = {path.name for path in (folder / "members" / name).iterdir()}
        assert files == {"spec.json", "weights.safetensors", "posteriors.npz", "history.json"}
        history = json.loads((folder / "members" / name / "history.json").read_text())
        assert [record["epoch"] for record in history] == [1, 2, 3]
    report = json.loads((folder / "report.json").read_text())
    assert {"committee", "mean", "log_likelihood"} <= set(report["rules"])
    assert report["rules"]["va_expo"]["optimism"] == pytest.approx(
        report["rules"]["va_expo"]["fitted_accuracy"] - report["rules"]["va_expo"]["nested_accuracy"]
    )
    committee = json.loads((folder / "committee.json").read_text())
    weights = committee["committee"]["learned"]["weights"]
    assert sum(weights.values()) == pytest.approx(1)
    bank = load_posteriors(folder / "members" / "plain" / "posteriors.npz")
    assert bank.splits["validation"].probs.shape[0] == 2
    assert set(bank.splits) == {"validation"}


def test_all_files_have_the_mode_that_the_user_wants(tiny: Path) -> None:
    folder = tiny / "mlruns" / "committees" / "tiny"
    modes = {path.suffix: path.stat().st_mode for path in (folder / "members" / "plain").iterdir() if path.is_file()}
    assert modes[".safetensors"] == modes[".json"]


def test_a_finished_fit_is_not_touched_again(tiny: Path, cli: object) -> None:
    folder = tiny / "mlruns" / "committees" / "tiny" / "members"
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}
    outcome: Outcome = cli("fit", "--members", "tiny.yaml", "--jobs", "1", "--no-track")  # type: ignore[operator]
    assert outcome.code == 0
    assert outcome.err.count("finished before, kept") == 2
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()} == before


def test_a_changed_member_is_retrained_and_the_old_one_kept(tiny: Path, cli: object) -> None:
    committee = tiny / "mlruns" / "committees" / "tiny"
    original = digests(committee)
    for text, retrained in ((TINY.replace("lr: 3.0e-3", "lr: 2.0e-3"), True), (TINY, False)):
        (tiny / "tiny.yaml").write_text(text)
        outcome: Outcome = cli("fit", "--members", "tiny.yaml", "--jobs", "1", "--no-track", "--quiet")  # type: ignore[operator]
        assert outcome.code == 0, outcome.err
        assert (digests(committee) != original) == retrained
    assert len(list((committee / "replaced").iterdir())) == 1


def test_posteriors_of_another_member_are_not_kept_where_its_folder_does_not_tell(tiny: Path, cli: object) -> None:
    committee = tiny / "mlruns" / "committees" / "tiny"
    bank = committee / "members" / "plain" / "posteriors.npz"
    before = load_posteriors(bank).splits["validation"].probs
    (committee / "members" / "plain" / "spec.json").unlink()
    (tiny / "tiny.yaml").write_text(TINY.replace("lr: 3.0e-3", "lr: 2.0e-3"))
    outcome: Outcome = cli("fit", "--members", "tiny.yaml", "--jobs", "1", "--no-track", "--quiet")  # type: ignore[operator]
    assert outcome.code == 0, outcome.err
    assert not np.array_equal(load_posteriors(bank).splits["validation"].probs, before)


def test_jobs_side_by_side_give_the_same_bytes_as_one_by_one(
    tiny: Path, cli: Callable[..., Outcome], monkeypatch: pytest.MonkeyPatch
) -> None:
    committee = tiny / "mlruns" / "committees" / "tiny"
    outputs = []
    for jobs in (2, 1):
        monkeypatch.setattr(committee_fit, "core_count", lambda jobs=jobs: jobs)  # so that each member has one thread
        outcome = cli("fit", "--members", "tiny.yaml", "--no-track", "--jobs", str(jobs), "--out", f"jobs{jobs}")
        assert outcome.code == 0, outcome.err
        outputs.append(digests(tiny / f"jobs{jobs}"))
    assert outputs[0] == outputs[1]
    assert set(outputs[0]) == set(digests(committee))


def test_the_process_that_hands_the_jobs_on_loads_no_torch(tmp_path: Path) -> None:
    (tmp_path / "tiny.yaml").write_text(TINY.replace("epochs: 3", "epochs: 1").replace("count: 210", "count: 70"))
    code = """
import sys
from pathlib import Path

from pipelines.committee_fit import fit_committee
from pipelines.plan import make_plan

if __name__ == "__main__":
    fit_committee(make_plan(Path("tiny.yaml")), jobs=2, track=False, quiet=True)
    print(*({"torch", "timm", "torchvision"} & set(sys.modules)), "none of them")
"""
    (tmp_path / "program.py").write_text(code)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    result = subprocess.run(
        [sys.executable, "program.py"], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines()[-1] == "none of them"


def test_an_interrupted_fit_says_so_and_leaves_no_worker(tmp_path: Path) -> None:
    (tmp_path / "tiny.yaml").write_text(TINY.replace("epochs: 3", "epochs: 500"))
    command = [sys.executable, "-m", "pipelines.cli", "fit", "--members", "tiny.yaml", "--no-track", "--jobs", "2"]
    with subprocess.Popen(
        command, cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)}, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        while "epoch" not in process.stderr.readline():
            assert process.poll() is None
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=60) == 130
        assert "the same command resumes" in process.stderr.read()


def test_two_fits_into_one_folder_are_refused(tiny: Path, cli: object) -> None:
    from pipelines.lock import locked

    with locked(tiny / "mlruns" / "committees" / "tiny"):
        outcome: Outcome = cli("fit", "--members", "tiny.yaml", "--no-track")  # type: ignore[operator]
    assert outcome.code == 2
    assert f"process {os.getpid()} on {socket.gethostname()}" in outcome.err
    assert "is fitting into it" in outcome.err


def test_no_request_leaves_the_machine(tmp_path: Path) -> None:
    (tmp_path / "tiny.yaml").write_text(TINY.replace("epochs: 3", "epochs: 1").replace("count: 210", "count: 70"))
    (tmp_path / "sitecustomize.py").write_text("""
import sys

def hook(event, args):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.sendto"):
        target = args[1] if event != "socket.getaddrinfo" else args[0]
        host = target[0] if isinstance(target, tuple) else target
        if isinstance(host, bytes):
            host = host.decode()
        if isinstance(host, str) and host not in ("127.0.0.1", "::1", "localhost") and not host.startswith("/"):
            with open("requests.txt", "a") as file:
                file.write(f"{event} {host}\\n")

sys.addaudithook(hook)
open("hooked.txt", "w").close()
""")
    code = """
import sys
from pipelines.cli import main

for command in ("fit --members tiny.yaml --jobs 1", "predict --tta 2"):
    sys.argv[1:] = command.split()
    try:
        main()
    except SystemExit as ending:
        assert not ending.code, command
"""
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)])}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert {"mlruns", "predictions.csv"} <= {path.name for path in tmp_path.iterdir()}
    assert (tmp_path / "hooked.txt").exists()
    assert not (tmp_path / "requests.txt").exists(), (tmp_path / "requests.txt").read_text()


def test_from_python(tiny: Path) -> None:
    import pipelines

    committee = pipelines.load("tiny")
    faces = np.random.default_rng(0).integers(0, 256, (5, 48, 48), dtype=np.uint8)
    predictions = committee.predict(faces, tta=3)
    assert predictions.probs.shape == (5, 7)
    assert predictions.agreement is not None
    assert ((predictions.agreement >= 0) & (predictions.agreement <= 1)).all()
    assert callable(pipelines.fit), "the function is hidden by a module of the same name"
    assert pipelines.load().folder == pipelines.load(tiny / "mlruns" / "committees" / "tiny").folder.relative_to(tiny)


def test_a_full_disk_is_one_clear_message(tiny: Path, cli: object, monkeypatch: pytest.MonkeyPatch) -> None:
    """What safetensors says of it, in words only, becomes the system's error again."""

    def full(*args: object, **options: object) -> None:
        raise SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)")

    monkeypatch.setattr("pipelines.checkpoint.save_file", full)
    outcome: Outcome = cli("fit", "--members", "tiny.yaml", "--jobs", "1", "--no-track", "--out", "other")  # type: ignore[operator]
    assert outcome.code == 2
    assert "`other/members/plain/checkpoint.safetensors`, but got: No space left on device" in outcome.err
    assert "Traceback" not in outcome.err
