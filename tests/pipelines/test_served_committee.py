from __future__ import annotations

import base64
import csv
import io
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from PIL import Image

MODEL = "models:/ensemble-tiny@champion"
Faces = npt.NDArray[np.uint8]


@pytest.fixture(scope="module")
def faces() -> Faces:
    return np.random.default_rng(3).integers(0, 256, (3, 48, 48), dtype=np.uint8)


@pytest.fixture(scope="module")
def store(tiny_workspace: Path) -> str:
    return f"sqlite:///{tiny_workspace}/mlruns/mlflow.db"


@pytest.fixture(scope="module")
def model(store: str) -> Iterator[Any]:
    """The registered model, loaded the way any program that knows MLflow does."""
    import mlflow

    before, path = mlflow.get_tracking_uri(), list(sys.path)
    mlflow.set_tracking_uri(store)
    try:
        yield mlflow.pyfunc.load_model(MODEL)
    finally:
        mlflow.set_tracking_uri(before)
        sys.path[:] = path


@pytest.fixture(scope="module")
def expected(tiny_workspace: Path, faces: Faces) -> npt.NDArray[np.float64]:
    """Probabilities over three views, from the committee's own folder."""
    import pipelines

    return pipelines.load(tiny_workspace / "mlruns/committees/tiny").predict(faces, tta=3).probs


def encoded(face: Faces) -> str:
    content = io.BytesIO()
    Image.fromarray(face).save(content, format="PNG")
    return base64.b64encode(content.getvalue()).decode()


def probabilities(rows: pd.DataFrame) -> npt.NDArray[np.float64]:
    return rows.filter(like="p_").to_numpy(np.float64)


@pytest.mark.parametrize("form", ["array", "list of arrays", "base64", "data url", "nested lists"])
def test_every_form_of_a_face_has_the_committees_answer(
    model: Any, faces: Faces, expected: npt.NDArray[np.float64], form: str
) -> None:
    given: Any = {
        "array": {"image": faces},
        "list of arrays": pd.DataFrame({"image": list(faces)}),
        "base64": pd.DataFrame({"image": [encoded(face) for face in faces]}),
        "data url": pd.DataFrame({"image": [f"data:image/png;base64,{encoded(face)}" for face in faces]}),
        "nested lists": pd.DataFrame({"image": faces.tolist()}),
    }[form]
    answer = model.predict(given, params={"tta": 3})
    np.testing.assert_allclose(probabilities(answer), expected, atol=1e-12)
    assert list(answer["label"]) == [list(answer.columns[4:])[k].removeprefix("p_") for k in expected.argmax(axis=1)]
    np.testing.assert_allclose(answer["confidence"].to_numpy(np.float64), expected.max(axis=1), atol=1e-12)


def test_colour_faces_and_faces_of_other_sizes(model: Any, faces: Faces) -> None:
    colour, large = np.repeat(faces[0][..., None], 3, axis=2), np.kron(faces[0], np.ones((2, 2), np.uint8))
    answer = probabilities(model.predict(pd.DataFrame({"image": [faces[0], colour, large]})))
    np.testing.assert_allclose(answer[1:], answer[[0, 0]], atol=1e-6)


def test_ids_seed_the_views(model: Any, faces: Faces) -> None:
    one, same, other = (
        probabilities(model.predict(pd.DataFrame({"image": [faces[0]], "id": [name]}), params={"tta": 4}))
        for name in ("a", "a", "b")
    )
    np.testing.assert_array_equal(one, same)
    assert not np.array_equal(one, other)


WRONG: list[tuple[Any, dict[str, Any], str]] = [
    ({"image": ["nonsense!"]}, {}, "Expected image 0 to be base64 of an image file"),
    ({"image": ["bm9uc2Vuc2U="]}, {}, "Expected image 0 to be a readable image"),
    ({"picture": ["x"]}, {}, "Model is missing inputs ['image']"),
    ({"image": [[[300, 1], [1, 1]]]}, {}, "Expected pixels from 0 to 255, but got 1 to 300 in image 0"),
    ({"image": [[[1, 2], [1]]]}, {}, "Expected image 0 to be base64 text, or pixels (H, W) or (H, W, 3), but got"),
    ({"image": [np.zeros((2, 2, 5))]}, {}, "but got an array of shape (2, 2, 5)"),
    ({"image": [None]}, {}, "but got 'None'"),
    ({"image": [[[1, 2], [3, 4]]] * 2, "id": ["a", "a"]}, {}, "Expected unique ids"),
    ({"image": [[[1, 2], [3, 4]]]}, {"tta": 0}, "Expected `tta` to be at least 1, but got 0."),
]


@pytest.mark.parametrize(("columns", "params", "message"), WRONG)
def test_wrong_requests_are_told_what_is_wrong(
    model: Any, columns: dict[str, Any], params: dict[str, Any], message: str
) -> None:
    from mlflow.exceptions import MlflowException

    with pytest.raises(MlflowException) as caught:
        model.predict(pd.DataFrame(columns), params=params)
    assert message in str(caught.value)
    assert caught.value.get_http_status_code() == 400


def test_mlflow_serves_what_predict_writes(tiny: Path, faces: Faces, cli: Any) -> None:
    """The server of the real command, on a free port, asked over HTTP in both forms."""
    for number, face in enumerate(faces):
        Image.fromarray(face).save(f"{number}.png")
    outcome = cli("predict", "--tta", "3", "--detect", "none", *(f"{number}.png" for number in range(3)))
    assert outcome.code == 0, outcome.err
    with Path("predictions.csv").open() as file:
        rows = list(csv.DictReader(file))
    names = [row["id"] for row in rows]
    written = np.array([[float(v) for k, v in row.items() if k.startswith("p_")] for row in rows])
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "mlflow", "models", "serve", "--model-uri", MODEL, "--env-manager", "local"]
    env = {
        **os.environ, "MLFLOW_TRACKING_URI": f"sqlite:///{tiny}/mlruns/mlflow.db", "PYTHONPATH": "",
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    }  # fmt: skip
    with subprocess.Popen([*command, "--port", str(port)], env=env, start_new_session=True) as server:
        try:
            wait_for(port, server)
            pixels = [{"id": name, "image": face.tolist()} for name, face in zip(names, faces, strict=True)]
            texts = [{"id": name, "image": encoded(face)} for name, face in zip(names, faces, strict=True)]
            for records in (pixels, texts):
                status, content = ask(port, {"dataframe_records": records, "params": {"tta": 3}})
                assert status == 200
                answer = pd.DataFrame(content["predictions"])
                np.testing.assert_allclose(probabilities(answer), written, atol=1e-6)
                assert list(answer["label"]) == [row["label"] for row in rows]
            status, alone = ask(port, {"inputs": {"image": faces.tolist()}})
            assert (status, len(alone["predictions"])) == (200, 3)
            status, content = ask(port, {"dataframe_records": [{"image": "nonsense!"}]})
            assert status == 400
            assert "Expected image 0 to be base64 of an image file" in content["message"]
            assert "stack_trace" not in content
        finally:
            if server.poll() is None:
                os.killpg(server.pid, signal.SIGTERM)
            try:
                server.wait(timeout=60)
            except subprocess.TimeoutExpired:
                os.killpg(server.pid, signal.SIGKILL)
                raise


def ask(port: int, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/invocations", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    try:
        with urllib.request.urlopen(request, timeout=120) as reply:
            return reply.status, json.loads(reply.read())
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.loads(error.read())


def wait_for(port: int, server: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 240
    while True:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/ping", timeout=30):
                return
        except (urllib.error.URLError, ConnectionError):
            assert server.poll() is None, "the server has ended"
            assert time.monotonic() < deadline, "the server does not answer"
            time.sleep(0.5)
