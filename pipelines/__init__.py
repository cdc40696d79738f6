"""Files in, files out: readers, preprocessing, training, inference, tracking, reports and the command line.

The two calls most programs need are here; importing this package does not import torch.

Example:
    >>> import pipelines
    >>> sorted(pipelines.__all__)
    ['fit', 'load']
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines.environment import prepare_environment

if TYPE_CHECKING:
    from pipelines.predictor import Predictor

__all__ = ["fit", "load"]


def fit(
    members: str | Path, *, data: str | Path | None = None, out: str | Path | None = None, **options: Any
) -> Predictor:
    """Train or resume every member of a `members.yaml`, fit the committee, and return it ready to predict.

    Args:
        members: The YAML file.
        data: Overrides the file's data source: a path, or `synthetic`.
        out: Folder of the committee; default `mlruns/committees/<name>`.
        **options: The other options of `pipelines.fit.fit_committee`.

    Raises:
        InputError: The file, the data or the weights are not right; nothing has been trained.
    """
    prepare_environment()
    from pipelines.fit import fit_committee

    return load(fit_committee(members, data=data, out=out, **options))


def load(committee: str | Path | None = None, *, device: str | None = None) -> Predictor:
    """Load a finished committee.

    Args:
        committee: Its folder or its name; default the newest finished one.
        device: Torch device; default CUDA where there is one.

    Raises:
        InputError: There is no such committee, or it is unfinished or damaged.
    """
    prepare_environment()
    from pipelines.predictor import Predictor

    return Predictor.load(committee, device=device)
