"""Everything the product takes from timm: models, their names and habits, schedulers, the weight average.

The one file that imports timm, and only inside functions, because the import takes seconds. Nothing here downloads:
pretrained weights are used where they lie on this disk already, and their absence is told at once.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, Protocol

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from backbones.contract import InputShape, Normalization
from backbones.errors import InputError, nearest
from backbones.layer.input_channels import normalization_for

__all__ = [
    "CATALOGUED",
    "ScheduleKind",
    "Scheduler",
    "cached_weights",
    "convert_checkpoint",
    "create_ema",
    "create_model",
    "create_scheduler",
    "default_size",
    "model_names",
    "own_normalization",
]

ScheduleKind = Literal["cosine", "step", "poly", "constant"]

CATALOGUED = ("vgg16", "vgg16_bn")
"""Models whose weights the product's own catalogue has under the same name."""


class Scheduler(Protocol):
    """Sets the learning rates of an optimizer's parameter groups, times the group's `lr_scale` where it has one."""

    def step_update(self, num_updates: int) -> None:
        """Set the rates for the update after `num_updates` finished ones; depends on nothing else."""


def model_names() -> list[str]:
    """Names of all timm architectures, without pretrained tags, sorted."""
    import timm

    names: list[str] = timm.list_models()
    return names


def create_model(
    name: str,
    *,
    shape: InputShape,
    pretrained: bool = False,
    drop_rate: float | None = None,
    drop_path_rate: float | None = None,
) -> Any:
    """Create a timm model without its classifier.

    Args:
        name: Architecture, or architecture and pretrained tag ("resnet18.a1_in1k").
        shape: Input; models made for one size are built for this one.
        pretrained: Load timm's weights, which must lie in the local cache already.
        drop_rate: Dropout before the classifier; None leaves the model's default.
        drop_path_rate: Stochastic depth; None leaves the model's default.

    Raises:
        InputError: There is no such model or tag, its weights are not on this disk, or it lacks one of the rates.
    """
    import timm

    base, _, tag = name.partition(".")
    if not timm.is_model(base):
        raise InputError(f"Expected `model` to be the name of a timm model, but got {name!r}. {_suggest(base)}")
    known = list(timm.list_pretrained(f"{base}.*"))
    if tag and name not in known:
        raise InputError(f"Expected a pretrained tag of `{base}`, but got {name!r}. {nearest(name, known)}")
    overlay = {"file": str(cached_weights(name))} if pretrained else None
    wanted: dict[str, Any] = {"drop_rate": drop_rate, "drop_path_rate": drop_path_rate}
    wanted = {key: rate for key, rate in wanted.items() if rate is not None}
    if _config(name).fixed_input_size:
        wanted["img_size"] = shape.size
    try:
        return timm.create_model(
            name,
            pretrained=pretrained,
            pretrained_cfg_overlay=overlay,
            num_classes=0,
            in_chans=shape.channels,
            **wanted,
        )
    except (TypeError, ValueError, AssertionError, RuntimeError) as error:
        raise InputError(
            f"Expected timm to build `{name}` for {shape.channels}×{shape.size}×{shape.size} input with {wanted}, but "
            f"it says: {error}. Set `input.size: {default_size(name)}`, or leave out the rates it does not know."
        ) from error


def cached_weights(name: str) -> Path:
    """The file in the local caches of the hub or of torch that holds a model's published weights.

    Raises:
        InputError: Neither cache has it.
    """
    from huggingface_hub import try_to_load_from_cache

    config = _config(name)
    if config.hf_hub_id:
        for file in (config.hf_hub_filename, "model.safetensors", "pytorch_model.bin"):
            found = try_to_load_from_cache(config.hf_hub_id, file) if file else None
            if isinstance(found, str):
                return Path(found)
    if config.url:
        cached = Path(torch.hub.get_dir()) / "checkpoints" / Path(config.url).name
        if cached.is_file():
            return cached
    source = config.hf_hub_id or config.url or "no public source"
    raise InputError(
        f"Expected the pretrained weights of `{name}` on this disk, but they are not in the local cache, and nothing "
        f"is downloaded silently. Fetch them yourself ({source}), then set `pretrained: false` and "
        f"`weights: {{file: PATH}}`.{_alternative(name)}"
    )


def _alternative(name: str) -> str:
    """The catalogue's weights of the same model, for the backbone that takes them."""
    if name not in CATALOGUED:
        return ""
    return f" Or take the backbone `vgg16` and `weights: {name}`, which `ensemble weights fetch {name}` gets."


def default_size(name: str) -> int:
    """Side of the input, in pixels, that the model was made for."""
    return int(_config(name).input_size[-1])


def own_normalization(model: Any, channels: int) -> Normalization | None:
    """Mean and standard deviation the model's weights were trained with, if timm knows them."""
    config = model.pretrained_cfg
    if not config.get("mean") or not config.get("std"):
        return None
    return normalization_for(config["mean"], config["std"], channels)


def convert_checkpoint(model: Any, state: dict[str, Tensor]) -> dict[str, Tensor]:
    """A published checkpoint under the model's own names: renamed, and position embeddings resampled to its size."""
    import sys

    convert = getattr(sys.modules[type(model).__module__], "checkpoint_filter_fn", None)
    return dict(convert(state, model)) if convert else state


def create_scheduler(
    optimizer: Optimizer,
    *,
    kind: ScheduleKind,
    epochs: int,
    steps_per_epoch: int,
    warmup_epochs: float = 0.0,
    warmup_lr: float = 0.0,
    min_lr: float = 0.0,
    decay_epochs: float = 30.0,
    decay_rate: float = 0.1,
    power: float = 1.0,
) -> Scheduler:
    """Create a learning-rate schedule that is set once per update.

    The warm-up is linear and part of `epochs`. The rate holds already after this call, for update 0; call
    `step_update(n)` after the n-th finished update, also once after resuming.

    Args:
        optimizer: Its groups' present rates are the peak rates. Groups with `lr_scale` get their share of it.
        kind: `cosine` and `poly` fall to `min_lr` at the last epoch, `step` falls by `decay_rate` every `decay_epochs`,
            `constant` only warms up.
        epochs: Epochs in the whole run.
        steps_per_epoch: Optimizer updates per epoch.
        warmup_epochs: Epochs of warm-up.
        warmup_lr: Rate of the first update in the warm-up.
        min_lr: Floor of `cosine` and `poly`.
        decay_epochs: For `step`.
        decay_rate: For `step`.
        power: Exponent of `poly`; 1 is a straight line.

    Raises:
        InputError: The warm-up is as long as the run, or the kind is unknown.
    """
    from timm.scheduler.scheduler_factory import create_scheduler_v2

    kinds = ("cosine", "step", "poly", "constant")
    if kind not in kinds:
        raise InputError(f"Expected `schedule.kind` to be a schedule, but got {kind!r}. {nearest(kind, kinds)}")
    if warmup_epochs >= epochs:
        raise InputError(
            f"Expected `warmup_epochs` to be less than `epochs` ({epochs}), but got {warmup_epochs}. "
            "Shorten the warm-up."
        )
    scheduler, _ = create_scheduler_v2(
        optimizer,
        sched=kind,
        num_epochs=epochs,
        decay_epochs=decay_epochs,
        decay_rate=power if kind == "poly" else decay_rate,  # timm overloads the rate as poly's exponent
        min_lr=min_lr,
        warmup_lr=warmup_lr,
        warmup_epochs=warmup_epochs,  # type: ignore[arg-type]  # a fraction of an epoch is fine per update
        step_on_epochs=False,
        updates_per_epoch=steps_per_epoch,
    )
    # Layer-wise rates differ only once a scheduler has stepped: so that update 0 has them too, step now.
    scheduler.step_update(0)
    return scheduler  # type: ignore[no-any-return]


def create_ema(model: nn.Module, decay: float) -> Any:
    """Exponential moving average of a model's parameters and buffers, with a warm-up of the decay.

    Call `.update(model, step=n)` after the n-th update; `.module` is the averaged model, in eval mode.

    Args:
        model: The model to average; copied.
        decay: Share of the old average that stays at each update, reached gradually.
    """
    from timm.utils.model_ema import ModelEmaV3

    return ModelEmaV3(model, decay=decay, use_warmup=True)


def _config(name: str) -> Any:
    """What timm knows of the weights of an architecture or a tag: their source, input size, mean and std."""
    import timm

    return timm.get_pretrained_cfg(name)


def _suggest(base: str) -> str:
    """Nearest name; where none is near, the first few that share its beginning, never the list of a thousand."""
    close = nearest(base, model_names())
    return close if close.startswith("Did") else "`timm.list_models()` lists the valid names, e.g. `resnet18`."
