"""The state of a training run between two epochs, in one safetensors file.

Tensors lie under `model/`, `average/`, `best/` and `optimizer/`; everything else is JSON in the file's header. No
random state needs storing: every epoch seeds itself from (seed, epoch).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from pipelines.atomic import replacing

__all__ = [
    "CHECKPOINT",
    "Progress",
    "checkpoint_fingerprint",
    "load_checkpoint",
    "load_tensors",
    "mean_history",
    "restore_optimizer",
    "save_checkpoint",
    "save_tensors",
]


CHECKPOINT = "checkpoint.safetensors"
"""Its name in a member's folder."""


@dataclass
class Progress:
    """How far a training run has come.

    Attributes:
        fingerprint: Of the member; a checkpoint of another one is not used.
        epoch: Epochs done.
        updates: Optimiser updates done.
        best_epoch: The best epoch so far, counted from 1; 0 before the first.
        best_value: Its score; higher is better.
        seconds: Training time so far, over all sessions.
        history: One record per epoch.
    """

    fingerprint: str
    epoch: int = 0
    updates: int = 0
    best_epoch: int = 0
    best_value: float = float("-inf")
    seconds: float = 0.0
    history: list[dict[str, float]] = field(default_factory=list)


def mean_history(histories: Sequence[list[dict[str, float]]]) -> list[dict[str, float]]:
    """The mean of several runs' records, epoch by epoch, as far as all of them went."""
    return [
        {key: float(np.mean([record[key] for record in records])) for key in records[0]}
        for records in zip(*histories, strict=False)
    ]


def save_tensors(path: Path, tensors: dict[str, Tensor], metadata: dict[str, str] | None = None) -> None:
    """Write a safetensors file atomically."""
    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    with replacing(path) as temporary:
        save_file(plain, temporary, metadata=metadata)


def load_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Read a safetensors file: tensors and metadata.

    Raises:
        SafetensorError: The file is damaged.
    """
    with safe_open(path, framework="pt") as file:
        return {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}  # noqa: SIM118


def save_checkpoint(
    path: Path, progress: Progress, states: dict[str, dict[str, Tensor]], optimizer: torch.optim.Optimizer
) -> None:
    """Write the state after an epoch by atomic rename.

    Args:
        path: The checkpoint file.
        progress: Counters and history.
        states: State dicts by role: `model`, and where they apply `average` and `best`.
        optimizer: Its per-parameter state is stored by parameter number.
    """
    tensors = {f"{role}/{name}": tensor for role, state in states.items() for name, tensor in state.items()}
    for index, parameter in enumerate(_parameters(optimizer)):
        for name, value in optimizer.state[parameter].items():
            if isinstance(value, Tensor):
                tensors[f"optimizer/{index}/{name}"] = value
    save_tensors(path, tensors, {"progress": json.dumps(asdict(progress))})


def checkpoint_fingerprint(path: Path) -> str | None:
    """Whose checkpoint it is, from the file's header alone; None where there is no usable one."""
    try:
        with safe_open(path, framework="pt") as file:
            return str(json.loads((file.metadata() or {})["progress"])["fingerprint"])
    except (OSError, SafetensorError, KeyError, TypeError, ValueError):
        return None


def load_checkpoint(path: Path, fingerprint: str) -> tuple[Progress, dict[str, dict[str, Tensor]]] | None:
    """Read a checkpoint of the member with that fingerprint.

    Returns:
        Progress and state dicts by role; None where there is no usable checkpoint.
    """
    try:
        tensors, metadata = load_tensors(path)
        progress = Progress(**json.loads(metadata["progress"]))
    except (OSError, SafetensorError, KeyError, TypeError, ValueError):
        return None
    if progress.fingerprint != fingerprint:
        return None
    states: dict[str, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        role, _, rest = name.partition("/")
        states.setdefault(role, {})[rest] = tensor
    return progress, states


def restore_optimizer(optimizer: torch.optim.Optimizer, state: dict[str, Tensor]) -> None:
    """Put back what `save_checkpoint` stored, in each parameter's own memory layout.

    The layout matters: kernels for other layouts round differently, and a resumed run must not.
    """
    parameters, fused = _parameters(optimizer), bool(optimizer.defaults.get("fused"))
    for key, stored in state.items():
        index, _, name = key.partition("/")
        parameter = parameters[int(index)]
        if stored.shape == parameter.shape:
            value = torch.empty_like(parameter).copy_(stored)
        else:  # a step counter, which lies where the kernels look for it
            value = stored.clone().to(parameter.device if fused else "cpu")
        optimizer.state[parameter][name] = value


def _parameters(optimizer: torch.optim.Optimizer) -> list[Any]:
    return [parameter for group in optimizer.param_groups for parameter in group["params"]]
