"""Checks by reading it that a file holds the weights that it should: tensors and no code, and enough of the right ones.

The one part of the `ensemble weights` commands that loads torch.
"""

from __future__ import annotations

from pathlib import Path

import torch

from backbones.contract import InputShape
from backbones.registry import BACKBONES
from backbones.weights import LoadReport, load_weights
from ensemble.weights_catalogue import PretrainedWeights

__all__ = ["check_content"]


def check_content(entry: PretrainedWeights, path: Path) -> LoadReport:
    """Fill the backbone that the weights are for from a file. Nothing in the file is run.

    Args:
        entry: What the file should be.
        path: The file; its own name does not matter.

    Raises:
        InputError: It is damaged, holds code, or fills less than nine tenths of the backbone.
    """
    channels, size = entry.shape
    shape = InputShape(channels=channels, size=size)
    with torch.random.fork_rng(devices=[]):
        backbone = BACKBONES.build(entry.backbone, shape, **entry.parameters)
    return load_weights(backbone, path, suffix=Path(entry.file).suffix)
