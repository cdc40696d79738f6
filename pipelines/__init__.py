"""Files in, files out: readers, preprocessing, training, inference, tracking, reports and the command line.

The two calls most programs need are here; importing this package does not import torch.

Example:
    >>> import pipelines
    >>> sorted(pipelines.__all__)
    ['fit', 'load']
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pipelines.environment import prepare_environment

if TYPE_CHECKING:
    from pipelines.predictor import Predictor

__all__ = ["fit", "load"]


def fit(
    members: str | Path,
    *,
    data: str | Path | None = None,
    out: str | Path | None = None,
    weights: Sequence[str | Path] = (),
    device: str | None = None,
    jobs: int | None = None,
    track: bool = True,
    quiet: bool = False,
) -> Predictor:
    """Train or resume every member of a `members.yaml`, fit the committee, and return it ready to predict.

    A script that calls this with several `jobs` needs the usual `if __name__ == "__main__":`, since each member is
    trained in a process of its own.

    Args:
        members: The YAML file.
        data: Overrides the file's data source: a path, or `synthetic`.
        out: Folder of the committee; default `mlruns/committees/<name>`.
        weights: Folders searched first for weights files.
        device: Torch device; default CUDA where there is one.
        jobs: Members trained at the same time; default one per core up to four on a CPU.
        track: Whether to log to MLflow.
        quiet: Print only the table.

    Raises:
        InputError: The file, the data or the weights are not right.
    """
    prepare_environment()
    from pipelines.plan import make_plan

    plan = make_plan(
        Path(members), data=None if data is None else str(data), weights_folders=[Path(folder) for folder in weights]
    )
    from pipelines.committee_fit import fit_committee

    return load(fit_committee(plan, out=out, device=device, jobs=jobs, track=track, quiet=quiet), device=device)


def load(
    committee: str | Path | None = None,
    *,
    device: str | None = None,
    posteriors: Mapping[str, str | Path] | None = None,
) -> Predictor:
    """Load a finished committee.

    Args:
        committee: Its folder or its name; default the newest finished one.
        device: Torch device; default CUDA where there is one.
        posteriors: For members without a network, files of their probabilities of the faces to predict.

    Raises:
        InputError: There is no such committee, or it is unfinished or damaged.
    """
    prepare_environment()
    from pipelines.predictor import Predictor

    return Predictor.load(committee, device=device, posteriors=posteriors)
