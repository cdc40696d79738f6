"""Mixed batches: two faces in one, and their labels in the same shares.

Zhang et al., 2018, mixup: Beyond Empirical Risk Minimization, blends pixels; Yun et al., 2019, CutMix: Regularization
Strategy to Train Strong Classifiers with Localizable Features, pastes a box. Both act on the network's input. What is
drawn follows from (seed, epoch) alone.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from ensemble.mix_spec import MixSpec
from pipelines.seed import derived_seed

__all__ = ["Mixing"]


class Mixing:
    """Mixes the batches of one member.

    Args:
        spec: How.
        seed: The member's seed.
        epochs: Epochs of the whole training.
    """

    def __init__(self, spec: MixSpec, *, seed: int, epochs: int) -> None:
        self.spec, self.seed, self.epochs = spec, seed, epochs
        self.begin(0)

    def begin(self, epoch: int) -> None:
        """Start the draws of an epoch, counted from 0."""
        self._draw = np.random.default_rng(derived_seed(self.seed, "mix", epoch))
        self._on = epoch < self.spec.until * self.epochs - 1e-9  # 0.55 · 20 is a little more than 11

    def __call__(self, x: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Mix a batch.

        Args:
            x: (B, C, H, W) network input.
            targets: (B, K) label distributions.

        Returns:
            Input and label distributions of the same shapes.
        """
        spec, draw = self.spec, self._draw
        mixed, pasted = draw.random() < spec.share, draw.random() < 0.5
        other = torch.from_numpy(draw.permutation(len(x))).to(x.device)
        if not (self._on and mixed):
            return x, targets
        if spec.cutmix and (pasted or not spec.mixup):
            x, share = self._paste(x, x[other], float(draw.beta(spec.cutmix, spec.cutmix)))
        else:
            share = float(draw.beta(spec.mixup, spec.mixup))
            x = torch.lerp(x[other], x, share)
        return x, torch.lerp(targets[other.to(targets.device)], targets, share)

    def _paste(self, x: Tensor, source: Tensor, share: float) -> tuple[Tensor, float]:
        """Paste a box of 1 - share of the area; also the share of `x` that is left, to the pixel."""
        height, width = x.shape[2:]
        side = np.sqrt(1.0 - share)
        rows, columns = round(side * height), round(side * width)
        # The box's middle lies anywhere, so that edges are pasted over as often as they are in the paper.
        top, left = (int(self._draw.integers(size)) - box // 2 for size, box in ((height, rows), (width, columns)))
        vertical, horizontal = slice(max(top, 0), max(top + rows, 0)), slice(max(left, 0), max(left + columns, 0))
        x = x.clone()
        x[..., vertical, horizontal] = source[..., vertical, horizontal]
        area = len(range(*vertical.indices(height))) * len(range(*horizontal.indices(width)))
        return x, 1.0 - area / (height * width)
