"""The specification of a member: everything that determines how it is built and trained.

Specs are what `members.yaml` becomes. They are frozen, refuse unknown fields, and their fingerprint is the resume key.
Which component names exist is the registries' business; files and arrays are the pipelines'.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError, PydanticKnownError

from ensemble.canonical import digest_of
from ensemble.grow_spec import GrowSpec
from ensemble.judgement import Targets
from ensemble.mix_spec import MixSpec
from ensemble.optimizer_spec import OptimizerSpec, ScheduleSpec
from ensemble.spec_base import ComponentSpec, MemberName, Named, Spec
from ensemble.teacher_spec import OptionalTeacher
from ensemble.unfreeze_spec import UnfreezeSpec
from ensemble.weights_spec import OptionalWeights, WeightsSpec

__all__ = [
    "ComponentSpec",
    "FreezeSpec",
    "InputSpec",
    "MemberName",
    "MemberSpec",
    "OptimizerSpec",
    "ScheduleSpec",
    "WeightsSpec",
]

_FINGERPRINT_VERSION = 3
"""Raised whenever the same spec would train to another result."""


class InputSpec(Spec):
    """What a network sees of a face.

    Attributes:
        size: Side of the square input in pixels; None keeps the faces' own.
        channels: 1 grey, 3 RGB; grey faces are repeated, colour faces are reduced to luma.
        normalize: A registered normaliser.
        interpolation: How faces of another size are resampled.
        crop: Resample faces to this side, of which training sees random windows of `size`, all else the central one.
    """

    _later = ("crop",)

    size: Annotated[int, Field(ge=8, le=1024)] | None = None
    channels: Literal[1, 3] = 1
    normalize: Named = ComponentSpec(kind="mean_std")
    interpolation: Literal["nearest", "bilinear", "bicubic"] = "bilinear"
    crop: Annotated[int, Field(ge=8, le=1024)] | None = None

    @field_validator("crop")
    @classmethod
    def _holds_the_window(cls, crop: int | None, info: ValidationInfo) -> int | None:
        size = info.data.get("size", 0)  # a wrong size is absent, and a mistake of its own
        if crop is not None and size is None:
            raise PydanticCustomError("window", "beside `size`, the side of the window that is cut from it")
        if crop is not None and crop < size:
            raise PydanticKnownError("greater_than_equal", {"ge": size})
        return crop


class FreezeSpec(Spec):
    """Which part of the backbone keeps its weights, or its batch statistics.

    Attributes:
        until: Name of the last frozen stage (that stage and all before it), or `backbone` for all of it: then features
            are computed once and cached, and only the head is trained.
        batch_norm: Batch normalisation in the stages that learn keeps its running mean and variance, too; its scale and
            shift learn.
    """

    _later = ("batch_norm",)

    until: str | None = None
    batch_norm: Annotated[bool, Field(validate_default=True)] = False

    @field_validator("batch_norm")
    @classmethod
    def _freezes_something(cls, batch_norm: bool, info: ValidationInfo) -> bool:
        if not batch_norm and info.data.get("until", "") is None:  # a wrong `until` is absent
            raise PydanticCustomError("freeze", "true, where no stage is named by `until`")
        return batch_norm


class MemberSpec(Spec):
    """One member of the committee.

    Attributes:
        name: Unique name, also its folder's.
        groups: Groups that the committee tree may name.
        backbone: Registered backbone.
        head: Registered head.
        loss: Registered loss.
        input: What the network sees.
        weights: Pretrained weights; None trains from random initialisation.
        freeze: Frozen part of the backbone; None trains all of it.
        unfreeze: When the stages that are not frozen begin to learn; None trains them from the first epoch.
        augment: Name of a preset, or a list of albumentations transforms.
        mix: Blends and collages of two faces; None trains on single ones.
        grow: Smaller faces in the first epochs, which train faster; None trains on whole ones throughout.
        targets: Train on the labels, on the judges' votes, or on `both`: half the label, half what such votes
            let expect of it.
        teacher: A finished committee whose answers it learns from as well; None learns from `targets` alone.
        optimizer: Optimiser.
        schedule: Learning-rate schedule.
        epochs: Passes over the training faces.
        batch_size: Faces per update.
        seed: Seed of initialisation, order, augmentation and dropout.
        clip: Largest norm of the gradient; None leaves it alone.
        ema: Decay of an exponential moving average of the weights; the average is what is evaluated and kept.
        select: Which epoch is kept: the best validation NLL or accuracy, or the last one.
        patience: Stop after so many epochs without a better one.
        precision: Arithmetic of training; `auto` takes bfloat16 where the processor multiplies it in hardware.
            Validation and prediction are always float32.
        folds: Train so many copies, each without its own fold of the training faces. Their mean is the member; together
            they judge every training face unseen, and the committee is fitted on that.
    """

    _later = ("unfreeze", "folds", "mix", "grow", "teacher")

    name: MemberName
    groups: tuple[str, ...] = ()
    backbone: ComponentSpec
    head: Named = ComponentSpec(kind="linear")
    loss: Named = ComponentSpec(kind="cross_entropy")
    input: InputSpec = InputSpec()
    weights: OptionalWeights = None
    freeze: FreezeSpec | None = None
    unfreeze: UnfreezeSpec | None = None
    augment: str | tuple[ComponentSpec, ...] = "none"
    mix: MixSpec | None = None
    grow: GrowSpec | None = None
    targets: Targets = "labels"
    teacher: OptionalTeacher = None
    optimizer: OptimizerSpec = OptimizerSpec()
    schedule: ScheduleSpec = ScheduleSpec()
    epochs: Annotated[int, Field(ge=1)] = 10
    batch_size: Annotated[int, Field(ge=2)] = 64
    seed: Annotated[int, Field(ge=0)] = 0
    clip: Annotated[float, Field(gt=0)] | None = None
    ema: Annotated[float, Field(gt=0, lt=1)] | None = None
    select: Literal["nll", "accuracy", "last"] = "nll"
    patience: Annotated[int, Field(ge=1)] | None = None
    precision: Literal["auto", "float32", "bfloat16"] = "float32"
    folds: Annotated[int, Field(ge=2, le=20)] | None = None

    @property
    def frozen_backbone(self) -> bool:
        """Whether the whole backbone is frozen, so that its features are computed once."""
        return self.freeze is not None and self.freeze.until == "backbone"

    def fingerprint(self, data_digest: str) -> str:
        """The resume key: sha256 over all that changes the trained member.

        The member's name, its groups and where its weights and its teacher lie do not; the content of these does.

        Args:
            data_digest: Digest of the faces that it is trained and validated on.
        """
        ignored: dict[str, Any] = {
            "name": True, "groups": True, "weights": WeightsSpec.besides_content(), "teacher": {"committee"},
        }  # fmt: skip
        content = self.model_dump(mode="json", exclude=ignored)
        return digest_of({"version": _FINGERPRINT_VERSION, "data": data_digest, "member": content})
