"""A member trained in folds: several copies of one network, each trained without its own fold of the training faces.

What it says of a face is the mean of what its copies say.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from backbones.batch_norm_folding import fold_batch_norm
from backbones.errors import InputError, reason_of
from ensemble.spec import MemberSpec
from pipelines.bundle import SPEC
from pipelines.member import Member
from pipelines.member_folder import network_folders
from pipelines.spec_file import read_spec_file

__all__ = ["FoldedMember", "load_member", "mean_of_copies"]


@dataclass(frozen=True, kw_only=True)
class FoldedMember:
    """The copies of a member, ready to give probabilities.

    Attributes:
        spec: What the member was made from.
        copies: The networks, in the order of their folds.
    """

    spec: MemberSpec
    copies: tuple[Member, ...]

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names, in the order of its outputs."""
        return self.copies[0].classes

    @property
    def face_size(self) -> int:
        """Side in pixels of the faces it was trained on."""
        return self.copies[0].face_size

    @property
    def face_channels(self) -> int:
        """1 if they were grey, 3 if RGB."""
        return self.copies[0].face_channels

    @property
    def device(self) -> torch.device:
        """Where the networks lie."""
        return self.copies[0].device

    def probabilities(self, faces: npt.NDArray[np.uint8]) -> npt.NDArray[np.float64]:
        """(N, H, W) or (N, H, W, 3) uint8 faces to class probabilities (N, K), the mean over the copies."""
        return mean_of_copies([copy.probabilities(faces) for copy in self.copies])


def mean_of_copies(probs: Sequence[npt.NDArray[np.float64]]) -> npt.NDArray[np.float64]:
    """Mean of several arrays of one shape, summed up in their order: a face's mean depends on no other face."""
    total = np.zeros_like(probs[0])
    for own in probs:
        total += own
    return np.asarray(total / len(probs))


def load_member(folder: Path, *, device: torch.device) -> Member | FoldedMember:
    """Load a finished member from its folder, whether it has one network or copies of it, to predict with it.

    What it says while a committee is fitted and what it says later on as many threads are the same to the bit: batch
    normalisation, which rounds otherwise once it is folded, is folded for both.

    Raises:
        InputError: The folder, or that of a copy, is unfinished or damaged.
    """
    try:
        content = read_spec_file(folder)
        places = network_folders(folder, content)
        copies = tuple(Member.load(place, device=device) for place in places)
        for copy in copies:
            fold_batch_norm(copy.network)
        if places == [folder]:
            return copies[0]
        return FoldedMember(spec=MemberSpec.model_validate(content["spec"]), copies=copies)
    except InputError:
        raise
    except (KeyError, ValueError, TypeError, AttributeError, RuntimeError, MemoryError, OverflowError) as error:
        raise InputError(
            f"Expected `{folder / SPEC}` to describe a member of this version, but got: {reason_of(error)}. Take the "
            "committee from where it was fitted, or fit it again."
        ) from error
