"""A committee as a model in MLflow: stored once, registered, and named champion if it beats the current one.

The model's artifacts hold the one copy of the committee's folder that is in MLflow; a run leads to it by its model.
"""

from __future__ import annotations

import re
import tempfile
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from backbones.errors import InputError, reason_of
from pipelines.model_folder import BUNDLE, save_committee
from pipelines.tracking_store import open_client, store_uri
from pipelines.workspace import MANIFEST, Workspace

__all__ = ["CHALLENGER", "CHAMPION", "Standing", "bundle_of_run", "log_model", "model_name", "register", "run_of"]

CHAMPION, CHALLENGER = "champion", "challenger"
_ACCURACY, _DATA = "nested_accuracy", "data_digest"
_PLACED = "placed_champion"
"""Of the registered model: the version that was made champion here; another one is a person's choice."""


@dataclass(frozen=True, kw_only=True)
class Standing:
    """How a committee is compared with others of its name.

    Attributes:
        accuracy: Its nested accuracy.
        data: Digest of the faces; accuracies on other faces say nothing about it.
    """

    accuracy: float
    data: str


def model_name(committee: str) -> str:
    """The registered model of all committees of a name."""
    return "ensemble-" + re.sub(r"[/:.%\"'\s]+", "-", committee)


def log_model(client: Any, run: str, name: str, files: Sequence[tuple[Path, str]], classes: Sequence[str]) -> str:
    """Store a committee as the model of its run, unless it is there already.

    Args:
        client: Of the store.
        run: The committee's run.
        name: The model's.
        files: The committee's files, with the folder of each within the bundle.
        classes: Class names.

    Returns:
        The model's id.
    """
    from mlflow.entities import LoggedModelOutput

    experiment = client.get_run(run).info.experiment_id
    found = client.search_logged_models([experiment], f"source_run_id = '{run}'")
    model = found[0] if found else client.create_logged_model(experiment, name=name, source_run_id=run)
    if str(model.status) != "READY":
        with tempfile.TemporaryDirectory(prefix="ensemble-model-") as scratch, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # MLflow's, of its own type hints and of what it does with pandas
            from mlflow.models import Model

            entry = Model(artifact_path=model.artifact_location, run_id=run, model_id=model.model_id)
            save_committee(Path(scratch) / "model", files, classes, entry=entry)
            client.log_model_artifacts(model.model_id, str(Path(scratch) / "model"))
        client.finalize_logged_model(model.model_id, "READY")
    outputs = client.get_run(run).outputs
    if model.model_id not in {one.model_id for one in (outputs.model_outputs if outputs else [])}:
        client.log_outputs(run, [LoggedModelOutput(model.model_id, step=0)])
    return str(model.model_id)


def register(
    client: Any, run: str, model: str, name: str, standing: Standing, tags: Mapping[str, str]
) -> tuple[str, str | None]:
    """Register a model, unless it is, and give it the alias that it deserves.

    `champion` moves to a committee that is more accurate than the current champion, by the nested estimate, on the same
    faces. Any other, a tie or one on other faces among them, becomes the `challenger`; a person may move the alias.

    Returns:
        The version, and its alias.
    """
    from mlflow.exceptions import MlflowException

    try:
        client.create_registered_model(name, description=f"Committees of the name {name.removeprefix('ensemble-')}.")
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    known = [one for one in client.search_model_versions(f"name = '{name}'") if one.run_id == run]
    own = {_ACCURACY: repr(standing.accuracy), _DATA: standing.data, **tags}
    created = known[0] if known else client.create_model_version(
        name, source=client.get_logged_model(model).artifact_location, run_id=run, model_id=model, tags=own
    )  # fmt: skip
    return str(created.version), _place(client, name, str(created.version), standing)


def _place(client: Any, name: str, number: str, standing: Standing) -> str | None:
    """Compare a version with the champion, and move the aliases."""
    model = client.get_registered_model(name)
    aliases = {alias: str(held) for alias, held in model.aliases.items()}
    champion = aliases.get(CHAMPION)
    if champion == number:
        return CHAMPION
    by_person = champion != model.tags.get(_PLACED, champion)
    if champion and (by_person or not _beats(standing, client.get_model_version(name, champion).tags)):
        client.set_registered_model_alias(name, CHALLENGER, number)
        return CHALLENGER
    client.set_registered_model_alias(name, CHAMPION, number)
    client.set_registered_model_tag(name, _PLACED, number)
    if aliases.get(CHALLENGER) == number:
        client.delete_registered_model_alias(name, CHALLENGER)
    return CHAMPION


def _beats(standing: Standing, champion: Mapping[str, str]) -> bool:
    """Whether a committee is better than the champion with these tags; one without them came from elsewhere."""
    try:
        return champion[_DATA] == standing.data and standing.accuracy > float(champion[_ACCURACY])
    except (KeyError, ValueError):
        return False


def bundle_of_run(workspace: Workspace, committee: str) -> Path:
    """The committee of a parent run or of a registered model, as a local folder.

    Args:
        workspace: Where the default store lies.
        committee: The run's id, `runs:/ID`, `models:/NAME/VERSION` or `models:/NAME@ALIAS`.

    Raises:
        InputError: The store has no such run or model, or it holds no committee.
    """
    uri = store_uri(workspace)
    client = open_client(uri)
    from mlflow.artifacts import download_artifacts
    from mlflow.exceptions import MlflowException

    try:
        place = (
            _place_of_model(client, committee) if committee.startswith("models:") else _place_of_run(client, committee)
        )
        folder = Path(download_artifacts(artifact_uri=place, tracking_uri=uri))
    except (MlflowException, OSError) as error:
        raise InputError(
            f"Expected `--committee` to be a run or a model of {uri}, but got {committee!r}: {reason_of(error)}"
        ) from None
    if not (folder / MANIFEST).is_file():
        raise InputError(f"Expected {committee!r} to be a finished committee's, but it holds none.")
    return folder


def run_of(client: Any, committee: str | Path | None) -> str | None:
    """The run of a committee that is named by its run or a model; None for one that is named otherwise."""
    named = str(committee)
    if not named.startswith("models:"):
        found = re.fullmatch(r"(?:runs:/)?([0-9a-f]{32})(?:/.*)?", named)
        return found[1] if found else None
    model = _model(client, named)
    return str(getattr(model, "run_id", None) or getattr(model, "source_run_id", None) or "") or None


def _place_of_run(client: Any, committee: str) -> str:
    run = client.get_run(committee.removeprefix("runs:/").split("/")[0])
    if run.data.tags.get("mlflow.parentRunId"):
        raise InputError(f"Expected {committee!r} to be a committee's run, but it is a member's. Name its parent run.")
    models = run.outputs.model_outputs if run.outputs else []
    if models:
        return _place_of_logged(client, models[-1].model_id)
    return f"{run.info.artifact_uri}/bundle"  # of a fit by an earlier version


def _place_of_model(client: Any, uri: str) -> str:
    model = _model(client, uri)
    if not hasattr(model, "source"):
        return _place_of_logged(client, model.model_id)
    if model.source.startswith("models:/"):
        return _place_of_logged(client, model.source.removeprefix("models:/"))
    return f"{model.source}/artifacts/{BUNDLE}"


def _model(client: Any, uri: str) -> Any:
    """The version of a registered model, or the logged model, that a URI names."""
    name = re.sub(r"^models:/+", "", uri).rstrip("/")
    if "@" in name:
        return client.get_model_version_by_alias(*name.split("@", 1))
    return client.get_model_version(*name.split("/", 1)) if "/" in name else client.get_logged_model(name)


def _place_of_logged(client: Any, model: str | None) -> str:
    return f"{client.get_logged_model(model).artifact_location}/artifacts/{BUNDLE}"
