"""The specification of a member: everything that determines how it is built and trained.

Specs are what `members.yaml` becomes. They are frozen, refuse unknown fields, and their fingerprint is the resume key.
Which component names exist is the registries' business; files and arrays are the pipelines'.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationInfo, field_validator, model_serializer
from pydantic_core import PydanticCustomError, PydanticKnownError

from ensemble.canonical import digest_of
from ensemble.grow_spec import GrowSpec
from ensemble.judgement import Targets
from ensemble.mix_spec import MixSpec
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


class Spec(BaseModel):
    """Base of all specs: frozen, keyword-only, no unknown fields.

    Attributes:
        _later: Fields that are written only where they are set, so that the fingerprints of specs without them stay
            what they were before there were such fields.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    _later: ClassVar[tuple[str, ...]] = ()

    @model_serializer(mode="wrap")
    def _without_unset_later_fields(self, handler: Callable[[Any], dict[str, Any]]) -> dict[str, Any]:
        return {key: value for key, value in handler(self).items() if key not in self._later or value}


class ComponentSpec(BaseModel):
    """A registered component: its name `kind` and its keyword parameters.

    Example:
        >>> ComponentSpec(kind="dal", hidden=256).parameters
        {'hidden': 256}
    """

    model_config = ConfigDict(frozen=True, extra="allow")

    kind: str

    @property
    def parameters(self) -> dict[str, Any]:
        """The parameters without the name."""
        return dict(self.model_extra or {})


def _named(value: Any) -> Any:
    """A bare name stands for the component without parameters: `normalize: mean_std`."""
    return {"kind": value} if isinstance(value, str) else value


Named = Annotated[ComponentSpec, BeforeValidator(_named)]
MemberName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")]


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


class OptimizerSpec(Spec):
    """The optimiser and its learning rate.

    Attributes:
        kind: Algorithm.
        lr: Peak learning rate of the head (and of the backbone, unless `backbone_lr` is given).
        backbone_lr: Learning rate of the backbone.
        layer_decay: The backbone's last stage learns at this share of its rate, the stage before at this share of
            that, and so on to the first; none leaves all stages at one rate.
        weight_decay: Decoupled for adamw, L2 for the others; not applied to biases and normalisation layers.
        momentum: For sgd and rmsprop.
        nesterov: For sgd.
    """

    _later = ("layer_decay",)

    kind: Literal["sgd", "adam", "adamw", "rmsprop"] = "adamw"
    lr: Annotated[float, Field(gt=0)] = 1e-3
    backbone_lr: Annotated[float, Field(gt=0)] | None = None
    layer_decay: Annotated[float, Field(gt=0, le=1)] | None = None
    weight_decay: Annotated[float, Field(ge=0)] = 0.01
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.9
    nesterov: bool = True


class ScheduleSpec(Spec):
    """Learning rate over the epochs, stepped after every update (timm schedulers).

    Attributes:
        kind: Shape of the decay.
        warmup_epochs: Linear warm-up from `warmup_lr` × the peak rate; fractions are allowed.
        warmup_lr: Start of the warm-up, as a share of the peak rate.
        min_lr: End of the decay, as a share of the peak rate.
        decay_epochs: Epochs between steps (kind `step`).
        decay_rate: Factor at each step (kind `step`).
    """

    kind: Literal["constant", "cosine", "linear", "step"] = "cosine"
    warmup_epochs: Annotated[float, Field(ge=0)] = 0.0
    warmup_lr: Annotated[float, Field(gt=0, le=1)] = 0.05
    min_lr: Annotated[float, Field(ge=0, le=1)] = 0.01
    decay_epochs: Annotated[float, Field(gt=0)] = 10
    decay_rate: Annotated[float, Field(gt=0, le=1)] = 0.1


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

    _later = ("unfreeze", "folds", "mix", "grow")

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

        The member's name, its groups and the path of its weights do not; the content of the weights does.

        Args:
            data_digest: Digest of the faces that it is trained and validated on.
        """
        ignored: dict[str, Any] = {"name": True, "groups": True, "weights": WeightsSpec.besides_content()}
        content = self.model_dump(mode="json", exclude=ignored)
        return digest_of({"version": _FINGERPRINT_VERSION, "data": data_digest, "member": content})
