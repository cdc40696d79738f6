"""Batch normalisation folded into the convolution before it, which makes a network that only predicts faster.

In evaluation mode normalising is an affine map of each channel, and so is part of the convolution: weights and bias
take it over, and a pass over the map is saved. Networks of many 1×1 convolutions gain most.
"""

from __future__ import annotations

from itertools import pairwise

from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_weights

from backbones.layer.depthwise_convolution import DepthwiseConvolution

__all__ = ["fold_batch_norm"]

_CONVOLUTIONS = (nn.Conv2d, DepthwiseConvolution)
"""Those that take their weights and bias as they are."""


def fold_batch_norm(network: nn.Module) -> int:
    """Fold every batch normalisation that follows a convolution in an `nn.Sequential`, in place.

    The network cannot be trained any more. Its results stay the same but for rounding. Layers that do more than torch's
    own, such as timm's normalisation with an activation in it, are left alone.

    Returns:
        How many were folded.
    """
    folded = 0
    for module in network.modules():
        if not isinstance(module, nn.Sequential) or type(module).forward is not nn.Sequential.forward:
            continue
        for index, (first, second) in enumerate(pairwise(list(module)), 1):
            if (
                isinstance(first, nn.Conv2d)
                and type(first) in _CONVOLUTIONS
                and type(second) is nn.BatchNorm2d
                and second.running_mean is not None
            ):
                assert second.running_var is not None
                first.weight, bias = fuse_conv_bn_weights(
                    first.weight, first.bias, second.running_mean, second.running_var, second.eps, second.weight,
                    second.bias,
                )  # fmt: skip
                first.bias = bias
                module[index] = nn.Identity()
                folded += 1
    return folded
