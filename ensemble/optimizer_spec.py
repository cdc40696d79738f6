"""The specification of the optimiser and of its learning rate over the epochs."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from ensemble.spec_base import Spec

__all__ = ["OptimizerSpec", "ScheduleSpec"]


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
