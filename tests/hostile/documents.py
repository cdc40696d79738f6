"""YAML files and weights that break, lie or carry code."""

from __future__ import annotations

import json
import os
import pickle
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from safetensors.torch import save_file

from hostile.case import Case, put

_MEMBER = "members: [{name: a, backbone: {kind: scratch_cnn, blocks: [{filters: 8}]}}]\n"


def _yaml(text: str | bytes) -> Callable[[Path], Sequence[str]]:
    data = text if isinstance(text, bytes) else text.encode()

    def make(folder: Path) -> Sequence[str]:
        put(folder / "m.yaml", data)
        return ("fit", "--members", "m.yaml", "--no-track")

    return make


def _laughs() -> str:
    lines = ["a0: &a0 [lol, lol]"] + [f"a{i}: &a{i} [*a{i - 1}, *a{i - 1}]" for i in range(1, 60)]
    return "\n".join(lines)


def _weights(name: str, make_file: Callable[[Path], object]) -> Callable[[Path], Sequence[str]]:
    def make(folder: Path) -> Sequence[str]:
        make_file(folder / name)
        text = "members: [{name: a, backbone: {kind: scratch_cnn, blocks: [{filters: 8}]}, weights: {file: %s}}]\n"
        (folder / "m.yaml").write_text(text % name)
        return ("members", "check", "m.yaml")

    return make


class _Code:
    """Runs a command when it is unpickled by whoever does that."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, ("touch owned",)


def _claims(header: bytes, length: int | None = None) -> Callable[[Path], object]:
    size = len(header) if length is None else length
    return lambda path: path.write_bytes(size.to_bytes(8, "little") + header + b"\0" * 64)


def _tensor(**facts: object) -> bytes:
    return json.dumps({"w": {"dtype": "F32", "shape": [4], "data_offsets": [0, 16], **facts}}).encode()


def _torch_bomb(path: Path) -> None:
    torch.save({"w": torch.zeros(40 << 20)}, path)
    plain = zipfile.ZipFile(path)
    entries = {info: plain.read(info) for info in plain.infolist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as packed:
        for info, data in entries.items():
            packed.writestr(info.filename, data)


def _sparse(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(1 << 40)


def _cut(path: Path) -> None:
    torch.save({"w": torch.zeros(64)}, path)
    path.write_bytes(path.read_bytes()[:-200])


def _deep(path: Path) -> None:
    _claims(b'{"w":' + b"[" * 50_000)(path)


DOCUMENTS = (
    Case("yaml billion laughs", _yaml(_laughs()), ("m.yaml", "aliases")),
    Case("yaml alias of itself", _yaml("a: &a [*a]"), ("m.yaml", "aliases")),
    Case("yaml merge bomb", _yaml("a: &a {x: 1}\nb: {<<: *a}"), ("m.yaml", "aliases")),
    Case("yaml code", _yaml("a: !!python/object/apply:os.system ['touch owned']"), ("m.yaml", "tags")),
    Case("yaml own tag", _yaml("a: !secret x"), ("m.yaml", "tags")),
    Case("yaml binary", _yaml("a: !!binary aGk="), ("m.yaml", "tags")),
    Case("yaml twice the same key", _yaml("members: []\nmembers: []"), ("m.yaml", "twice")),
    Case("yaml deep", _yaml("a: " + "[" * 5000), ("m.yaml", "within one another")),
    Case("yaml deep mappings", _yaml("a: " + "{b: " * 5000), ("m.yaml", "within one another")),
    Case("yaml wide", _yaml("a: [" + "1," * 400_000 + "]"), ("m.yaml", "values")),
    Case("yaml long text", _yaml("a: " + "x" * 100_000), ("m.yaml", "too long")),
    Case("yaml large", _yaml("# " + "x" * (1 << 20)), ("m.yaml", "1 MiB")),
    Case("yaml number of 4000 digits", _yaml("seed: " + "9" * 4000 + "\n" + _MEMBER), ("m.yaml", "number")),
    Case("yaml number in base 60", _yaml("seed: 1" + ":59" * 1300 + "\n" + _MEMBER), ("m.yaml", "number")),
    Case("yaml in Latin-1", _yaml("name: größe\n".encode("latin-1")), ("m.yaml", "UTF-8")),
    Case("yaml NUL", _yaml(b"name: \0\n"), ("m.yaml", "special characters")),
    Case("yaml binary file", _yaml(bytes(range(256)) * 4), ("m.yaml", "UTF-8")),
    Case("yaml list", _yaml("- 1\n"), ("m.yaml", "mapping")),
    Case("yaml empty", _yaml(""), ("m.yaml", "mapping")),
    Case("yaml tab", _yaml("a: 1\n\tb: 2\n"), ("m.yaml", "line 2")),
    Case("yaml two documents", _yaml("a: 1\n---\nb: 2\n"), ("m.yaml", "document")),
    Case("yaml impossible date", _yaml("name: 2024-13-45\n"), ("m.yaml",)),
    Case("yaml mapping as key", _yaml("{a: 1}: 2\n"), ("m.yaml",)),
    Case("yaml unknown key", _yaml("memberz: []\n"), ("m.yaml", "memberz", "members")),
    Case("yaml members is a number", _yaml("members: 5\n"), ("m.yaml", "members")),
    Case("yaml member is a number", _yaml("members: [5]\n"), ("m.yaml", "members[0]")),
    Case("yaml on_bad", _yaml("data: {source: synthetic, on_bad: maybe}\n" + _MEMBER), ("m.yaml", "on_bad", "skip")),
    Case("yaml name climbs", _yaml("name: ../../x\n" + _MEMBER), ("m.yaml", "name")),
    Case("yaml member's name climbs", _yaml(_MEMBER.replace("name: a", "name: ../x")), ("m.yaml", "name")),
    Case("yaml rate is no number", _yaml(_MEMBER.replace("}]\n", ", optimizer: {lr: .nan}}]")), ("m.yaml", "lr")),
    Case("yaml rate is infinite", _yaml(_MEMBER.replace("}]\n", ", optimizer: {lr: .inf}}]")), ("m.yaml", "lr")),
    Case("yaml is a pipe", lambda f: os.mkfifo(f / "m.yaml") or ("fit", "--members", "m.yaml"), ("m.yaml",)),
    Case("weights with code", _weights("w.pt", lambda p: p.write_bytes(pickle.dumps(_Code()))), ("w.pt", "code")),
    Case("weights with code in a zip", _weights("w.pth", lambda p: torch.save({"w": _Code()}, p)), ("w.pth", "code")),
    Case("weights cut", _weights("w.pt", _cut), ("w.pt", "damaged")),
    Case("weights text", _weights("w.pt", lambda p: p.write_bytes(b"hello")), ("w.pt", "damaged")),
    Case("weights empty", _weights("w.pt", lambda p: p.write_bytes(b"")), ("w.pt", "damaged")),
    Case("weights bomb", _weights("w.pt", _torch_bomb), ("w.pt", "decompression bomb")),
    Case("weights of a terabyte", _weights("w.pt", _sparse), ("w.pt", "bytes")),
    Case("weights without tensors", _weights("w.pt", lambda p: torch.save({"a": 1}, p)), ("w.pt", "state dict")),
    Case("weights of another network", _weights("w.safetensors", lambda p: save_file({"w": torch.zeros(4)}, p)),
         ("w.safetensors", "parameters")),
    Case("safetensors header of petabytes", _weights("w.safetensors", _claims(b"{}", 1 << 50)),
         ("w.safetensors", "damaged")),
    Case("safetensors header cut", _weights("w.safetensors", _claims(b'{"w":', 500)), ("w.safetensors", "damaged")),
    Case("safetensors header deep", _weights("w.safetensors", _deep), ("w.safetensors", "damaged")),
    Case("safetensors tensor of petabytes", _weights("w.safetensors", _claims(_tensor(shape=[1 << 50]))),
         ("w.safetensors", "damaged")),
    Case("safetensors outside the file", _weights("w.safetensors", _claims(_tensor(data_offsets=[0, 1 << 40]))),
         ("w.safetensors", "damaged")),
    Case("safetensors is a pickle", _weights("w.safetensors", lambda p: p.write_bytes(pickle.dumps(_Code()))),
         ("w.safetensors", "damaged")),
)  # fmt: skip
