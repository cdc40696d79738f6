"""What a committee and its members say of the validation faces, as an evaluation wants it; no network runs.

The committee's line is held out: where its rules were fitted on these faces, they and the temperature are cross-fitted.
"""

from __future__ import annotations

from pathlib import Path

from ensemble.calibration import cross_calibrated
from pipelines.bundle import read_committee
from pipelines.evaluation import Answers
from pipelines.stored_posteriors import StoredPosteriors, stored_held_out, stored_posteriors

__all__ = ["stored_answers"]


def stored_answers(folder: Path, *, seed: int, bank: StoredPosteriors | None = None) -> Answers:
    """Everything that is known of the validation faces.

    Args:
        folder: Of a finished committee.
        seed: Of the folds.
        bank: The posteriors of its members, if they are read already.

    Raises:
        InputError: A file of the committee is absent or damaged.
    """
    committee = read_committee(folder)
    bank = bank or stored_posteriors(folder, committee.members)
    held_out = stored_held_out(folder, committee, bank, seed=seed)
    # Where the temperature was fitted on these faces, it is cross-fitted too.
    scaled = committee.temperature not in (None, 1.0)
    calibrated = cross_calibrated(held_out, bank.labels, seed=seed) if scaled else committee.calibrated(held_out)
    return Answers(
        committee=held_out, calibrated=calibrated, temperature=committee.temperature, members=bank.posteriors,
        labels=bank.labels, classes=committee.classes,
    )  # fmt: skip
