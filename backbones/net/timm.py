"""Any timm classifier as a backbone.

Owns how the varied outputs of timm models become one map and one vector, and where their stages begin and end. The
models come from `timm_parts`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from backbones import timm_parts
from backbones.contract import Backbone, InputShape, NativeInput
from backbones.errors import InputError
from backbones.layer.input_channels import adapt_kernel
from backbones.layer.stage import has_parameters, with_parameters
from backbones.parameter import Fraction
from backbones.registry import BACKBONES

__all__ = ["Timm"]


@BACKBONES.register("timm")
class Timm(Backbone):
    """Any timm model by its name, e.g. `resnet18`, `convnext_atto`, `vit_tiny_patch16_224`.

    Wightman, 2019, PyTorch Image Models. The map is what the model's `forward_features` returns; a transformer's tokens
    count as a map of one row. The features are the model's own vector before the classifier.

    Args:
        shape: Input of the network.
        model: timm's name, with or without a pretrained tag.
        pretrained: Load timm's weights from the local cache; nothing is downloaded.
        drop_rate: Dropout of the feature vector; None leaves the model's default.
        drop_path_rate: Stochastic depth: the share of faces that skip the last residual block, less for those before;
            None leaves the model's default.

    Raises:
        InputError: timm has no such model, its weights are not on this disk, or it cannot digest the input.
    """

    native: NativeInput = NativeInput(channels=3, pixels="the model's own mean and deviation")

    def __init__(
        self,
        shape: InputShape,
        *,
        model: str,
        pretrained: bool = False,
        drop_rate: Fraction | None = None,
        drop_path_rate: Fraction | None = None,
    ) -> None:
        super().__init__(shape)
        self.net: Any = timm_parts.create_model(
            model, shape=shape, pretrained=pretrained, drop_rate=drop_rate, drop_path_rate=drop_path_rate
        )
        self.native = dataclasses.replace(self.native, size=timm_parts.default_size(model))
        self.normalization = timm_parts.own_normalization(self.net, shape.channels)
        self.channels_last = getattr(self.net, "output_fmt", "NCHW") == "NHWC"
        self.tokens = False
        self.map_shape, self.num_features = self._probe(model)

    def stages(self) -> Mapping[str, nn.Module]:
        """The model's own parts: `conv1`, `bn1`, `layer1`, …, or `tokens`, `patch_embed`, `blocks.0` and so on.

        A container whose children timm names as feature levels is split into them.
        """
        split = {level["module"].split(".")[0] for level in self.net.feature_info if "." in level["module"]}
        parts: dict[str, nn.Module] = {}
        loose = list(self.net.parameters(recurse=False))  # class tokens, position embeddings
        if loose:
            parts["tokens"] = nn.ParameterList(loose)
        for name, child in self.net.named_children():
            if name in split and not list(child.parameters(recurse=False)):
                parts |= {f"{name}.{inner}": module for inner, module in child.named_children()}
            else:
                parts[name] = child
        return with_parameters(parts)

    def forward_map(self, x: Tensor) -> Tensor:
        """(B, channels, size, size) to (B, *map_shape)."""
        raw: Tensor = self.net.forward_features(x)
        if self.tokens:
            return raw.transpose(1, 2).unsqueeze(2)  # (B, L, C) -> (B, C, 1, L)
        return raw.permute(0, 3, 1, 2) if self.channels_last else raw  # (B, C, H, W)

    def forward_features(self, feature_map: Tensor) -> Tensor:
        """(B, *map_shape) to (B, num_features)."""
        raw = feature_map
        if self.tokens:
            raw = feature_map.squeeze(2).transpose(1, 2)  # (B, L, C)
        elif self.channels_last:
            raw = feature_map.permute(0, 2, 3, 1)  # (B, H, W, C)
        features: Tensor = self.net.forward_head(raw, pre_logits=True)
        return features

    def discard_features(self) -> None:
        """Drop the model's parts that the map does not depend on."""
        used = self._parameters_of_map()
        for name, child in list(self.net.named_children()):
            if has_parameters(child) and not any(id(p) in used for p in child.parameters()):
                setattr(self.net, name, nn.Identity())

    def convert_weights(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """From timm's or the authors' checkpoint to this module's names; the old classifier is dropped."""
        if any(name.startswith("net.") for name in state):
            return dict(state)
        converted = timm_parts.convert_checkpoint(self.net, dict(state))
        own = self.net.state_dict()
        classifiers = self.net.pretrained_cfg.get("classifier") or ()
        dropped = (classifiers,) if isinstance(classifiers, str) else tuple(classifiers)
        kept: dict[str, Tensor] = {}
        for name, tensor in converted.items():
            if name not in own and name.startswith(tuple(f"{c}." for c in dropped)):
                continue
            fits = name not in own or tensor.ndim != 4 or tensor.shape == own[name].shape
            kept[f"net.{name}"] = tensor if fits else adapt_kernel(tensor, own[name].shape[1])
        return kept

    def _zeros(self) -> Tensor:
        device = next(self.net.parameters()).device
        return torch.zeros(1, self.shape.channels, self.shape.size, self.shape.size, device=device)

    @torch.no_grad()
    def _probe(self, model: str) -> tuple[tuple[int, int, int], int]:
        """Shapes of map and features, found by running one black image."""
        was_training = self.net.training
        self.net.eval()
        try:
            raw = self.net.forward_features(self._zeros())
            self.tokens = isinstance(raw, Tensor) and raw.ndim == 3
            feature_map = self.forward_map(self._zeros())
            features = self.forward_features(feature_map)
        except (RuntimeError, AssertionError, ValueError, IndexError, AttributeError, TypeError) as error:
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            raise InputError(
                f"Expected `input.size` to suit timm's `{model}`, but got {self.shape.size}: {reason}. "
                f"Set `input: {{size: {timm_parts.default_size(model)}}}` or choose another model."
            ) from error
        self.net.train(was_training)
        if feature_map.ndim != 4 or features.ndim != 2:
            raise InputError(
                f"Expected timm's `{model}` to give one feature map, but it does not. Choose another model."
            )
        _, channels, height, width = feature_map.shape
        return (channels, height, width), features.shape[1]

    @torch.enable_grad()
    def _parameters_of_map(self) -> set[int]:
        was_training = self.net.training
        self.net.eval()  # so that the probe changes no running statistics
        parameters = [p for p in self.net.parameters() if p.requires_grad]
        gradients = torch.autograd.grad(self.forward_map(self._zeros()).sum(), parameters, allow_unused=True)
        self.net.train(was_training)
        return {id(p) for p, gradient in zip(parameters, gradients, strict=True) if gradient is not None}
