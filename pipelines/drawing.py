"""`ensemble predict --draw`: one annotated picture per photo, or sheets of the faces of a data set.

Photos are drawn one at a time while predictions stream by, so memory does not grow with their number.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath

import numpy as np
from PIL import Image

from backbones.errors import InputError
from ensemble.predictions import Predictions
from pipelines.annotation import MarkedFace, annotate, annotate_whole, note_below, text_size
from pipelines.atomic import replacing
from pipelines.drawing_place import FORMATS, drawing_names, fitting_name
from pipelines.face_block import FaceBlock
from pipelines.face_chart import FaceAnswer
from pipelines.face_sheet import PER_SHEET, FaceCard, draw_card, draw_sheet
from pipelines.face_stream import AlignedStream, FaceStream, ImageStream, LabelledStream
from pipelines.image_file import upright_photo

__all__ = ["Drawing"]

_MARK = "ensemble predict --draw"
_SOFTWARE = 0x0131
_LARGEST = {"JPEG": 65_500, "WEBP": 16_383, "PNG": 1 << 31}
_SINGLE = 500
_NO_FACE = "no face found"


class Drawing:
    """Draws what a stream of faces was predicted to show.

    Attributes:
        pictures: Files written so far.

    Args:
        folder: Of the pictures; None draws nothing.
    """

    def __init__(self, folder: Path | None) -> None:
        self.folder = folder
        self.pictures = 0
        self._photos: Mapping[str, PurePosixPath] = {}
        self._faces: Mapping[str, PurePosixPath] = {}
        self._cards: list[FaceCard] = []
        self._drawn = 0

    def plan(self, stream: FaceStream) -> None:
        """Decide the name of every picture of a stream.

        Raises:
            InputError: A file that is no drawing has such a name.
        """
        if self.folder is None:
            return
        if isinstance(stream, ImageStream):
            self._photos = drawing_names(stream.sources)
        elif isinstance(stream, LabelledStream | AlignedStream) and 0 < len(stream.listing.entries) <= _SINGLE:
            self._faces = {str(name): fitting_name(PurePosixPath(str(name))) for name in stream.listing.ids}
        places = [self.folder / place for place in (*self._photos.values(), *self._faces.values())]
        sheets = self.folder.glob("faces-*.png") if not places else ()
        for path in (*places, *sheets):
            _check_free(path)

    def add(self, block: FaceBlock, predictions: Predictions) -> None:
        """Draw the photos of a block, or collect its ready-cropped faces."""
        if self.folder is None:
            return
        for name, rows in _by_image(block):
            answers = list(_answers(block, predictions, rows))
            if name in self._photos:
                self._write(self._photos[name], _draw_photo(name, block, rows, answers))
            elif name in self._faces:
                face = Image.fromarray(block.faces[rows[0]]).convert("RGB")
                self._write(self._faces[name], draw_card(face, answers[0]))
            else:
                pairs = zip(rows, answers, strict=True)
                self._cards += [FaceCard(name=name, pixels=block.faces[row], answer=answer) for row, answer in pairs]
        while len(self._cards) >= PER_SHEET:
            self._write_sheet()

    def blank(self, name: str, data: bytes) -> None:
        """Draw a photo in which no face was found."""
        if name in self._photos:
            self._write(self._photos[name], note_below(upright_photo(data, name=name), _NO_FACE))

    def finish(self) -> list[str]:
        """Write what is left; returns lines that say what was drawn."""
        if self._cards:
            self._write_sheet()
        if self.folder is None:
            return []
        what = "sheet" if self._drawn else "picture"
        return [f"{self.folder}: {self.pictures:,} {what}{'s' * (self.pictures != 1)}"]

    def _write_sheet(self) -> None:
        cards, self._cards = self._cards[:PER_SHEET], self._cards[PER_SHEET:]
        first, self._drawn = self._drawn + 1, self._drawn + len(cards)
        self._write(PurePosixPath(f"faces-{first:06}-{self._drawn:06}.png"), draw_sheet(cards))

    def _write(self, place: PurePosixPath, picture: Image.Image) -> None:
        assert self.folder is not None
        kind = FORMATS[place.suffix.lower()]
        largest = _LARGEST[kind]
        if max(picture.size) > largest:
            picture.thumbnail((largest, largest))
        exif = Image.Exif()
        exif[_SOFTWARE] = _MARK
        quality = {"JPEG": {"quality": 92, "subsampling": 0}, "WEBP": {"quality": 92}}.get(
            kind, {}
        )  # sharp coloured text
        with replacing(self.folder / place) as temporary:
            picture.save(temporary, format=kind, exif=exif, **quality)
        self.pictures += 1


def _by_image(block: FaceBlock) -> Iterator[tuple[str, list[int]]]:
    """Rows of each image; those of a photo follow each other."""
    rows: dict[str, list[int]] = {}
    for row, name in enumerate(block.images):
        rows.setdefault(name, []).append(row)
    yield from rows.items()


def _answers(block: FaceBlock, predictions: Predictions, rows: list[int]) -> Iterator[FaceAnswer]:
    names, decided = predictions.names, predictions.decided
    for row in rows:
        yield FaceAnswer(
            label=names[row], decided=bool(decided[row]), classes=predictions.classes, probs=predictions.probs[row],
            number=block.numbers[row] + 1 if len(rows) > 1 else 0, truth=block.truths[row],
            threshold=predictions.min_confidence,
        )  # fmt: skip


def _draw_photo(name: str, block: FaceBlock, rows: list[int], answers: list[FaceAnswer]) -> Image.Image:
    photo = upright_photo(block.photos[name], name=name)
    if np.isnan(block.boxes[rows[0]]).any():  # the image is the face
        text = text_size(photo.size)
        return draw_card(photo, answers[0]) if min(photo.size) < 192 else annotate_whole(photo, answers[0], text=text)
    boxes = [tuple(float(v) for v in block.boxes[row]) for row in rows]
    return annotate(
        photo, [MarkedFace(box=(b[0], b[1], b[2], b[3]), answer=a) for b, a in zip(boxes, answers, strict=True)]
    )


def _check_free(path: Path) -> None:
    if not path.exists():
        return
    try:
        with Image.open(path) as image:
            own = image.getexif().get(_SOFTWARE) == _MARK
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        own = False
    if not own:
        raise InputError(
            f"Expected only drawings of an earlier run in the folder of `--draw`, but `{path}` is something else. "
            f"Choose another folder: nothing is overwritten."
        )
