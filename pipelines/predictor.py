"""A finished committee, ready to predict faces given as arrays, PIL images or paths."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from backbones.errors import InputError
from ensemble.committee import Committee
from ensemble.outside_spec import OUTSIDE
from ensemble.perturbation import FusionMode, PerturbationPlan, check_views, fuse_views
from ensemble.predictions import Predictions, check_min_confidence
from pipelines.bundle import SPEC, check_sealed, read_committee
from pipelines.committee_folder import find_ready
from pipelines.device import choose_device
from pipelines.folded_member import FoldedMember, load_member
from pipelines.image_file import decode_image, to_face
from pipelines.member import Member
from pipelines.outside_answers import OutsideAnswers, outside_answers
from pipelines.spec_file import read_spec_file
from pipelines.views import perturbed

__all__ = ["Predictor", "to_face"]

_BLOCK = 64


@dataclass(frozen=True, kw_only=True)
class Predictor:
    """The members of a committee and the rules that fuse them.

    Attributes:
        folder: The committee's folder.
        committee: The fitted rules.
        members: Networks by name; of a member trained in folds its copies.
        outside: What is known of the members without a network, by name.
        face_size: Side in pixels of the faces that the committee was fitted on.
        face_channels: 1 if they were grey, 3 if RGB.
        device: Where the networks lie.
    """

    folder: Path
    committee: Committee
    members: Mapping[str, Member | FoldedMember]
    outside: Mapping[str, OutsideAnswers]
    face_size: int
    face_channels: int
    device: torch.device

    @classmethod
    def load(
        cls,
        committee: str | Path | None = None,
        *,
        device: str | None = None,
        posteriors: Mapping[str, str | Path] | None = None,
    ) -> Predictor:
        """Load a finished committee: its folder, its name, its MLflow run, or by default the newest.

        Where none has been fitted, the default is the one inside the package.

        Args:
            committee: The committee.
            device: Torch device; default CUDA where there is one.
            posteriors: For members without a network, files of their probabilities of the faces to predict.

        Raises:
            InputError: There is none, it is damaged, or a file is wrong.
        """
        folder = find_ready(committee)
        rules, target = read_committee(folder), choose_device(device)
        check_sealed(folder, [f"members/{name}/{SPEC}" for name in rules.members])
        specs = {name: read_spec_file(folder / "members" / name) for name in rules.members}
        absent = [name for name, spec in specs.items() if spec.get("kind") == OUTSIDE]
        wanted = {name: specs[name]["spec"]["posteriors"].get("classes") or {} for name in absent}
        outside = outside_answers(absent, posteriors or {}, classes=rules.classes, wanted=wanted)
        members = {name: load_member(folder / "members" / name, device=target) for name in specs if name not in outside}
        first = next(iter(specs.values()))  # a borrowed member has a face size of its own
        for name, member in members.items():
            if member.classes != rules.classes:
                raise InputError(
                    f"Expected member `{name}` of `{folder}` to know the classes {list(rules.classes)}, "
                    f"but got {list(member.classes)}. Fit the committee again."
                )
        return cls(
            folder=folder, committee=rules, members=members, outside=outside, device=target,
            face_size=first.get("shown_size", first["face_size"]),
            face_channels=first.get("shown_channels", first["face_channels"]),
        )  # fmt: skip

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names, in column order."""
        return self.committee.classes

    def check_complete(self) -> None:
        """Refuse to predict with members that have neither a network nor answers.

        Raises:
            InputError: There are such members.
        """
        silent = [name for name, answers in self.outside.items() if not answers.given]
        if silent:
            files = " ".join(f"--posteriors {name}=FILE" for name in silent)
            raise InputError(
                f"Expected a network for every member of `{self.folder}`, but the outside "
                f"{'member has' if len(silent) == 1 else 'members have'} none: {', '.join(silent)}. Fit a committee "
                f"without, or give the probabilities of the faces to predict: `ensemble predict {files}`."
            )

    def predict(
        self,
        images: Any,
        *,
        tta: int = 1,
        ids: Sequence[str] | None = None,
        labels: npt.NDArray[np.int64] | None = None,
        vote: FusionMode = "mean_probability",
        seed: int = 0,
        calibrated: bool = False,
        min_confidence: float | None = None,
    ) -> Predictions:
        """Predict ready-cropped faces, aligned if the committee was fitted on aligned ones.

        The answer for a face depends on its pixels, its id, `tta` and `seed` alone.

        Args:
            images: One or several faces: arrays (H, W) grey or (H, W, 3) RGB uint8, PIL images, or paths; or one
                array (N, H, W) or (N, H, W, 3).
            tta: Views that each member votes over; 1 is the face itself.
            ids: Names of the faces; default their paths or positions. They seed the views.
            labels: (N,) true class indices, passed on to the result.
            vote: How the votes of one member over the views are fused.
            seed: Seed of the views.
            calibrated: Give the probabilities at the committee's temperature; no vote changes.
            min_confidence: Label no face whose calibrated confidence is below it; gives calibrated probabilities.

        Returns:
            Probabilities, with the share of members that agree with each label.

        Raises:
            InputError: An image cannot be read, `tta` is below 1 or beyond all memory, `min_confidence` is not above 0
                and at most 1, or an outside member's answers are missing.
        """
        check_min_confidence(min_confidence)
        calibrated = calibrated or min_confidence is not None
        check_views(tta)
        items = _listed(images)
        names = [_name(item, i) for i, item in enumerate(items)] if ids is None else list(map(str, ids))
        if len(names) != len(items):
            raise InputError(f"Expected one id per image, but got {len(names)} ids and {len(items)} images.")
        plan = PerturbationPlan(seed=seed)
        probs, agreement = [np.empty((0, len(self.classes)))], [np.empty(0)]
        for start in range(0, len(items), _BLOCK):
            chunk, own = items[start : start + _BLOCK], names[start : start + _BLOCK]
            faces = np.stack([to_face(_pixels(i), self.face_size, self.face_channels) for i in chunk])
            block = self.block(faces, own, plan=plan, tta=tta, vote=vote, calibrated=calibrated)
            probs.append(block[0])
            agreement.append(block[1])
        return Predictions(
            ids=np.array(names, dtype=np.str_), probs=np.concatenate(probs), classes=self.classes, labels=labels,
            agreement=np.concatenate(agreement), min_confidence=min_confidence,
        )  # fmt: skip

    def block(
        self,
        faces: npt.NDArray[np.uint8],
        ids: Sequence[str],
        *,
        plan: PerturbationPlan,
        tta: int,
        vote: FusionMode,
        calibrated: bool = False,
    ) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Probabilities (N, K) and agreement (N,) of faces of the committee's own size; all in memory at once."""
        self.check_complete()
        views = perturbed(faces, ids, plan=plan, views=tta)  # (N, V, H, W[, 3])
        flat = views.reshape(-1, *views.shape[2:])
        posteriors: dict[str, npt.NDArray[np.float64]] = {}
        for name, member in self.members.items():
            probs = member.probabilities(flat).reshape(len(faces), tta, -1).transpose(1, 0, 2)  # (V, N, K)
            posteriors[name] = fuse_views(probs, vote) if tta > 1 else probs[0]
        posteriors |= {name: answers(ids) for name, answers in self.outside.items()}
        fused = self.committee(posteriors)
        own = np.stack([p.argmax(axis=1) for p in posteriors.values()])  # (M, N)
        agreement = (own == fused.argmax(axis=1)).mean(axis=0)
        return self.committee.calibrated(fused) if calibrated else fused, agreement


def _listed(images: Any) -> list[Any]:
    if isinstance(images, np.ndarray):
        single = images.ndim == 2 or (images.ndim == 3 and images.shape[2] <= 4)  # no face is four pixels wide
        return [images] if single else list(images)
    return list(images) if isinstance(images, Sequence) and not isinstance(images, str) else [images]


def _name(item: Any, position: int) -> str:
    return str(item) if isinstance(item, str | Path) else str(position)


def _pixels(item: Any) -> npt.NDArray[np.uint8]:
    if isinstance(item, str | Path):
        try:
            return decode_image(Path(item).read_bytes(), name=str(item))
        except OSError as error:
            raise InputError(f"Expected `{item}` to be an image file, but got: {error.strerror}.") from None
    if isinstance(item, torch.Tensor):
        item = item.numpy()
    array = np.asarray(item if isinstance(item, np.ndarray) else item.convert("RGB" if item.mode != "L" else "L"))
    if array.dtype != np.uint8 or array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (1, 3)):
        raise InputError(
            f"Expected images as uint8 arrays (H, W) or (H, W, 3), but got {array.dtype} of shape {array.shape}."
        )
    return array[..., 0] if array.ndim == 3 and array.shape[2] == 1 else array
