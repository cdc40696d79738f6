"""`ensemble weights fetch`: what it installs is right, and what is wrong leaves nothing behind and runs nothing."""

from __future__ import annotations

import hashlib
import io
import json
import os
import pickle
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from file_server import serving
from support import Outcome

from backbones.contract import Backbone, InputShape
from backbones.errors import InputError
from backbones.facenet_parts import inception_resnet_v1
from backbones.net.facenet import FaceNet
from backbones.net.light_cnn import LightCNN
from backbones.net.mobile_facenet import MobileFaceNet
from backbones.net.vgg16 import VGG16
from backbones.weights import LoadReport, load_weights, read_state_dict
from ensemble.weights_catalogue import CATALOGUE, PretrainedWeights
from pipelines.download import Patience
from pipelines.plan import make_plan
from pipelines.weights_fetch import fetch

Cli = Callable[..., Outcome]
State = dict[str, torch.Tensor]

REAL = Path(__file__).resolve().parents[3] / "shared" / "weights" / "mobilefacenet.pt"
HASTE = Patience(timeout=5, attempts=2, pause=0.01)


@pytest.fixture(autouse=True)
def _local(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")


def thin(shapes: dict[str, tuple[int, ...]]) -> State:
    """Random tensors of these shapes, the large ones of one number each, so that their files stay small."""
    return {
        name: torch.rand(shape) if torch.Size(shape).numel() < 20_000 else torch.rand(()).expand(shape)
        for name, shape in shapes.items()
    }


def facenet_state() -> State:
    """The names and shapes of facenet-pytorch's VGGFace2 checkpoint."""
    with torch.device("meta"):
        net = inception_resnet_v1()
    shapes = {name: tuple(tensor.shape) for name, tensor in net.state_dict().items()}
    counters = {name: torch.tensor(7) for name in shapes if name.endswith("num_batches_tracked")}
    return thin(shapes) | counters | thin({"logits.weight": (8631, 512), "logits.bias": (8631,)})


def vgg16_state() -> State:
    """The names and shapes of torchvision's VGG16 checkpoint."""
    with torch.device("meta"):
        own = VGG16(InputShape(channels=3, size=224)).state_dict()
    shapes = {name: tuple(tensor.shape) for name, tensor in own.items()}
    for layer, (outputs, inputs) in {0: (4096, 25088), 3: (4096, 4096), 6: (1000, 4096)}.items():
        shapes |= {f"classifier.{layer}.weight": (outputs, inputs), f"classifier.{layer}.bias": (outputs,)}
    return thin(shapes)


def light_cnn_state() -> dict[str, Any]:
    """The names and shapes of the authors' LightCNN-9 checkpoint, with what else they stored."""
    own = {name: tuple(t.shape) for name, t in LightCNN(InputShape(channels=1, size=128)).state_dict().items()}
    state = thin(own | {"fc2.weight": (79077, 256), "fc2.bias": (79077,)})
    parallel = {f"module.{name}": tensor for name, tensor in state.items()}
    return {"epoch": 80, "arch": "LightCNN", "state_dict": parallel, "prec1": 92.5}


def saved(content: Any, *, zipped: bool = True) -> bytes:
    file = io.BytesIO()
    torch.save(content, file, _use_new_zipfile_serialization=zipped)
    return file.getvalue()


@pytest.fixture
def publish(monkeypatch: pytest.MonkeyPatch) -> Callable[..., PretrainedWeights]:
    """Make some bytes the published content of an entry."""

    def change(name: str, content: bytes, **changes: Any) -> PretrainedWeights:
        facts = {"sha256": hashlib.sha256(content).hexdigest(), "size": len(content), "by_hand": False}
        entry = replace(CATALOGUE[name], **(facts | changes))
        monkeypatch.setitem(CATALOGUE, name, entry)  # type: ignore[arg-type]
        return entry

    return change


def left(folder: Path = Path("weights")) -> list[str]:
    """What lies in the folder, but for its lock."""
    return sorted(path.name for path in folder.iterdir() if path.name != ".lock") if folder.is_dir() else []


def load(backbone: Backbone, path: Path) -> LoadReport:
    return load_weights(backbone, path, minimum=1.0)


def check_filled(backbone: Any, state: State, *, head: str) -> None:
    """The backbone has every tensor of the checkpoint but the old head's."""
    own = backbone.state_dict()
    for name, tensor in state.items():
        if not name.startswith(head):
            assert torch.equal(own[name], tensor), name


@pytest.mark.parametrize(("way", "name"), [("fetch", "vggface2"), ("fetch", "casia-webface"), ("file", "vggface2")])
def test_original_facenet_checkpoints(publish: Any, way: str, name: str) -> None:
    state = facenet_state()
    content = saved(state)
    entry = publish(name, content)
    Path("m.yaml").write_text(f"members: [{{name: a, backbone: {{kind: facenet}}, weights: {name},"
                              " input: {size: 160, channels: 3, normalize: backbone}}]\n")  # fmt: skip
    if way == "fetch":
        with serving(content=content, cuts=[50_000]) as server:
            installed = fetch([name], url=server.url, patience=HASTE)
        assert installed == [Path("weights") / entry.file]
    else:
        Path("theirs.pt").write_bytes(content)
        Path("m.yaml").write_text(Path("m.yaml").read_text().replace(f"weights: {name}", "weights: {file: theirs.pt}"))
    plan = make_plan(Path("m.yaml"))
    assert plan.members[0].weights is not None
    assert (plan.members[0].weights.licence, plan.members[0].weights.training_set) == ("MIT", entry.training_set)
    backbone = FaceNet(InputShape(channels=3, size=160))
    report = load(backbone, plan.weights["a"])
    assert (report.missing, report.unexpected, report.dropped) == ((), (), 2)
    check_filled(backbone, state, head="logits.")


@pytest.mark.parametrize("way", ["fetch", "file"])
def test_original_vgg16_checkpoints(publish: Any, way: str) -> None:
    state = vgg16_state()
    content = saved(state)
    file = Path("weights/vgg16-397923af.pth")
    if way == "fetch":
        publish("vgg16", content, file=file.name)
        with serving(content=content) as server:
            assert fetch(["vgg16"], url=server.url) == [file]
    else:
        file.parent.mkdir()
        file.write_bytes(content)
    backbone = VGG16(InputShape(channels=3, size=48))
    report = load(backbone, file)
    assert (report.missing, report.unexpected, report.dropped) == ((), (), 6)
    check_filled(backbone, state, head="classifier.")


def test_a_file_without_published_digest_is_recorded() -> None:
    content = saved(light_cnn_state(), zipped=False)
    Path("downloaded.tar").write_bytes(content)
    with pytest.raises(InputError, match=r"open https://drive\.google.*save LightCNN_9Layers.*--url file:PATH`"):
        fetch(["lightcnn9"])
    (file,) = fetch(["lightcnn9"], url="file:downloaded.tar")
    record = json.loads(Path(f"{file}.json").read_text())
    assert record["sha256"] == hashlib.sha256(content).hexdigest()
    assert (record["url"], record["size"], record["licence"]) == ("file:downloaded.tar", len(content), "MIT")
    backbone = LightCNN(InputShape(channels=1, size=128))
    assert load(backbone, file).dropped == 2
    assert left() == [file.name, f"{file.name}.json"]


@pytest.mark.skipif(not REAL.is_file(), reason=f"the public weights are not at {REAL}")
def test_the_real_mobilefacenet_bears_its_published_digest() -> None:
    content = REAL.read_bytes()
    with serving(content=content, cuts=[2_000_000]) as server:
        (file,) = fetch(["mobilefacenet"], url=server.url, patience=HASTE)
        assert server.starts() == [0, 2_000_000]
    assert file.read_bytes() == content
    assert len(content) == CATALOGUE["mobilefacenet"].size
    assert load(MobileFaceNet(InputShape(channels=3, size=112)), file).share == 1


SMALL = saved(MobileFaceNet(InputShape(channels=3, size=112), taps="embedding").state_dict())


class _Trap:
    """Unpickling it would create a file."""

    def __reduce__(self) -> Any:
        return (Path.touch, (Path("run"),))


@pytest.mark.parametrize(
    ("content", "known", "message"),
    [
        (
            SMALL[:-1000],
            SMALL,
            r"Expected .* to be mobilefacenet\.pt with sha256 \w{64}, but got [\d,]+ bytes with \w{64}",
        ),
        (SMALL[:5000] + b"x" + SMALL[5001:], SMALL, "with sha256"),
        (SMALL[:-1000], None, r"to be a PyTorch weights file, but it is damaged.*Nothing is installed"),
        (b"", None, "it is damaged"),
        (
            saved({"state_dict": {"a": torch.ones(2)}, "trap": _Trap()}),
            None,
            r"holds code, which is not run.*Nothing is",
        ),
        (saved({"trap": _Trap()}, zipped=False), None, "holds code, which is not run"),
        (saved(light_cnn_state()), None, r"at least 90% of the parameters of MobileFaceNet, but got 0%"),
        (saved({"epoch": 3}), None, "to hold a state dict"),
    ],
    ids=["truncated", "wrong hash", "truncated, unknown", "empty", "bomb", "old bomb", "architecture", "no tensors"],
)
def test_wrong_files_leave_nothing_behind(
    cli: Cli, publish: Any, content: bytes, known: bytes | None, message: str
) -> None:
    publish("mobilefacenet", content, sha256=hashlib.sha256(known).hexdigest() if known else None)
    with serving(content=content) as server:
        outcome = cli("weights", "fetch", "mobilefacenet", "--url", server.url)
    assert outcome.code == 2
    assert "Traceback" not in outcome.err
    assert re.search(message, outcome.err, re.DOTALL), outcome.err
    assert left() == []
    assert not Path("run").exists()


def test_a_bomb_with_the_published_digest_does_not_go_off_in_a_fit_either(cli: Cli, publish: Any) -> None:
    bomb = saved({"state_dict": {"a": torch.ones(2)}, "trap": _Trap()})
    entry = publish("mobilefacenet", bomb)
    Path("weights").mkdir()
    (Path("weights") / entry.file).write_bytes(bomb)
    member = "{name: a, backbone: {kind: mobile_facenet}, weights: mobilefacenet, input: {size: 112, channels: 3}}"
    Path("m.yaml").write_text(f"data: {{source: synthetic, count: 140}}\nmembers: [{member}]\n")
    outcome = cli("fit", "--members", "m.yaml", "--jobs", "1", "--no-track")
    assert (outcome.code, "holds code, which is not run" in outcome.err) == (2, True)
    assert not Path("run").exists()
    assert not list(Path().rglob("spec.json"))


def test_what_is_there_and_right_is_left_alone(publish: Any, capsys: pytest.CaptureFixture[str]) -> None:
    publish("mobilefacenet", SMALL)
    with serving(content=SMALL) as server:
        (file,) = fetch(["mobilefacenet", "mobilefacenet"], url=server.url)
        before = file.stat().st_mtime_ns
        assert fetch(["mobilefacenet"], url=server.url) == [file]
        assert (len(server.requests), file.stat().st_mtime_ns) == (1, before)
    assert "there already" in capsys.readouterr().err


def test_what_is_there_and_damaged_is_replaced_once_the_right_one_has_come(publish: Any) -> None:
    entry = publish("mobilefacenet", SMALL)
    file = Path("weights") / entry.file
    file.parent.mkdir()
    file.write_bytes(b"damaged")
    with serving(statuses=[404]) as server, pytest.raises(InputError, match="404"):
        fetch(["mobilefacenet"], url=server.url)
    assert file.read_bytes() == b"damaged"
    with serving(content=SMALL) as server:
        fetch(["mobilefacenet"], url=server.url)
    assert file.read_bytes() == SMALL


def test_a_file_that_somebody_has_put_there_is_recorded_without_the_network(publish: Any) -> None:
    entry = publish("mobilefacenet", SMALL, sha256=None)
    file = Path("weights") / entry.file
    file.parent.mkdir()
    file.write_bytes(SMALL)
    assert fetch(["mobilefacenet"], url="http://127.0.0.1:9/nowhere", patience=HASTE) == [file]
    assert json.loads(Path(f"{file}.json").read_text())["url"] is None


def test_a_folder_that_is_only_read_will_do_if_the_file_is_there(publish: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    entry = publish("mobilefacenet", SMALL)
    file = Path("weights") / entry.file
    file.parent.mkdir()
    file.write_bytes(SMALL)

    def refuse(*_: Any, **__: Any) -> None:
        raise PermissionError(13, "Permission denied", str(file.parent))

    monkeypatch.setattr("pipelines.weights_record.write_json", refuse)  # root may write anywhere
    monkeypatch.setattr("pipelines.weights_fetch.locked", refuse)
    assert fetch(["mobilefacenet"]) == [file]
    assert list(file.parent.iterdir()) == [file]


def test_it_is_installed_where_weights_are_looked_for(publish: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    entry = publish("mobilefacenet", SMALL)
    Path("here.pt").write_bytes(SMALL)
    monkeypatch.setenv("ENSEMBLE_WEIGHTS", os.pathsep.join(["first", "second"]))
    assert fetch(["mobilefacenet"], url="file:here.pt") == [Path("first") / entry.file]
    assert fetch(["mobilefacenet"], url="file:here.pt", to=Path("own")) == [Path("own") / entry.file]


def test_progress_and_licence_are_shown(cli: Cli, publish: Any) -> None:
    publish("mobilefacenet", SMALL)
    with serving(content=SMALL) as server:
        outcome = cli("weights", "fetch", "mobilefacenet", "--url", server.url)
    assert outcome.code == 0
    assert outcome.out == "weights/mobilefacenet.pt\n"
    assert "Apache-2.0 licence, trained on MS-Celeb-1M" in outcome.err
    assert outcome.err.count(" MB\n") >= 2
    assert "sha256 " + hashlib.sha256(SMALL).hexdigest() + " (as published)" in outcome.err


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["vgface2"], "Did you mean `vggface2`?"),
        (["vggface2", "vgg16", "--url", "file:x"], "Expected one name beside `--url`, but got 2"),
        (["mobilefacenet", "--url", "x.pt"], "For a file: `file:PATH`"),
        (["mobilefacenet", "--url", "file:x.pt"], "No such file"),
        ([], "NAME"),
    ],
)
def test_wrong_words(cli: Cli, args: list[str], message: str) -> None:
    outcome = cli("weights", "fetch", *args)
    assert outcome.code == 2
    assert message in outcome.err
    assert left() == []


def test_the_trap_works() -> None:
    pickle.loads(pickle.dumps(_Trap()))
    assert Path("run").exists()


def test_thin_checkpoints_have_the_shapes_they_claim(tmp_path: Path) -> None:
    (tmp_path / "vgg16.pth").write_bytes(saved(vgg16_state()))
    state = read_state_dict(tmp_path / "vgg16.pth")
    assert sum(tensor.numel() for tensor in state.values()) == 138_357_544  # torchvision's parameter count
    (tmp_path / "facenet.pt").write_bytes(saved(facenet_state()))
    assert read_state_dict(tmp_path / "facenet.pt")["logits.weight"].shape == (8631, 512)
