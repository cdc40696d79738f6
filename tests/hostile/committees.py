"""Probabilities of other tools, and committees from elsewhere, that cannot be trusted. `tiny` lies in the folder."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from pyarrow import parquet

from ensemble.expression import EXPRESSIONS
from hostile.case import Case, put
from pipelines.bundle import seal

_COLUMNS = ",".join(f"p_{name}" for name in EXPRESSIONS)
_ROW = "a,0.4,0.1,0.1,0.1,0.1,0.1,0.1"


def _posteriors(name: str, data: bytes | Callable[[Path], object]) -> Callable[[Path], Sequence[str]]:
    def make(folder: Path) -> Sequence[str]:
        put(folder / name, data)
        text = "members: [{name: a, posteriors: {file: %s}}, {name: b, backbone: {kind: pixels}}]\n"
        (folder / "m.yaml").write_text(text % name)
        return ("members", "check", "m.yaml")

    return make


def _csv(*rows: str) -> bytes:
    return "\n".join([f"id,{_COLUMNS}", *rows, ""]).encode()


def _npy(array: Any) -> bytes:
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, np.asarray(array), allow_pickle=True)
    return buffer.getvalue()


def _npz(**arrays: bytes) -> bytes:
    good = {"ids": _npy(["a", "b"]), "probs": _npy(np.full((2, 7), 1 / 7)), "classes": _npy(list(EXPRESSIONS))}
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, data in {**good, **arrays}.items():
            archive.writestr(f"{name}.npy", data)
    return buffer.getvalue()


def _lying() -> bytes:
    header = b"{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000000, 7), }"
    header += b" " * (117 - len(header)) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + b"\0" * 64


def _long_table(path: Path) -> None:
    with path.open("wb") as file:
        file.write(_csv(_ROW))
        file.truncate(500 << 20)


def _parquet_bomb(path: Path) -> None:
    column = pa.array(np.zeros(20_000_000, dtype=np.int8))
    parquet.write_table(pa.table({"id": column, **{f"p_{name}": column for name in EXPRESSIONS}}), path)


def _committee(file: str, change: Callable[[Path], object]) -> Callable[[Path], Sequence[str]]:
    """A committee of somebody who changed a file of it and sealed it again."""

    def make(folder: Path) -> Sequence[str]:
        own = folder / "mlruns/committees/tiny"
        change(own / file)
        if file != "manifest.json":
            seal(own, members=["plain", "residual"])
        return ("predict", "--committee", str(Path("mlruns/committees/tiny")), "--out", "out.csv")

    return make


def _json(**changes: Any) -> Callable[[Path], object]:
    """Other values in a JSON file; dots lead into mappings."""

    def change(path: Path) -> None:
        content = json.loads(path.read_text())
        content.pop("checksum", None)
        for place, value in changes.items():
            *above, key = place.split("__")
            inner = content
            for part in above:
                inner = inner[part]
            inner[key] = value
        path.write_text(json.dumps(content))

    return change


_SPEC = "members/plain/spec.json"

POSTERIORS = (
    Case("posteriors row short", _posteriors("p.csv", _csv(_ROW, "b,0.5")), ("p.csv", "8 fields")),
    Case("posteriors empty", _posteriors("p.csv", b""), ("p.csv", "empty")),
    Case("posteriors without rows", _posteriors("p.csv", _csv()), ("p.csv", "no rows")),
    Case("posteriors NaN", _posteriors("p.csv", _csv(_ROW.replace("0.4", "nan"))), ("p.csv", "nan")),
    Case("posteriors negative", _posteriors("p.csv", _csv(_ROW.replace("0.4", "-0.4"))), ("p.csv", "-0.4")),
    Case("posteriors beyond 1", _posteriors("p.csv", _csv(_ROW.replace("0.4", "4"))), ("p.csv",)),
    Case("posteriors words", _posteriors("p.csv", _csv(_ROW.replace("0.4", "much"))), ("p.csv", "'much'")),
    Case("posteriors twice a face", _posteriors("p.csv", _csv(_ROW, _ROW)), ("p.csv", "'a'")),
    Case("posteriors without names", _posteriors("p.csv", b"x,y\n1,2\n"), ("p.csv", "column `id`")),
    Case("posteriors of 500 MB", _posteriors("p.csv", _long_table), ("p.csv", "bytes")),
    Case("posteriors in no encoding", _posteriors("p.csv", b"id,\xff\n"), ("p.csv", "UTF-8")),
    Case("posteriors of another kind", _posteriors("p.xlsx", b"PK"), ("p.xlsx", ".parquet")),
    Case("jsonl deep", _posteriors("p.jsonl", b"[" * 200_000), ("p.jsonl",)),
    Case("jsonl lists", _posteriors("p.jsonl", b"[1, 2]\n"), ("p.jsonl", "mapping")),
    Case("jsonl cut", _posteriors("p.jsonl", b'{"id": "a", "p_sad"'), ("p.jsonl",)),
    Case("jsonl number of 9000 digits", _posteriors("p.jsonl", b'{"id": ' + b"9" * 9000 + b"}"), ("p.jsonl",)),
    Case("parquet text", _posteriors("p.parquet", b"hello"), ("p.parquet",)),
    Case("parquet bomb", _posteriors("p.parquet", _parquet_bomb), ("p.parquet", "too many")),
    Case("npz with objects", _posteriors("p.npz", _npz(ids=_npy(np.array(["a", None], dtype=object)))),
         ("p.npz", "objects")),
    Case("npz array claims terabytes", _posteriors("p.npz", _npz(probs=_lying())), ("p.npz", "claims the shape")),
    Case("npz bomb", _posteriors("p.npz", _npz(probs=_npy(np.zeros((2_500_000, 7))))), ("p.npz", "decompression bomb")),
    Case("npz without arrays", _posteriors("p.npz", b"PK\x05\x06" + b"\0" * 18), ("p.npz", "lacks")),
    Case("npz cut", _posteriors("p.npz", _npz()[:-60]), ("p.npz",)),
    Case("npz is a pickle", _posteriors("p.npz", b"\x80\x04\x95" + b"x" * 40), ("p.npz",)),
    Case("npz of other shapes", _posteriors("p.npz", _npz(probs=_npy(np.ones((3, 7)) / 7))), ("p.npz", "shape")),
)  # fmt: skip

COMMITTEES = (
    Case("committee file deep", _committee("committee.json", lambda p: p.write_text("[" * 100_000)),
         ("committee.json",)),
    Case("committee file list", _committee("committee.json", lambda p: p.write_text("[]")),
         ("committee.json", "mapping")),
    Case("committee of another format", _committee("committee.json", _json(format="x")), ("format",)),
    Case("committee with an unknown rule", _committee("committee.json", _json(committee__rule="os.system")),
         ("rule", "os.system")),
    Case("committee with a hot temperature", _committee("committee.json", _json(temperature=-1)), ("temperature",)),
    Case("committee names a member outside", _committee("committee.json", _json(committee__over=["../../x"])),
         ("../../x",)),
    Case("manifest is text", _committee("manifest.json", lambda p: p.write_text("hello")), ("manifest.json",)),
    Case("manifest lists nothing", _committee("manifest.json", _json(files=None)), ("manifest.json",)),
    Case("member without a spec", _committee(_SPEC, _json(spec=None)), ("spec.json",)),
    Case("member of an unknown backbone", _committee(_SPEC, _json(spec__backbone={"kind": "os"})),
         ("backbone", "'os'")),
    Case("member with a negative face", _committee(_SPEC, _json(face_size=-5)), ("plain",)),
    Case("member with faces of kilometres", _committee(_SPEC, _json(face_size=10**9)), ("plain",)),
    Case("member of an enormous network", _committee(_SPEC, _json(spec__head={"kind": "mlp", "hidden": [10**8]})),
         ("spec.json", "to ask for a network")),
    Case("member of many large layers", _committee(_SPEC, _json(spec__head={"kind": "mlp", "hidden": [9000] * 9})),
         ("spec.json", "to ask for a network")),
    Case("member with a word as face", _committee(_SPEC, _json(face_size="wide")), ("plain",)),
    Case("member of other classes", _committee(_SPEC, _json(classes=["a", "b"])), ("plain",)),
    Case("member without classes", _committee(_SPEC, _json(classes=None)), ("plain",)),
    Case("member's input state is text", _committee(_SPEC, _json(input_state="x")), ("plain",)),
    Case("member's weights are text",
         _committee("members/plain/weights.safetensors", lambda p: p.write_bytes(b"hello")), ("weights.safetensors",)),
    Case("committee absent", lambda f: ("predict", "--committee", "nobody"), ("nobody",)),
)  # fmt: skip
