"""Where members are trained. Loads no torch until it is asked for one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

__all__ = ["Target", "find_target"]


@dataclass(frozen=True, kw_only=True)
class Target:
    """A device and its machine, as plain values.

    Attributes:
        device: Its name to torch.
        kind: Its type: `cpu`, `cuda` …
        description: The device in a few words.
        environment: Versions, processor and threads.
    """

    device: str
    kind: str
    description: str
    environment: dict[str, Any]


def find_target(name: str | None) -> Target:
    """The device of that name; default CUDA where there is one.

    Raises:
        InputError: There is no such device here.
    """
    from pipelines.device import choose_device, describe_device
    from pipelines.machine import machine_facts

    device = choose_device(name)
    return Target(
        device=str(device), kind=device.type, description=describe_device(device), environment=machine_facts()
    )
