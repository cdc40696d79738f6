"""Random inputs of each kind, and what the command line makes of them.

Any command may end with 0 or 2. Everything runs in this process, so that ten thousand cases take minutes.
"""

from __future__ import annotations

import io
import os
import shutil
import sys
import tempfile
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path

import numpy as np
import yaml
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from PIL import Image

from backbones.errors import InputError
from hostile.archives import zipped
from hostile.case import csv_text, png, saved
from pipelines.image_file import decode_image

__all__ = ["KINDS", "Exits", "fuzz"]

Exits = Counter[int]
"""How often each exit code was seen."""

_RAW = st.binary(max_size=200)

_KEYS = st.sampled_from(
    ["name", "data", "defaults", "members", "committee", "views", "seed", "tune", "backbone", "kind", "head", "loss",
     "input", "size", "channels", "normalize", "weights", "file", "run", "freeze", "until", "optimizer", "lr",
     "schedule",
     "epochs", "rule", "over", "groups", "source", "votes", "classes", "on_bad", "align", "posteriors", "search", "low",
     "high", "blocks", "filters", "augment", "unfreeze", "folds", "count"]
) | st.text(max_size=4)  # fmt: skip
_LEAVES = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_subnormal=False)
    | st.text(max_size=6) | st.dates() | st.binary(max_size=3)
    | st.sampled_from(["scratch_cnn", "linear", "mean", "synthetic", "skip", "cross_entropy", "adamw", "../x", "a"])
)  # fmt: skip
_RIGHT = """
data: {source: synthetic, count: 210}
members:
  - name: a
    backbone: {kind: scratch_cnn, blocks: [{filters: 8}], pooling: average}
    head: {kind: mlp, hidden: [8]}
    input: {size: 24, channels: 1, normalize: equalize}
    optimizer: {kind: sgd, lr: 0.05}
    schedule: {kind: cosine}
    epochs: 1
  - {name: b, backbone: {kind: pixels}}
committee: {rule: mean}
seed: 3
"""
_TREES = st.recursive(
    _LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_KEYS, inner, max_size=4), max_leaves=12
)


@st.composite
def _documents(draw: st.DrawFn) -> bytes:
    """Any values in any place; or a right members.yaml with one value changed; or with some characters changed."""
    if draw(st.integers(0, 3)) == 0:
        content = draw(st.dictionaries(_KEYS, _TREES, max_size=5))
    else:
        content = yaml.safe_load(_RIGHT)
        place = draw(st.sampled_from([content, content["members"][0], content["members"][0]["backbone"]]))
        key = draw(st.sampled_from([*place]) | _KEYS)
        place[key] = draw(_TREES)
    text = yaml.safe_dump(content, allow_unicode=True).encode(errors="surrogatepass")
    return _spoilt(draw, text) if draw(st.integers(0, 2)) == 0 else text


def _spoilt(draw: st.DrawFn, data: bytes) -> bytes:
    """The same with some pieces replaced, dropped or doubled."""
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, max(0, len(data) - 1)))
        stop = start + draw(st.integers(0, 12))
        data = data[:start] + draw(st.binary(max_size=8) | st.just(data[start:stop] * 2)) + data[stop:]
    return data


_GOOD_CSV = csv_text().replace(b"7 200", b"7 2")  # of other lengths in places
_SMALL = b"emotion,pixels,Usage\n" + b"".join(
    b"%d,%s,%s\n" % (i % 7, b" ".join([b"7"] * 2304), b"Training" if i < 14 else b"PublicTest") for i in range(21)
)
_ROWS = st.lists(
    st.tuples(
        st.sampled_from(["0", "3", "6", "7", "happy", "-1", "", "nan", "9" * 30]),
        st.sampled_from([" ".join(["9"] * 2304), "1 2", "", "256", " ".join(["x"] * 2304)]),
        st.sampled_from(["Training", "PublicTest", "PrivateTest", "", "x"]) | st.text(max_size=5),
    ).map(",".join),
    max_size=12,
)


@st.composite
def _tables(draw: st.DrawFn) -> bytes:
    whole = st.sampled_from([_SMALL, _GOOD_CSV])
    if draw(st.booleans()):
        return _spoilt(draw, draw(whole))
    head = draw(
        st.sampled_from(["emotion,pixels,Usage", "emotion,pixels", "\ufeffEmotion, Pixels ,usage,extra", "a,b"])
    )
    return "\n".join([head, *draw(_ROWS)]).encode(errors="surrogatepass")


_NAMES = st.sampled_from(
    ["sad/1.png", "happy/2.png", "train/sad/3.png", "test/happy/4.jpg", "../x.png", "/x.png", "x.csv", "groups.csv",
     "sad\\5.png", ".hidden", "a/", "sad/ü.png", "C:\\x.png"]
) | st.text(min_size=1, max_size=8)  # fmt: skip


@st.composite
def _zips(draw: st.DrawFn) -> bytes:
    """A zip of any names and contents; half of them with some bytes changed."""
    if draw(st.integers(0, 3)) == 0:
        return _spoilt(draw, zipped())
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in draw(st.lists(st.tuples(_NAMES, _RAW | st.just(png()) | st.just(_SMALL)), max_size=6)):
            info = zipfile.ZipInfo(name.encode(errors="replace").decode())
            info.compress_type = draw(st.sampled_from([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED]))
            info.external_attr = draw(st.sampled_from([0, 0o120777 << 16, 0o100644 << 16]))
            archive.writestr(info, data)
    data = buffer.getvalue()
    return _spoilt(draw, data) if draw(st.booleans()) else data


_PICTURE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (24, 20, 3), dtype=np.uint8))
_PICTURES = {
    fmt: saved(_PICTURE, fmt) for fmt in ("PNG", "JPEG", "BMP", "GIF", "TIFF", "WEBP", "PPM")
}  # fmt: skip


@st.composite
def _images(draw: st.DrawFn) -> bytes:
    """A picture with some bytes changed, mostly in its header; or any bytes."""
    data = draw(st.sampled_from(list(_PICTURES.values())))
    if draw(st.booleans()):
        place = draw(st.integers(0, 60))
        return data[:place] + draw(st.binary(min_size=1, max_size=6)) + data[place + draw(st.integers(0, 6)) :]
    return draw(_RAW) if draw(st.integers(0, 9)) == 0 else _spoilt(draw, data)


def _decode(data: bytes) -> int:
    """What `predict` does with an image before it looks for faces; a command would end with the same code."""
    try:
        image = decode_image(data, name="x.png")
    except InputError:
        return 2
    assert image.dtype == np.uint8
    assert image.ndim in (2, 3)
    return 0


def _command(name: str, *args: str) -> Callable[[bytes], int]:
    def run(data: bytes) -> int:
        folder = Path(tempfile.mkdtemp(prefix="fuzz-"))
        try:
            (folder / name).write_bytes(data)
            with _within(folder):
                return _main(*args)
        finally:
            shutil.rmtree(folder)

    return run


@contextmanager
def _within(folder: Path) -> Iterator[None]:
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


def _main(*args: str) -> int:
    from pipelines.cli import main

    before, sys.argv = sys.argv, ["ensemble", *args]
    try:
        with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
            main()
    except SystemExit as ending:
        return int(ending.code or 0)
    finally:
        sys.argv = before
    return 0


def _plan(data: bytes) -> int:
    """What every command that takes a members.yaml does first."""
    from pipelines.plan import make_plan

    folder = Path(tempfile.mkdtemp(prefix="fuzz-"))
    try:
        (folder / "m.yaml").write_bytes(data)
        with _within(folder):
            make_plan(Path("m.yaml"), keep_absent=True)
    except InputError:
        return 2
    finally:
        shutil.rmtree(folder)
    return 0


KINDS: dict[str, tuple[st.SearchStrategy[bytes], Callable[[bytes], int]]] = {
    "yaml": (_documents(), _plan),
    "csv": (_tables(), _command("f.csv", "data", "describe", "f.csv")),
    "zip": (_zips(), _command("f.zip", "data", "describe", "f.zip")),
    "image": (_images(), _decode),
}
"""Inputs by kind, and the way into the program."""


def fuzz(kind: str, cases: int, *, repeatable: bool = True) -> Exits:
    """Meet the program with so many inputs of a kind.

    Args:
        kind: A name of `KINDS`.
        cases: How many.
        repeatable: The same inputs every time.

    Returns:
        How often each exit code was seen.

    Raises:
        AssertionError: An input ended with another code than 0 or 2.
    """
    inputs, run = KINDS[kind]
    exits: Exits = Counter()

    @settings(
        max_examples=cases, deadline=None, derandomize=repeatable, database=None, phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(inputs)
    def meet(data: bytes) -> None:
        code = run(data)
        exits[code] += 1
        assert code in (0, 2)

    meet()
    return exits
