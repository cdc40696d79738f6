"""Photos to predict that are no photos. The committee `tiny` lies in the folder."""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Sequence
from pathlib import Path

from PIL import Image

from hostile.archives import zipped
from hostile.case import Case, png, png_claiming, put, saved


def _photo(name: str, data: bytes | Callable[[Path], object]) -> Callable[[Path], Sequence[str]]:
    def make(folder: Path) -> Sequence[str]:
        put(folder / name, data)
        return ("predict", name, "--detect", "none", "--out", "out.csv")

    return make


_GREY = Image.new("L", (40, 40), 90)
_BMP = b"BM" + struct.pack("<IHHI", 1000, 0, 0, 54) + struct.pack("<IiiHHIIiiII", 40, 70_000, 70_000, 1, 24, *[0] * 6)
_SMALL = saved(_GREY, "GIF")
_GIF = _SMALL[:6] + struct.pack("<HH", 65_535, 65_535) + _SMALL[10:]
_TIFF = saved(_GREY, "TIFF")

PHOTOS = (
    Case("photo png bomb", _photo("x.png", png_claiming(60_000, 60_000)), ("x.png", "60,000 by 60,000")),
    Case("photo png larger than any", _photo("x.png", png_claiming(2**31 - 1, 2**31 - 1)), ("x.png", "2,147,483,647")),
    Case("photo png without width", _photo("x.png", png_claiming(0, 10)), ("x.png", "readable image")),
    Case("photo bmp bomb", _photo("x.bmp", _BMP), ("x.bmp", "pixels")),
    Case("photo gif bomb", _photo("x.gif", _GIF), ("x.gif", "pixels")),
    Case("photo pgm bomb", _photo("x.pgm", b"P5 99999 99999 255\n" + b"\0" * 99), ("x.pgm", "pixels")),
    Case("photo text", _photo("x.png", b"hello"), ("x.png", "image format")),
    Case("photo empty", _photo("x.jpg", b""), ("x.jpg", "image format")),
    Case("photo html", _photo("x.jpg", b"<!doctype html><img src=x>"), ("x.jpg", "image format")),
    Case("photo svg", _photo("x.png", b"<svg xmlns='http://www.w3.org/2000/svg'/>"), ("x.png", "image format")),
    Case("photo PostScript", _photo("x.png", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n"),
         ("x.png", "image format")),
    Case("photo program", _photo("x.png", b"#!/bin/sh\ntouch owned\n"), ("x.png", "image format")),
    Case("photo half a png", _photo("x.png", png()[:70]), ("x.png", "readable image")),
    Case("photo half a webp", _photo("x.webp", saved(_GREY, "WEBP")[:40]), ("x.webp", "readable image")),
    Case("photo tiff pointing nowhere", _photo("x.tif", _TIFF[:4] + b"\xff" * 4 + _TIFF[8:]), ("x.tif",)),
    Case("photo of zeros", _photo("x.jpg", b"\0" * 4096), ("x.jpg", "image format")),
    Case("photo of another kind", _photo("x.doc", b"x"), ("x.doc", "image")),
    Case("photo pipe", _photo("x.png", lambda path: os.mkfifo(path)), ("x.png", "pipe")),
    Case("photo absent", lambda f: ("predict", "gone.png"), ("gone.png",)),
    Case("photos in a zip that slips", _photo("p.zip", zipped({"../x.png": png()})), ("p.zip", "points outside")),
    Case("photos in a zip with text", _photo("p.zip", zipped({"sad/z.png": b"hello"})), ("sad/z.png", "image format")),
    Case("photos in an empty folder", lambda f: (f / "p").mkdir() or ("predict", "p"), ("p", "image")),
    Case("photos named too long", lambda f: ("predict", "y" * 5000 + ".png"), ("yyy", "too long")),
)  # fmt: skip
