"""Tags that say where a run comes from: the command, the user, the version and the git revision of the code."""

from __future__ import annotations

import getpass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from pipelines.revision import git_revision

__all__ = ["origin_tags", "user_name"]


def origin_tags(source: str) -> dict[str, str]:
    """MLflow's own tags for source, user and revision, and the product's version.

    The revision is that of the code if it runs from a repository, else that of the working directory, where the
    members.yaml may be kept; there is none outside of both.
    """
    revision = git_revision(Path(__file__).resolve().parent) or git_revision(Path.cwd())
    tags = {"mlflow.source.name": source, "mlflow.source.type": "LOCAL", "ensemble.version": _version()}
    tags |= {"mlflow.source.git.commit": revision} if revision else {}
    user = user_name()
    return tags | ({"mlflow.user": user} if user else {})


def _version() -> str:
    try:
        return version("ensemble")
    except PackageNotFoundError:
        return "unknown"


def user_name() -> str | None:
    """Who runs this; None for a user without a name, as in some containers."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return None
