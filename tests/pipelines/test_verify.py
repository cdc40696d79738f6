"""`ensemble verify`: what is whole passes, and everything that is not is named."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from support import Outcome

from backbones.errors import InputError
from ensemble.bank import load_posteriors, save_posteriors
from pipelines.bundle import seal, unseal
from pipelines.verify import Check, verify_committee

Cli = Callable[..., Outcome]
FOLDER = Path("mlruns/committees/tiny")
PLAIN = FOLDER / "members" / "plain"


def changed_posteriors(amount: float) -> None:
    """Other posteriors of `plain`, and a manifest that takes them for right."""
    bank = load_posteriors(PLAIN / "posteriors.npz")
    split = bank.splits["validation"]
    probs = split.probs.copy()
    probs[0, :, 0] += amount
    save_posteriors(
        PLAIN / "posteriors.npz", classes=bank.classes, ids={"validation": split.ids}, views_seed=bank.views_seed,
        probs={"validation": probs / probs.sum(axis=2, keepdims=True)}, labels={"validation": split.labels},
    )  # fmt: skip
    unseal(FOLDER)
    seal(FOLDER, members=["plain", "residual"])


def test_a_whole_committee_is_verified_bit_for_bit(tiny: Path, cli: Cli) -> None:
    outcome = cli("verify", "tiny", "--faces", "5")
    assert outcome.code == 0, outcome.err
    assert outcome.out.count("same bits") == 2
    assert "verified" in outcome.out
    checks = verify_committee(faces=1000, quiet=True)
    faces = len(load_posteriors(PLAIN / "posteriors.npz").splits["validation"].ids)
    assert [(c.member, c.faces, c.views, c.difference) for c in checks] == [
        ("plain", faces, 2, 0.0), ("residual", faces, 2, 0.0),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "name", ["committee.json", "committee.yaml", "report.json", "report.md", "members/plain/history.json"]
)
def test_a_flipped_bit_is_named(tiny: Path, cli: Cli, name: str) -> None:
    data = bytearray((FOLDER / name).read_bytes())
    data[len(data) // 2] ^= 1
    (FOLDER / name).write_bytes(data)
    outcome = cli("verify", "--faces", "0")
    assert outcome.code == 2
    assert f"found 1 difference(s):\n  {name}: its sha256 is another" in outcome.err


def test_posteriors_of_other_weights_are_found(tiny: Path) -> None:
    changed_posteriors(0.01)
    with pytest.raises(InputError, match=r"plain, validation: probabilities differ by 0\.00\d+, tolerance 0"):
        verify_committee("tiny", quiet=True)


def test_the_tolerance_is_the_users(tiny: Path) -> None:
    changed_posteriors(1e-6)
    with pytest.raises(InputError, match="tolerance 1e-08"):
        verify_committee("tiny", tolerance=1e-8, quiet=True)
    with pytest.raises(InputError, match="fitted again") as caught:  # the rules were fitted on the others
        verify_committee("tiny", tolerance=1e-4, quiet=True)
    assert "differ" not in str(caught.value).replace("difference(s)", "")


def test_rules_that_do_not_follow_from_the_posteriors_are_found(tiny: Path) -> None:
    content = json.loads((FOLDER / "committee.json").read_text())
    content["temperature"] = 3.0
    (FOLDER / "committee.json").write_text(json.dumps(content))
    unseal(FOLDER)
    seal(FOLDER, members=["plain", "residual"])
    with pytest.raises(InputError, match=r"committee\.json: fitted again, `temperature` is another"):
        verify_committee("tiny", faces=0, quiet=True)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--faces", "-1"], "Expected `--faces` to be at least 0, but got -1."),
        (["--tolerance", "-0.1"], "Expected `--tolerance` to be at least 0, but got -0.1."),
        (["nobody"], "Expected `--committee` to be the folder or the name of a finished committee"),
    ],
)
def test_wrong_options(tiny: Path, cli: Cli, options: list[str], message: str) -> None:
    outcome = cli("verify", *options)
    assert outcome.code == 2
    assert message in outcome.err


def test_a_difference_that_is_no_number_differs() -> None:
    assert Check(member="a", difference=float("nan"), tolerance=1.0).differs
    assert not Check(member="a", difference=0.5, tolerance=0.5).differs


def test_members_in_folds_are_verified_copy_by_copy(tmp_path: Path, cli: Cli) -> None:
    (tmp_path / "folds.yaml").write_text("""
name: folds
data: {source: synthetic, count: 140}
defaults: {epochs: 1, batch_size: 64}
members:
  - {name: net, folds: 2, backbone: {kind: scratch_cnn, blocks: [{filters: 4}]}}
""")
    assert cli("fit", "--members", "folds.yaml", "--no-track", "--jobs", "1").code == 0
    checks = verify_committee("folds", faces=8, quiet=True)
    assert [(c.member, c.split, c.difference) for c in checks] == [
        ("net/folds/0", "held_out", 0.0), ("net/folds/0", "validation", 0.0),
        ("net/folds/1", "held_out", 0.0), ("net/folds/1", "validation", 0.0),
        ("net", "validation", 0.0), ("net", "train", 0.0),
    ]  # fmt: skip
    assert np.all([not c.differs for c in checks])
