"""Pretrained weights: a file becomes a state dict, a state dict becomes a loaded backbone and a report.

Owns file formats and the accounting of what fitted. Which names a checkpoint uses is the backbone's own knowledge
(`Backbone.convert_weights`). No file can run code: pickles are read with `weights_only`.
"""

from __future__ import annotations

import pickle  # noqa: TID251 - for the name of an error
import warnings
import zipfile
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from backbones.contract import Backbone
from backbones.errors import InputError, MisfitError
from backbones.limits import WEIGHTS_BYTES, check_size, check_zip

__all__ = ["LoadReport", "load_weights", "read_state_dict"]

_WRAPPERS = ("state_dict", "model")
_MODULE = "module."
_BACKBONE = "backbone."


@dataclass(frozen=True, kw_only=True)
class LoadReport:
    """What became of a weights file.

    Attributes:
        loaded: Names of the backbone's tensors taken over as they were.
        adapted: Names taken over after a change of shape or value, e.g. kernels summed for grey input.
        missing: Names the file does not fill, because they are absent or of another shape.
        unexpected: Names in the file that fit nothing, beyond what the backbone drops on purpose.
        dropped: How many tensors of the file were left out on purpose: its old head.
        share: Share of the backbone's parameters, by count of numbers, that were filled.
    """

    loaded: tuple[str, ...]
    adapted: tuple[str, ...]
    missing: tuple[str, ...]
    unexpected: tuple[str, ...]
    dropped: int
    share: float


def read_state_dict(path: Path, suffix: str | None = None) -> dict[str, Tensor]:
    """Read the tensors of a `.safetensors`, `.pt`, `.pth` or `.pth.tar` file onto the CPU.

    A training checkpoint is unwrapped (`state_dict`, `model`), and the prefix that data-parallel training puts before
    each name (`module.`) is removed.

    Args:
        path: The file.
        suffix: Says what the file is, where its own name does not yet.

    Raises:
        InputError: There is no such file, it is damaged, it holds code, or it holds no tensors.
    """
    if not path.is_file():
        raise InputError(f"Expected a weights file at `{path}`, but there is none. Check the path.")
    check_size(path, WEIGHTS_BYTES, "a weights file")
    content = _read_safetensors(path) if (suffix or path.suffix) == ".safetensors" else _read_pickle(path)
    for _ in _WRAPPERS:
        wrapper = next(
            (w for w in _WRAPPERS if isinstance(content, Mapping) and isinstance(content.get(w), Mapping)), ""
        )
        content = content[wrapper] if wrapper else content
    items = content.items() if isinstance(content, Mapping) else ()
    tensors = {str(name): value for name, value in items if isinstance(value, Tensor) and value.layout == torch.strided}
    if not tensors:
        raise InputError(
            f"Expected `{path}` to hold a state dict, but got no named tensors. Save `model.state_dict()`."
        )
    return {name.removeprefix(_MODULE): tensor for name, tensor in tensors.items()}


def load_weights(
    backbone: Backbone,
    path: Path,
    minimum: float = 0.9,
    *,
    used: Collection[str] | None = None,
    suffix: str | None = None,
) -> LoadReport:
    """Fill a backbone from a file, before its head is attached.

    The file holds an original checkpoint of the architecture, or the state of a whole network of this product, whose
    head is then left out.

    Args:
        backbone: Filled in place, but not touched if too little fits.
        path: See `read_state_dict`.
        minimum: Least share of the parameters that must be filled.
        used: Names of the parameters that count; the others are dropped when the head is attached. None for all.
        suffix: See `read_state_dict`.

    Raises:
        InputError: The file cannot be read, is of another architecture, fills less than `minimum`, or has scales of
            batch normalisation without their statistics.
    """
    state = read_state_dict(path, suffix)
    given = len(state)
    if any(name.startswith(_BACKBONE) for name in state):
        state = {name.removeprefix(_BACKBONE): t for name, t in state.items() if name.startswith(_BACKBONE)}
    if next(backbone.parameters(), None) is None:
        raise InputError(
            f"Expected no weights for {type(backbone).__name__}, which has no parameters, but got `{path}`. "
            "Remove `weights`."
        )
    converted = _converted(backbone, state, path)
    own = backbone.state_dict()
    fitting = {name: t for name, t in converted.items() if name in own and t.shape == own[name].shape}
    sizes = {name: p.numel() for name, p in backbone.named_parameters() if used is None or name in used}
    share = sum(size for name, size in sizes.items() if name in fitting) / sum(sizes.values())
    # Checkpoints older than the batch counter of batch normalisation lack it; it matters to nobody.
    missing = tuple(name for name in own if name not in fitting and not name.endswith("num_batches_tracked"))
    if share < minimum:
        raise MisfitError(
            f"Expected `{path}` to fill at least {minimum:.0%} of the parameters of {type(backbone).__name__}, but got "
            f"{share:.0%}: {_explain(missing, own, converted)}. Use a checkpoint of this architecture and input size."
        )
    _require_statistics(path, own, fitting)
    backbone.load_state_dict(fitting, strict=False)
    originals = {id(tensor) for tensor in state.values()}
    return LoadReport(
        loaded=tuple(name for name, t in fitting.items() if id(t) in originals),
        adapted=tuple(name for name, t in fitting.items() if id(t) not in originals),
        missing=missing,
        unexpected=tuple(name for name in converted if name not in own),
        dropped=given - len(converted),
        share=share,
    )


def _converted(backbone: Backbone, state: dict[str, Tensor], path: Path) -> dict[str, Tensor]:
    """The tensors under the backbone's names; whatever a stranger's file makes the conversion raise is told."""
    try:
        return backbone.convert_weights(state)
    except InputError:
        raise
    except Exception as error:
        raise InputError(
            f"Expected `{path}` to be a checkpoint of {type(backbone).__name__}, but its tensors are named or shaped "
            f"like another network's: {error}. Use a checkpoint of this architecture."
        ) from error


def _require_statistics(path: Path, own: Mapping[str, Tensor], fitting: Mapping[str, Tensor]) -> None:
    """Refuse batch normalisation that would be scaled as trained, but centred as at random initialisation."""
    absent = [
        name
        for name in own
        if name.endswith(("running_mean", "running_var"))
        and name not in fitting
        and f"{name.rpartition('.')[0]}.weight" in fitting
    ]
    if absent:
        raise InputError(
            f"Expected `{path}` to hold the statistics of batch normalisation, too, but {len(absent)} of them are "
            f"absent, such as `{absent[0]}`. Save `model.state_dict()`, not the parameters alone."
        )


def _read_safetensors(path: Path) -> Any:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise InputError(f"Expected `{path}` to be a safetensors file, but it is damaged: {error}.") from error


def _read_pickle(path: Path) -> Any:
    try:
        if zipfile.is_zipfile(path):  # torch packs tensors without compression, but unpacks what is compressed
            with zipfile.ZipFile(path) as archive:
                check_zip(path, archive.infolist())
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # torch remarks on other pickle protocols before it refuses
            return torch.load(path, map_location="cpu", weights_only=True)  # noqa: TID251 - the one place
    except InputError:
        raise
    except pickle.UnpicklingError as error:
        raise InputError(
            f"Expected `{path}` to hold nothing but tensors, but it is damaged or holds code, which is not run. "
            "Save `model.state_dict()` of a model you trust."
        ) from error
    except Exception as error:  # a flipped byte makes torch raise about anything
        raise InputError(
            f"Expected `{path}` to be a PyTorch weights file, but it is damaged. Copy it again."
        ) from error


def _explain(missing: tuple[str, ...], own: Mapping[str, Tensor], converted: Mapping[str, Tensor]) -> str:
    """The first tensors that the file does not fill, and why."""

    def reason(name: str) -> str:
        if name not in converted:
            return f"`{name}` is absent"
        return f"`{name}` has shape {tuple(converted[name].shape)} instead of {tuple(own[name].shape)}"

    shown = [reason(name) for name in sorted(missing, key=lambda name: name not in converted)[:3]]
    return "; ".join(shown) + (f"; and {len(missing) - 3} more" if len(missing) > 3 else "")
