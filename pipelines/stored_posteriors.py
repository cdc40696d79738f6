"""What the members of a committee say, from the posterior bank: of the validation faces, and out of fold.

Rules are fitted on out-of-fold posteriors of the training faces if every member has them, and otherwise on the
validation faces. Loads no torch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from backbones.errors import InputError
from ensemble.bank import SplitPosteriors, load_posteriors, save_posteriors
from ensemble.committee import Committee
from ensemble.committee_spec import CommitteeNode
from ensemble.estimate import OutOfFold, nested_probs
from ensemble.perturbation import fuse_views
from pipelines.bundle import COMMITTEE, HELD_OUT, POSTERIORS, SPEC, check_sealed, read_json
from pipelines.workspace import PACK

__all__ = ["StoredPosteriors", "save_held_out", "stored_held_out", "stored_posteriors"]

Probs = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class StoredPosteriors:
    """What the members of a committee say of the validation faces, and of training faces that they have not seen.

    Attributes:
        posteriors: (N, K) probabilities by member, views fused.
        labels: (N,) true class indices.
        ids: (N,) names of the faces.
        classes: K class names.
        out_of_fold: The training faces, if all members judge the same of them out of fold; rules are fitted on these.
        without_folds: Members that do not, if others do.
    """

    posteriors: dict[str, Probs]
    labels: npt.NDArray[np.int64]
    ids: npt.NDArray[np.str_]
    classes: tuple[str, ...]
    out_of_fold: OutOfFold | None = None
    without_folds: tuple[str, ...] = ()

    @property
    def basis(self) -> str:
        """Which faces rules are fitted on, and which they are judged on, in words."""
        judged = f"{len(self.labels):,} validation faces"
        if self.out_of_fold is None:
            return f"fitted on {judged}, judged on the same by cross-fitting"
        return f"fitted on {len(self.out_of_fold.labels):,} out-of-fold training faces, judged on {judged}"

    @property
    def note(self) -> str | None:
        """What keeps rules from being fitted on out-of-fold faces where some members have them."""
        if not self.without_folds:
            return None
        return (
            f"rules are fitted on the validation faces, since not every member has out-of-fold posteriors of the same "
            f"training faces: {', '.join(self.without_folds)} {'has' if len(self.without_folds) == 1 else 'have'} none"
        )

    def fit(self, node: CommitteeNode, *, seed: int) -> Committee:
        """Fit the rules of a tree; `seed` is that of the folds."""
        seen = (self.posteriors, self.labels)
        if self.out_of_fold is not None:
            seen = (dict(self.out_of_fold.posteriors), self.out_of_fold.labels)
        return Committee.fit(node, *seen, seed=seed, classes=self.classes)

    def held_out(self, committee: Committee, *, seed: int) -> Probs:
        """(N, K) what a committee fitted on this says of the validation faces, each held out of the fit of its rules.

        Args:
            committee: From `fit`.
            seed: Of the folds.
        """
        if self.out_of_fold is not None:
            return committee(self.posteriors)  # fitted on training faces
        return nested_probs(committee.root.node, self.posteriors, self.labels, seed=seed)


def stored_posteriors(folder: Path, members: Sequence[str]) -> StoredPosteriors:
    """Read the members' posteriors.

    Raises:
        InputError: One is absent or damaged, or is of other validation faces or classes.
    """
    if (folder / PACK).is_file() and not (folder / "members" / members[0] / POSTERIORS).is_file():
        raise InputError(
            f"Expected the members' probabilities of the validation faces in `{folder}`, but it is a pack, which holds "
            f"what predicting needs and no more. Use the committee that it was made of: "
            f"`{read_json(folder / PACK).get('committee')}`."
        )
    check_sealed(folder, [f"members/{name}/{file}" for name in members for file in (SPEC, POSTERIORS)])
    posteriors: dict[str, Probs] = {}
    unseen: dict[str, SplitPosteriors] = {}
    first: tuple[SplitPosteriors, tuple[str, ...]] | None = None
    for name in members:
        path = folder / "members" / name / POSTERIORS
        bank = load_posteriors(path)
        split = bank.splits["validation"]
        if split.labels is None:
            raise InputError(f"Expected labelled validation faces in `{path}`, but got none.")
        first = first or (split, bank.classes)
        if bank.classes != first[1] or not _same_faces(split, first[0]):
            raise InputError(f"Expected the same faces and classes from all members, but `{path}` differs.")
        posteriors[name] = fuse_views(split.probs)
        unseen |= {name: bank.splits["train"]} if "train" in bank.splits else {}
    assert first is not None  # a committee has members
    assert first[0].labels is not None
    out_of_fold, without_folds = _out_of_fold(unseen, members)
    return StoredPosteriors(
        posteriors=posteriors, labels=first[0].labels, ids=first[0].ids, classes=first[1], out_of_fold=out_of_fold,
        without_folds=without_folds,
    )  # fmt: skip


def save_held_out(folder: Path, bank: StoredPosteriors, held_out: Probs) -> None:
    """Keep what `StoredPosteriors.held_out` says, so that no report has to fit the rules again."""
    save_posteriors(
        folder / HELD_OUT, classes=bank.classes, ids={"validation": bank.ids}, probs={"validation": held_out[None]},
        labels={"validation": bank.labels},
    )  # fmt: skip


def stored_held_out(folder: Path, committee: Committee, bank: StoredPosteriors, *, seed: int) -> Probs:
    """What `save_held_out` kept; of committees without that file, made anew, which may take a while.

    Raises:
        InputError: The file or the committee's rules are damaged.
    """
    if not (folder / HELD_OUT).is_file():
        return bank.held_out(committee, seed=seed)
    check_sealed(folder, [HELD_OUT, COMMITTEE])
    stored = load_posteriors(folder / HELD_OUT).splits["validation"]
    if not np.array_equal(stored.ids, bank.ids):
        raise InputError(f"Expected `{folder / HELD_OUT}` to be of the members' faces, but it is of others.")
    probs: Probs = stored.probs[0]
    return probs


def _out_of_fold(
    unseen: Mapping[str, SplitPosteriors], members: Sequence[str]
) -> tuple[OutOfFold | None, tuple[str, ...]]:
    """The training faces that all members judge out of fold, and the members that keep there from being any."""
    if not unseen:
        return None, ()
    first = next(iter(unseen.values()))
    same = [name for name, split in unseen.items() if _same_faces(split, first)]
    if len(same) < len(members):
        return None, tuple(name for name in members if name not in same)
    assert first.labels is not None  # the same as itself
    return OutOfFold(posteriors={name: fuse_views(unseen[name].probs) for name in members}, labels=first.labels), ()


def _same_faces(one: SplitPosteriors, other: SplitPosteriors) -> bool:
    if one.labels is None or other.labels is None:
        return False
    return np.array_equal(one.ids, other.ids) and np.array_equal(one.labels, other.labels)
