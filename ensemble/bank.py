"""The posterior bank: every member's probabilities per split and per view, saved once.

One `.npz` file per member, without pickle and with the same bytes for the same content. With it any fusion rule is
refitted, and any way of fusing the views is tried, without running a network.
"""

from __future__ import annotations

import io
import os
import zipfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from backbones.errors import InputError
from ensemble.array_archive import read_arrays
from ensemble.perturbation import FusionMode, fuse_views
from ensemble.predictions import Predictions
from ensemble.rules import Labels, Probs, check_labels, check_probs

__all__ = ["Posteriors", "SplitPosteriors", "is_whole", "load_posteriors", "save_posteriors"]

_FORMAT = "ensemble posteriors 1"
_EPOCH = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True, kw_only=True)
class SplitPosteriors:
    """One member's probabilities for the faces of one split.

    Attributes:
        ids: (N,) unique names of the faces.
        probs: (V, N, K) float64 probabilities of V views; view 0 is the face itself.
        labels: (N,) true class indices, if known.

    Raises:
        InputError: Shapes that do not fit each other, probabilities that are none, duplicate ids.
    """

    ids: npt.NDArray[np.str_]
    probs: Probs
    labels: Labels | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "ids", np.asarray(self.ids, dtype=np.str_))
        object.__setattr__(self, "probs", check_probs(self.probs))
        if self.ids.shape != self.probs.shape[1:2]:
            raise InputError(f"Expected {self.probs.shape[1]} ids, one per face, but got {self.ids.size}.")
        if len(set(self.ids.tolist())) < len(self.ids):
            raise InputError(f"Expected unique ids, but got {len(set(self.ids.tolist()))} of {len(self.ids)}.")
        if self.labels is not None:
            object.__setattr__(self, "labels", check_labels(self.labels, self.probs.shape[1:]))

    @property
    def views(self) -> int:
        """Number of views."""
        return len(self.probs)


@dataclass(frozen=True, kw_only=True)
class Posteriors:
    """One member's probabilities.

    Attributes:
        classes: K class names, in column order.
        splits: The probabilities by split name.
        views_seed: Seed of the views after the first; None where that is not known.
    """

    classes: tuple[str, ...]
    splits: Mapping[str, SplitPosteriors]
    views_seed: int | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "classes", tuple(str(name) for name in self.classes))
        for name, split in self.splits.items():
            if split.probs.shape[2] != len(self.classes):
                raise InputError(
                    f"Expected probabilities of {len(self.classes)} classes in the {name} split, "
                    f"but got {split.probs.shape[2]}."
                )

    def predictions(
        self, split: str, *, views: int | None = None, mode: FusionMode = "mean_probability"
    ) -> Predictions:
        """The member's answers for a split, its views fused.

        Args:
            split: Name of the split.
            views: How many of the views to use; all by default.
            mode: How to fuse them.

        Raises:
            InputError: The split, or so many views, are not in the bank.
        """
        if split not in self.splits:
            raise InputError(f"Expected the {split} split in the bank, but it has {', '.join(self.splits) or 'none'}.")
        stored = self.splits[split]
        wanted = stored.views if views is None else views
        if not 1 <= wanted <= stored.views:
            raise InputError(f"Expected 1 to {stored.views} views of the {split} split, but got {wanted}.")
        probs = fuse_views(stored.probs[:wanted], mode)
        return Predictions(ids=stored.ids, probs=probs, classes=self.classes, labels=stored.labels)


def save_posteriors(
    path: str | os.PathLike[str],
    *,
    classes: Sequence[str],
    ids: Mapping[str, npt.ArrayLike],
    probs: Mapping[str, npt.ArrayLike],
    labels: Mapping[str, npt.ArrayLike] | None = None,
    views_seed: int | None = None,
) -> Posteriors:
    """Save one member's probabilities: either the whole file appears, or none.

    Args:
        path: The `.npz` file; its folder exists.
        classes: K class names, in column order.
        ids: (N,) names of the faces by split.
        probs: (V, N, K) probabilities by split.
        labels: (N,) true class indices by split, where known.
        views_seed: Seed of the views after the first, where known.

    Returns:
        What a load will return.

    Raises:
        InputError: The splits of the arguments differ, or a split is not valid.
    """
    known = labels or {}
    if set(ids) != set(probs) or not set(known) <= set(probs):
        raise InputError(f"Expected ids and labels of the splits {sorted(probs)}, but got {sorted({*ids, *known})}.")
    content = _posteriors(classes, ids, probs, known, views_seed)
    _write_atomically(Path(path), _pack(_arrays(content)))
    return content


def load_posteriors(path: str | os.PathLike[str]) -> Posteriors:
    """Load what `save_posteriors` saved; every value is checked.

    Raises:
        InputError: There is no such file, or it is damaged, or not a posterior bank.
    """
    try:
        arrays = read_arrays(Path(path))
        if str(arrays["format"]) != _FORMAT:
            raise InputError(f"its format is {str(arrays['format'])!r} instead of {_FORMAT!r}")
        by_kind: dict[str, dict[str, Any]] = {"ids": {}, "probs": {}, "labels": {}}
        for name, array in arrays.items():
            split, slash, kind = name.rpartition("/")
            if slash:
                by_kind[kind][split] = array
        seed = int(arrays["views_seed"]) if "views_seed" in arrays else None
        return _posteriors(arrays["classes"].tolist(), by_kind["ids"], by_kind["probs"], by_kind["labels"], seed)
    except FileNotFoundError:
        raise InputError(f"Expected a posterior bank at {os.fspath(path)}, but there is no such file.") from None
    except (InputError, OSError, ValueError, KeyError, TypeError) as error:
        reason = f"it lacks {error}" if isinstance(error, KeyError) else str(error)
        raise InputError(f"Expected a posterior bank at {os.fspath(path)}, but cannot read it: {reason}") from error


def is_whole(path: str | os.PathLike[str]) -> bool:
    """Whether a file is, byte for byte, what `save_posteriors` writes for its content."""
    try:
        content = load_posteriors(path)
    except InputError:
        return False
    return _pack(_arrays(content)) == Path(path).read_bytes()


def _posteriors(
    classes: Sequence[str],
    ids: Mapping[str, Any],
    probs: Mapping[str, Any],
    labels: Mapping[str, Any],
    views_seed: int | None,
) -> Posteriors:
    splits = {}
    for name in probs:
        try:
            splits[name] = SplitPosteriors(ids=ids[name], probs=probs[name], labels=labels.get(name))
        except InputError as error:
            raise InputError(f"{name} split: {error}") from None
    return Posteriors(classes=tuple(classes), splits=splits, views_seed=views_seed)


def _arrays(content: Posteriors) -> dict[str, npt.NDArray[Any]]:
    """What a file holds, by name."""
    arrays: dict[str, npt.NDArray[Any]] = {"format": np.array(_FORMAT), "classes": np.array(content.classes)}
    if content.views_seed is not None:
        arrays["views_seed"] = np.array(content.views_seed, dtype=np.int64)
    for name, split in sorted(content.splits.items()):
        arrays |= {f"{name}/ids": split.ids, f"{name}/probs": split.probs}
        if split.labels is not None:
            arrays[f"{name}/labels"] = split.labels
    return arrays


def _pack(arrays: Mapping[str, npt.NDArray[Any]]) -> bytes:
    """A zip of `.npy` files, as `numpy.load` reads it, with nothing in it that depends on the time or the machine."""
    buffer = io.BytesIO()
    # Stored, not deflated: the bytes would depend on the zlib in use, and probabilities hardly shrink.
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, array in arrays.items():
            entry = zipfile.ZipInfo(f"{name}.npy", date_time=_EPOCH)
            entry.create_system = 3
            entry.external_attr = 0o644 << 16
            single = io.BytesIO()
            little = array.astype(array.dtype.newbyteorder("<"), order="C")
            np.lib.format.write_array(single, little, version=(1, 0), allow_pickle=False)
            archive.writestr(entry, single.getvalue())
    return buffer.getvalue()


def _write_atomically(path: Path, data: bytes) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException as error:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.errno is not None:
            error.filename = str(path)  # a failed write does not know where it was to
        raise
    descriptor = os.open(path.parent, os.O_RDONLY)
    try:
        with suppress(OSError):  # some network file systems cannot
            os.fsync(descriptor)
    finally:
        os.close(descriptor)
