"""The store that MLflow keeps runs and models in: where it is, how it is opened, and what its failures mean."""

from __future__ import annotations

import logging
import os
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from backbones.errors import InputError
from pipelines.environment import prepare_environment
from pipelines.workspace import Workspace

__all__ = ["EXPERIMENT", "check_database", "experiment_id", "is_refusal", "make_place", "open_client", "store_uri"]

EXPERIMENT = "ensemble"
_KIND = "mlflow.experimentKind"
_TABLE = "experiments"
_PATIENCE = 30.0  # seconds that another process may hold the database
_REFUSALS = (
    "BAD_REQUEST", "INVALID_PARAMETER_VALUE", "INVALID_STATE", "PERMISSION_DENIED", "RESOURCE_ALREADY_EXISTS",
    "RESOURCE_DOES_NOT_EXIST", "UNAUTHENTICATED", "FEATURE_DISABLED", "NOT_IMPLEMENTED",
)  # fmt: skip


def store_uri(workspace: Workspace) -> str:
    """The tracking store: `$MLFLOW_TRACKING_URI`, else a sqlite file under the workspace.

    Raises:
        InputError: The workspace holds a store of the old file format.
    """
    if os.environ.get("MLFLOW_TRACKING_URI"):
        return os.environ["MLFLOW_TRACKING_URI"]
    old = next(workspace.root.glob("*/meta.yaml"), None)
    if old is not None:
        raise InputError(
            f"Expected `{workspace.root}` to be free of MLflow's old file store, but got `{old}`. "
            f"Convert it with `mlflow migrate-filestore`, or move it away."
        )
    return f"sqlite:///{workspace.root.resolve() / 'mlflow.db'}"


def open_client(uri: str) -> Any:
    """A client of the store, and of the model registry in it.

    Raises:
        InputError: The store is a file that is no database of MLflow's.
    """
    prepare_environment()
    logging.getLogger("alembic").setLevel(logging.WARNING)
    logging.getLogger("mlflow.utils.environment").setLevel(logging.ERROR)  # warns of environments without pip
    if uri.startswith("sqlite:///"):
        path = Path(uri.removeprefix("sqlite:///"))
        make_place(path)
        check_database(path)
    from mlflow import MlflowClient

    return MlflowClient(tracking_uri=uri, registry_uri=uri)


def make_place(path: Path) -> None:
    """Make the folder of a store's file, which MLflow does not."""
    path.parent.mkdir(parents=True, exist_ok=True)


def check_database(path: Path) -> None:
    """Refuse a file that MLflow would try to open for minutes, or fail on in words of its own.

    Raises:
        InputError: It is a folder, no database, a damaged one, or one of another program.
    """
    if not path.exists() or (path.is_file() and path.stat().st_size == 0):
        return
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=_PATIENCE)) as database:
            found = database.execute("PRAGMA quick_check(1)").fetchone()[0]
            tables = {name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    except sqlite3.Error as error:
        if "locked" in str(error):
            return  # by one that is at work on it
        found, tables = str(error), {_TABLE}
    if found != "ok" or (tables and _TABLE not in tables):
        reason = found if found != "ok" else "its tables are those of another program"
        raise InputError(
            f"Expected `{path}` to be MLflow's database, but got: {reason}. Restore it from a copy, or move it away: "
            f"a new one is made, and committees stay as they are."
        )


def experiment_id(client: Any, workspace: Workspace) -> str:
    """The experiment of all committees; made if there is none."""
    found = client.get_experiment_by_name(EXPERIMENT)
    if found is not None:
        return str(found.experiment_id)
    # Beside the workspace's own store the artifacts lie in a folder with a name; a server has a place of its own.
    location = None if os.environ.get("MLFLOW_TRACKING_URI") else (workspace.root / "artifacts").resolve().as_uri()
    try:
        # Otherwise MLflow's page guesses whether models are trained here, or language models are asked.
        return str(client.create_experiment(EXPERIMENT, location, tags={_KIND: "custom_model_development"}))
    except Exception:
        found = client.get_experiment_by_name(EXPERIMENT)  # another process may have been faster
        if found is None:
            raise
        return str(found.experiment_id)


def is_refusal(error: Exception) -> bool:
    """Whether the store will never take the call, however often it is made; otherwise it may only be out of reach."""
    if isinstance(error, OSError):
        return False
    from mlflow.exceptions import MlflowException

    if isinstance(error, MlflowException):
        return error.error_code in _REFUSALS
    return isinstance(error, (TypeError, ValueError, LookupError, AttributeError, AssertionError))
