from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from safetensors import safe_open

from pipelines.bundle import changed_files
from pipelines.predictor import Predictor

TINY = Path("mlruns/committees/tiny")


def _faces() -> np.ndarray[Any, Any]:
    return np.random.default_rng(0).integers(0, 256, (12, 48, 48), dtype=np.uint8)


def test_a_pack_is_half_as_large_and_answers_as_before(tiny: Path, cli: Any) -> None:
    outcome = cli("pack", "--out", "small")
    assert outcome.code == 0, outcome.err
    assert "2 member(s)" in outcome.out
    packed = Path("small")
    assert changed_files(packed) == []
    names = {path.name for path in packed.rglob("*") if path.is_file()}
    assert not names & {"posteriors.npz", "history.json", "held_out.npz"}
    for name in ("plain", "residual"):
        before, after = (folder / "members" / name / "weights.safetensors" for folder in (TINY, packed))
        assert after.stat().st_size < 0.65 * before.stat().st_size
        with safe_open(after, framework="pt") as file:
            kinds = {key: file.get_slice(key).get_dtype() for key in file.keys()}  # noqa: SIM118
        assert set(kinds.values()) <= {"F16", "I64"}
    probs = [Predictor.load(folder).predict(_faces(), tta=3, seed=1).probs for folder in (TINY, packed)]
    np.testing.assert_allclose(probs[0], probs[1], atol=0.02)
    assert not np.array_equal(probs[0], probs[1])  # the weights are rounded


def test_the_card_tells_what_is_in_the_pack(tiny: Path, cli: Any) -> None:
    assert cli("pack", "--out", "small", "-q").code == 0
    card, report = Path("small/MODEL_CARD.md").read_text(), json.loads(Path("small/report.json").read_text())
    assert f"**{report['rules']['committee']['nested_accuracy']:.4f}**" in card
    assert all(f"| {name} |" in card for name in ("plain", "residual", "happy", "neutral"))
    assert "Fused by `log_likelihood`. " in card
    assert "## Limits" in card
    assert "## Ethics" in card


def test_members_are_left_out_until_it_fits(tiny: Path, cli: Any) -> None:
    sizes = {
        name: (TINY / "members" / name / "weights.safetensors").stat().st_size / 2 for name in ("plain", "residual")
    }
    room = (max(sizes.values()) + 0.5 * min(sizes.values()) + 65536) / 2**20
    outcome = cli("pack", "--mib", str(room), "--out", "small")
    assert outcome.code == 0, outcome.err
    assert "1 member(s)" in outcome.out
    assert "is left out" in outcome.err
    assert Predictor.load("small").predict(_faces()).probs.shape == (12, 7)
    assert sum(path.stat().st_size for path in Path("small").rglob("*") if path.is_file()) <= room * 2**20


def test_a_pack_names_no_place_of_this_machine(tiny: Path, cli: Any) -> None:
    resolved = TINY / "committee.yaml"
    content = yaml.safe_load(resolved.read_text())
    assert cli("pack", "--out", "small", "-q").code == 0
    own = yaml.safe_load(Path("small/committee.yaml").read_text())
    assert own["data"]["source"] == Path(str(content["data"]["source"])).name
    text = "".join(path.read_text(errors="replace") for path in Path("small").rglob("*.json"))
    assert str(tiny.resolve()) not in text
    assert not Path("small/.lock").exists()


def test_a_member_of_a_pack_goes_into_another_committee(tiny: Path, cli: Any) -> None:
    assert cli("pack", "--out", "small", "-q").code == 0
    content = yaml.safe_load(Path("tiny.yaml").read_text())
    lent = {"name": "lent", "committee": {"folder": "small", "member": "plain"}}
    again = {"name": "again", "data": content["data"], "members": [lent], "committee": {"rule": "mean"}}
    Path("again.yaml").write_text(yaml.safe_dump(again))
    outcome = cli("fit", "--members", "again.yaml", "-q")
    assert outcome.code == 0, outcome.err
    folder = TINY.with_name("again")
    assert json.loads((folder / "members" / "lent" / "history.json").read_text()) == []
    before, after = (place / "members" for place in (Path("small"), folder))
    assert (before / "plain" / "weights.safetensors").read_bytes() == (
        after / "lent" / "weights.safetensors"
    ).read_bytes()
    assert cli("report", "--committee", "again").code == 0


def test_packing_again_replaces_the_pack(tiny: Path, cli: Any) -> None:
    for _ in range(2):
        assert cli("pack", "--out", "small", "-q").code == 0
    assert changed_files(Path("small")) == []


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("--mib", "0.01"), "room for at least one member"),
        (("--out", str(TINY)), "another folder than that of the committee"),
        (("--out", "other"), "other files lie there"),
        (("--data", "absent.csv"), "absent.csv"),
    ],
)
def test_what_cannot_be_packed(args: tuple[str, ...], said: str, tiny: Path, cli: Any) -> None:
    shutil.copytree(TINY, "other")
    outcome = cli("pack", *(("--out", "small") if "--out" not in args else ()), *args)
    assert outcome.code == 2
    assert said in outcome.err
    assert not Path("small/manifest.json").exists()


def test_a_pack_is_verified_by_its_files_and_says_what_it_lacks(tiny: Path, cli: Any) -> None:
    assert cli("pack", "--out", "small", "-q").code == 0
    done = cli("verify", "small")
    assert done.code == 0, done.err
    assert "a pack holds no posteriors" in done.out
    for command in ("fuse", "report", "evaluate"):
        refused = cli(command, "--committee", "small")
        assert refused.code == 2
        assert "Use the committee that it was made of: `tiny`" in refused.err


@pytest.mark.parametrize(("command", "folder"), [("pack", "tiny-pack"), ("fuse", "tiny-pruned")])
def test_one_that_was_killed_names_the_command_that_ends_it(tiny: Path, cli: Any, command: str, folder: str) -> None:
    made = cli("pack") if command == "pack" else cli("fuse", "--prune", "1")
    assert made.code == 0, made.err
    (TINY.parent / folder / "manifest.json").unlink()
    outcome = cli("predict", "--committee", folder)
    assert outcome.code == 2
    assert f"Run the same `ensemble {command}` again." in outcome.err
