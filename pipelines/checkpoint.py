"""The state of a training run between two epochs, in one safetensors file.

Tensors lie under `model/`, `average/`, `best/` and `optimizer/`; everything else is JSON in the file's header, a
checksum over all of it among that. No random state needs storing: every epoch seeds itself from (seed, epoch). The
checkpoint before the last one stays beside it; a damaged one is passed over.
"""

from __future__ import annotations

import errno
import json
import os
import re
import zlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from pipelines.atomic import CHECKSUM, replacing
from pipelines.checkpoint_place import previous_place
from pipelines.progress import Progress

__all__ = [
    "Resumed",
    "load_checkpoint",
    "load_tensors",
    "restore_optimizer",
    "save_checkpoint",
    "save_tensors",
]


def save_tensors(path: Path, tensors: dict[str, Tensor], metadata: dict[str, str] | None = None) -> None:
    """Write a safetensors file atomically."""
    _write(path, _plain(tensors), metadata)


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
    plain, text = _plain(tensors), json.dumps(asdict(progress))
    _write(path, plain, {"progress": text, CHECKSUM: _checksum(plain, text)}, previous=previous_place(path))


@dataclass(frozen=True, kw_only=True)
class Resumed:
    """What a run goes on from.

    Attributes:
        progress: Counters and history; None where there is no usable checkpoint.
        states: State dicts by role.
        note: What was damaged and what is done instead, if anything was.
    """

    progress: Progress | None = None
    states: dict[str, dict[str, Tensor]] = field(default_factory=dict)
    note: str | None = None


def load_checkpoint(path: Path, fingerprint: str) -> Resumed:
    """Read the newest whole checkpoint of the member with that fingerprint: the last one, or else the one before it."""
    damaged: list[str] = []
    for place in (path, previous_place(path)):
        try:
            progress, states = _read(place)
        except FileNotFoundError:
            continue
        except (OSError, SafetensorError, KeyError, TypeError, ValueError):
            damaged.append(place.name)
            continue
        if progress.fingerprint == fingerprint:
            return Resumed(progress=progress, states=states, note=_note(damaged, progress.epoch))
    return Resumed(note=_note(damaged, 0))


def _note(damaged: Sequence[str], epoch: int) -> str | None:
    if not damaged:
        return None
    instead = f"goes on from the previous one, after epoch {epoch}" if epoch else "begins anew"
    return f"{' and '.join(damaged)} {'is' if len(damaged) == 1 else 'are'} damaged: {instead}, with the same result"


def _read(path: Path) -> tuple[Progress, dict[str, dict[str, Tensor]]]:
    """A checkpoint; any error means that it is damaged."""
    tensors, metadata = load_tensors(path)
    if metadata[CHECKSUM] != _checksum(tensors, metadata["progress"]):
        raise ValueError("its checksum does not fit its content")
    states: dict[str, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        role, _, rest = name.partition("/")
        states.setdefault(role, {})[rest] = tensor
    return Progress(**json.loads(metadata["progress"])), states


def _plain(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}


def _checksum(tensors: dict[str, Tensor], text: str) -> str:
    """CRC-32 over names, types, shapes and values of the tensors, and over the text: it finds damage, no forgery."""
    value = zlib.crc32(text.encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        value = zlib.crc32(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode(), value)
        value = zlib.crc32(tensor.reshape(-1).view(torch.uint8).numpy().data, value)
    return f"{value:08x}"


def _write(
    path: Path, tensors: dict[str, Tensor], metadata: dict[str, str] | None, *, previous: Path | None = None
) -> None:
    """Write a safetensors file atomically; what was there before becomes `previous`, if one is named.

    Raises:
        OSError: The disk is full, or does not take the file for another reason.
    """
    with replacing(path) as temporary:
        temporary.touch()
        mode = temporary.stat().st_mode
        try:
            save_file(tensors, temporary, metadata=metadata)  # for its owner alone, whatever the user's umask
            temporary.chmod(mode)
        except SafetensorError as error:  # it tells what the system said in words only
            number = re.search(r"os error (\d+)", str(error))
            code = int(number[1]) if number else errno.EIO
            raise OSError(code, os.strerror(code), str(path)) from None
        if previous is not None and path.is_file():
            path.replace(previous)


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
