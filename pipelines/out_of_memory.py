"""Tells in one message that there is not enough memory, and what to do. Loads no torch."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from backbones.errors import InputError, reason_of
from ensemble.spec import MemberSpec

__all__ = ["MemoryShortError", "is_out_of_memory", "telling_memory"]

_ON_CPU = re.compile(
    r"can't allocate memory|cannot allocate memory|not enough memory|DefaultCPUAllocator", re.IGNORECASE
)


class MemoryShortError(InputError):
    """A member needs more memory than there is."""


@contextmanager
def telling_memory(spec: MemberSpec) -> Iterator[None]:
    """Turn what is raised for lack of memory into one message.

    Args:
        spec: The member at work.

    Raises:
        MemoryShortError: There was not enough memory.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        raise MemoryShortError(
            f"Expected member `{spec.name}` to fit into memory, but got: {reason_of(error, length=160)}. "
            f"Lower its `batch_size` (now {spec.batch_size}) or its `input: {{size: …}}`, or train fewer members side "
            f"by side with `--jobs 1`; what was finished before is kept."
        ) from None


def is_out_of_memory(error: BaseException) -> bool:
    """Whether Python, NumPy or torch, on whatever device, says so that there is not enough memory."""
    named = isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError"
    return named or _ON_CPU.search(str(error)) is not None
