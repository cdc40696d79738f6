from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pipelines.tracked_model import CHALLENGER, CHAMPION, Standing, log_model, model_name, register
from pipelines.tracking_store import open_client

NAME = "ensemble-ours"


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("registry")
    client = open_client(f"sqlite:///{folder}/mlflow.db")
    client.create_experiment("models", (folder / "artifacts").as_uri())
    return client


class Registry:
    """Registers committees of known accuracy, without the committees."""

    def __init__(self, client: Any, name: str) -> None:
        self.client, self.name = client, name
        self.experiment = client.get_experiment_by_name("models").experiment_id

    def fit(self, accuracy: float, data: str = "faces") -> tuple[str, str | None]:
        run = self.client.create_run(self.experiment).info.run_id
        return self.again(run, accuracy, data)

    def again(self, run: str, accuracy: float, data: str = "faces") -> tuple[str, str | None]:
        found = self.client.search_logged_models([self.experiment], f"source_run_id = '{run}'")
        model = found[0] if found else self.client.create_logged_model(self.experiment, source_run_id=run)
        standing = Standing(accuracy=accuracy, data=data)
        return register(self.client, run, model.model_id, self.name, standing, {})

    @property
    def aliases(self) -> dict[str, str]:
        return {k: str(v) for k, v in self.client.get_registered_model(self.name).aliases.items()}


@pytest.fixture
def registry(client: Any, request: pytest.FixtureRequest) -> Registry:
    return Registry(client, f"{NAME}-{request.node.originalname}")


def test_the_first_one_is_the_champion(registry: Registry) -> None:
    assert registry.fit(0.6) == ("1", CHAMPION)
    assert registry.aliases == {CHAMPION: "1"}


def test_a_better_one_takes_the_place(registry: Registry) -> None:
    registry.fit(0.6)
    assert registry.fit(0.61) == ("2", CHAMPION)
    assert registry.aliases == {CHAMPION: "2"}


def test_a_worse_one_and_a_tie_are_challengers(registry: Registry) -> None:
    registry.fit(0.6)
    assert registry.fit(0.59) == ("2", CHALLENGER)
    assert registry.fit(0.6) == ("3", CHALLENGER)
    assert registry.aliases == {CHAMPION: "1", CHALLENGER: "3"}


def test_other_faces_say_nothing_about_the_champion(registry: Registry) -> None:
    registry.fit(0.6)
    assert registry.fit(0.99, data="easier faces") == ("2", CHALLENGER)
    assert registry.aliases == {CHAMPION: "1", CHALLENGER: "2"}


def test_a_fit_told_again_makes_no_second_version(registry: Registry) -> None:
    run = registry.client.create_run(registry.experiment).info.run_id
    assert registry.again(run, 0.6) == registry.again(run, 0.6) == ("1", CHAMPION)
    assert registry.fit(0.5) == ("2", CHALLENGER)
    assert registry.again(run, 0.6) == ("1", CHAMPION)
    assert len(registry.client.search_model_versions(f"name = '{registry.name}'")) == 2


def test_a_champion_that_a_person_chose_stays(registry: Registry) -> None:
    registry.client.create_registered_model(registry.name)
    registry.client.create_model_version(registry.name, source="file:///elsewhere", tags={})
    registry.client.set_registered_model_alias(registry.name, CHAMPION, "1")
    assert registry.fit(0.9) == ("2", CHALLENGER)


def test_a_champion_among_ours_that_a_person_chose_stays_as_well(registry: Registry) -> None:
    registry.fit(0.6)
    registry.fit(0.5)
    registry.client.set_registered_model_alias(registry.name, CHAMPION, "2")
    assert registry.fit(0.9) == ("3", CHALLENGER)
    assert registry.aliases == {CHAMPION: "2", CHALLENGER: "3"}
    registry.client.set_registered_model_alias(registry.name, CHAMPION, "1")  # back to the one that was placed here
    assert registry.fit(0.95) == ("4", CHAMPION)


def test_a_challenger_that_becomes_champion_is_no_challenger(registry: Registry) -> None:
    registry.fit(0.6)
    registry.fit(0.5)
    run = registry.client.get_model_version(registry.name, "2").run_id
    registry.client.delete_registered_model_alias(registry.name, CHAMPION)
    assert registry.again(run, 0.5) == ("2", CHAMPION)
    assert registry.aliases == {CHAMPION: "2"}


@pytest.mark.parametrize(
    ("name", "model"),
    [("demo", "ensemble-demo"), ("a/b: c", "ensemble-a-b-c"), ("fer2013_v1.5", "ensemble-fer2013_v1-5")],
)
def test_names_of_models(name: str, model: str) -> None:
    assert model_name(name) == model


def test_a_model_that_was_not_stored_whole_is_stored_again(client: Any, tiny_workspace: Path) -> None:
    """Killed while the files were being copied: the same model is completed, and no second one is made."""
    from pipelines.bundle import read_committee
    from pipelines.run_result import bundle_files

    folder = tiny_workspace / "mlruns" / "committees" / "tiny"
    run = client.create_run(client.get_experiment_by_name("models").experiment_id).info.run_id
    experiment = client.get_run(run).info.experiment_id
    begun = client.create_logged_model(experiment, source_run_id=run)
    files, classes = bundle_files(folder), read_committee(folder).classes
    for _ in range(2):
        assert log_model(client, run, NAME, files, classes) == begun.model_id
    assert [one.model_id for one in client.get_run(run).outputs.model_outputs] == [begun.model_id]
    stored = Path(client.get_logged_model(begun.model_id).artifact_location.removeprefix("file://"))
    bundle = stored / "artifacts" / "bundle"
    assert {p.relative_to(bundle) for p in bundle.rglob("*") if p.is_file()} == {
        Path(place) / file.name for file, place in files
    }
    assert not [p for p in stored.rglob("*") if p.suffix in (".pkl", ".pickle", ".pt")]
