"""Folders with links, pipes and images that are none."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

from PIL import Image

from hostile.case import EMOTIONS, Case, image_files, png, png_claiming, put, saved

Change = Callable[[Path], object]


def _folder(change: Change, files: dict[str, bytes] | None = None) -> Callable[[Path], Sequence[str]]:
    def make(folder: Path) -> Sequence[str]:
        (folder / "photos").mkdir()
        for name, data in (image_files() if files is None else files).items():
            put(folder / "photos" / name, data)
        change(folder / "photos")
        return ("data", "describe", "photos")

    return make


def _with(name: str, data: bytes) -> Callable[[Path], Sequence[str]]:
    return _folder(lambda folder: put(folder / name, data))


def _link(name: str, target: str) -> Change:
    return lambda folder: (folder / name).symlink_to(target)


def _huge(folder: Path) -> None:
    with (folder / "sad" / "x.png").open("wb") as file:
        file.write(png())
        file.truncate(1 << 40)


def _groups(text: bytes) -> Callable[[Path], Sequence[str]]:
    return _with("groups.csv", text)


_JPEG = saved(Image.new("RGB", (40, 40), (90, 50, 20)), "JPEG")
_SAME = {f"train/{name}/{i}.png": png(i) for name in ("happy", "joyful!") for i in range(9)}

FOLDERS = (
    Case("folder empty", _folder(lambda f: None, {}), ("photos", "empty")),
    Case("folder of text", _folder(lambda f: None, {"notes.txt": b"hi"}), ("photos", "no layout")),
    Case("folder with a link out of it", _folder(_link("sad/x.png", "/etc/passwd")), ("x.png", "link", "/etc/passwd")),
    Case("folder with a folder link out", _folder(_link("fear/more", "/etc")), ("fear/more", "link")),
    Case("folder with a link to nowhere", _folder(_link("sad/x.png", "gone.png")), ("x.png", "no `")),
    Case("folder with a link in a circle", _folder(_link("sad/x.png", "x.png")), ("x.png",)),
    Case("folder with a pipe", _folder(lambda f: os.mkfifo(f / "sad/x.png")), ("sad/x.png", "pipe")),
    Case("folder with text as image", _with("sad/x.png", b"hello"), ("sad/x.png", "image format")),
    Case("folder with an empty image", _with("sad/x.png", b""), ("sad/x.png", "image format")),
    Case("folder with half a png", _with("sad/x.png", png()[:60]), ("sad/x.png", "readable image")),
    Case("folder with half a jpeg", _with("sad/x.jpg", _JPEG[:200]), ("sad/x.jpg", "readable image")),
    Case("folder with a pixel bomb", _with("sad/x.png", png_claiming(50_000, 50_000)), ("sad/x.png", "50,000")),
    Case("folder with an image of a terabyte", _folder(_huge), ("sad/x.png", "bytes")),
    Case("folder of one class", _folder(lambda f: None, {f"train/sad/{i}.png": png(i) for i in range(9)}),
         ("photos", "no layout")),
    Case("folder with images beside the classes", _with("x.png", png()), ("x.png", "expression")),
    Case("folder half in splits", _with("train/sad/x.png", png()), ("photos", "train, validation or test")),
    Case("folder with an empty training split",
         _folder(lambda f: None, {f"test/{n}/{i}.png": png(i) for n in EMOTIONS for i in range(3)}),
         ("photos", "train split")),
    Case("folder with a class `uncertain`", _with("uncertain/x.png", png()), ("photos", "uncertain")),
    Case("groups with other columns", _groups(b"a,b\n1,2\n"), ("groups.csv", "file,group")),
    Case("groups with a short row", _groups(b"file,group\nsad/0.png\n"), ("groups.csv", "2 fields")),
    Case("groups in no encoding", _groups(b"file,group\n\xff\xfe,1\n"), ("groups.csv", "UTF-8")),
    Case("groups empty", _groups(b""), ("groups.csv", "empty")),
    Case("groups of other images", _groups(b"file,group\nx.png,1\n"), ("groups.csv", "rows is an image")),
    Case("pipe as a data set", lambda f: os.mkfifo(f / "f.csv") or ("data", "describe", "f.csv"), ("f.csv", "pipe")),
    Case("data set absent", lambda f: ("data", "describe", "gone.zip"), ("gone.zip",)),
    Case("data set of another kind", lambda f: put(f / "f.pdf", b"%PDF") or ("data", "describe", "f.pdf"),
         ("f.pdf", "no layout")),
    Case("data set with a name too long", lambda f: ("data", "describe", "x" * 5000), ("xxx", "too long")),
)  # fmt: skip
