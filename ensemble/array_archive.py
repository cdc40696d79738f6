"""Reads `.npz` files that may come from anywhere: no pickle, and no array larger than the file's own directory says."""

from __future__ import annotations

import io
import math
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from backbones.errors import InputError, reason_of
from backbones.limits import ARRAYS_BYTES, check_unpacked

__all__ = ["read_arrays"]

_DAMAGED = (
    OSError,
    ValueError,
    KeyError,
    EOFError,
    TypeError,
    RuntimeError,
    MemoryError,
    zlib.error,
    zipfile.BadZipFile,
)


def read_arrays(path: Path) -> dict[str, npt.NDArray[Any]]:
    """All arrays of an `.npz` file by name.

    Raises:
        InputError: The file is damaged or too large, or an array holds objects.
        FileNotFoundError: There is no such file.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            infos = archive.infolist()
            unpacked = sum(info.file_size for info in infos)
            check_unpacked(path, unpacked)
            if unpacked > ARRAYS_BYTES:
                raise InputError(f"Expected at most {ARRAYS_BYTES:,} bytes of arrays in {path}, but got {unpacked:,}.")
            return {info.filename.removesuffix(".npy"): _array(archive.read(info)) for info in infos}
    except (InputError, FileNotFoundError):
        raise
    except _DAMAGED as error:
        raise InputError(f"Expected {path} to hold arrays, but cannot read it: {reason_of(error)}") from None


def _array(data: bytes) -> npt.NDArray[Any]:
    """One `.npy` file; its header must not claim more numbers than follow it."""
    file = io.BytesIO(data)
    version = np.lib.format.read_magic(file)
    read_header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = read_header(file)
    if dtype.hasobject:
        raise ValueError("an array holds Python objects, which are not read")
    if math.prod(shape) * dtype.itemsize != len(data) - file.tell():
        raise ValueError(f"an array claims the shape {shape}, but has {len(data) - file.tell():,} bytes")
    file.seek(0)
    array: npt.NDArray[Any] = np.lib.format.read_array(file, allow_pickle=False)
    return array
