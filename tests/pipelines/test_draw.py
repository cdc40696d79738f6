from __future__ import annotations

import os
import zipfile
from collections.abc import Callable
from pathlib import Path, PurePosixPath

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from support import Outcome

from ensemble.expression import EXPRESSIONS
from pipelines.annotation import MarkedFace, annotate, text_size
from pipelines.drawing_place import drawing_names, fitting_name
from pipelines.face_chart import ACCENT, BAR, UNSURE, FaceAnswer, FaceChart
from pipelines.face_sheet import FaceCard, draw_sheet, enlarge
from pipelines.image_file import upright_photo

Cli = Callable[..., Outcome]

PROBS = np.array([0.05, 0.0, 0.25, 0.5, 0.1, 0.02, 0.08])


def answer(probs: np.ndarray = PROBS, *, decided: bool = True, number: int = 0, truth: str = "") -> FaceAnswer:
    label = EXPRESSIONS[int(probs.argmax())] if decided else "uncertain"
    return FaceAnswer(
        label=label, decided=decided, classes=EXPRESSIONS, probs=probs, number=number, truth=truth,
        threshold=None if decided else 0.6,
    )  # fmt: skip


def astronaut() -> Image.Image:
    from skimage import data

    return Image.fromarray(np.asarray(data.astronaut()))


def runs(pixels: np.ndarray, colour: tuple[int, int, int]) -> dict[int, int]:
    """How many pixels of a colour every row of a picture has, for rows with any."""
    counts = (pixels == colour).all(axis=2).sum(axis=1)
    return {int(row): int(counts[row]) for row in np.flatnonzero(counts)}


@pytest.mark.parametrize("text", [12, 13, 40])
def test_bars_are_as_long_as_the_probabilities(text: int) -> None:
    chart = FaceChart(answer(), text)
    canvas = Image.new("RGB", (chart.width, chart.height), "white")
    chart.paint(canvas, 0, 0)
    pixels = np.asarray(canvas)
    longest = runs(pixels, ACCENT)
    assert set(longest.values()) == {round(0.5 * 7 * text)}
    others = runs(pixels, BAR)
    rows = np.array(sorted(others))
    bars = np.split(rows, np.flatnonzero(np.diff(rows) > 1) + 1)
    expected = [round(p * 7 * text) for p in PROBS if p not in (0.0, 0.5)]
    assert [others[int(bar[0])] for bar in bars] == [length for length in expected if length]
    assert bars[1][-1] < min(longest) < max(longest) < bars[2][0]  # in the order of the classes: happy is the fourth


def test_certainty_one_fills_its_bar_and_nothing_else() -> None:
    chart = FaceChart(answer(np.eye(7)[6]), 20)
    canvas = Image.new("RGB", (chart.width, chart.height))
    chart.paint(canvas, 0, 0)
    assert set(runs(np.asarray(canvas), ACCENT).values()) == {140}
    assert not runs(np.asarray(canvas), BAR)


@pytest.mark.parametrize("paint", ["white", "black", "#ffb000"])
def test_a_box_is_seen_on_any_ground(paint: str) -> None:
    photo = Image.new("RGB", (640, 480), paint)
    picture = np.asarray(annotate(photo, [MarkedFace(box=(100, 120, 220, 240), answer=answer())]))
    for y in (121, 239):
        assert (picture[y, 110:210] == ACCENT).all()
    for x in (101, 219):
        assert (picture[130:230, x] == ACCENT).all()
    around = picture[118:243, 160]
    assert (around == 0).all(axis=1).sum() >= 4  # black lines within and without, above and below
    np.testing.assert_array_equal(picture[140:220, 120:200], np.asarray(photo)[140:220, 120:200])


def test_a_chart_stays_on_the_photo_where_there_is_room_and_never_covers_a_face() -> None:
    photo = Image.new("RGB", (1200, 800), "white")
    boxes = [(100, 200, 300, 400), (700, 100, 860, 260)]
    faces = [MarkedFace(box=b, answer=answer(number=i + 1)) for i, b in enumerate(boxes)]
    picture = annotate(photo, faces)
    assert picture.size == photo.size
    for x0, y0, x1, y1 in boxes:
        assert (np.asarray(picture)[y0 + 8 : y1 - 8, x0 + 8 : x1 - 8] == 255).all()


@pytest.mark.parametrize("size", [(300, 300), (900, 300), (120, 130), (3000, 2000)])
def test_without_room_the_photo_grows_a_strip(size: tuple[int, int]) -> None:
    photo = Image.new("RGB", size, "white")
    width, height = size
    boxes = [(i * width / 5, 2, (i + 1) * width / 5 - 4, height - 3) for i in range(5)]
    faces = [MarkedFace(box=b, answer=answer(number=i + 1)) for i, b in enumerate(boxes)]
    picture = annotate(photo, faces)
    assert picture.height > height
    assert picture.width >= width
    strip = np.asarray(picture)[height:]
    chart = FaceChart(answer(number=1), text_size(size))
    accents = sum(runs(strip, ACCENT).values())
    whole = Image.new("RGB", (chart.width, chart.height))
    chart.paint(whole, 0, 0)
    if picture.height <= 2 * height:  # else the text of the charts is smaller
        assert accents == 5 * sum(runs(np.asarray(whole), ACCENT).values())
    assert accents > 0


def test_boxes_beyond_the_photo_are_drawn_at_its_edge() -> None:
    photo = Image.new("RGB", (400, 300), "white")
    picture = np.asarray(annotate(photo, [MarkedFace(box=(-50, -50, 100, 100), answer=answer())]))
    assert (picture[20:90, 0] == ACCENT).all()
    assert (picture[0, 80:99] == ACCENT).all()


def test_an_undecided_face_says_so() -> None:
    unsure = answer(decided=False, number=2)
    assert unsure.heading == "2  uncertain (happy?) 50%"
    picture = np.asarray(annotate(Image.new("RGB", (640, 480)), [MarkedFace(box=(50, 60, 200, 210), answer=unsure)]))
    assert not runs(picture, ACCENT)
    edge = (picture[61, 50:200] == UNSURE).all(axis=1)
    assert 0.3 < edge.mean() < 0.7  # dashed


def test_text_grows_with_the_photo() -> None:
    sizes = [text_size((s, s)) for s in (100, 500, 1000, 4000)]
    assert sizes == sorted(sizes)
    assert sizes[0] == 13
    assert sizes[-1] > 70


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_small_faces_are_enlarged_in_sharp_squares(mode: str) -> None:
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (48, 48) if mode == "L" else (48, 48, 3), dtype=np.uint8)
    large = np.asarray(enlarge(Image.fromarray(pixels), 144))
    np.testing.assert_array_equal(large, pixels.repeat(3, axis=0).repeat(3, axis=1))


def test_a_sheet_holds_every_face() -> None:
    faces = np.arange(9, dtype=np.uint8)[:, None, None] * np.ones((9, 48, 48), np.uint8) * 20 + 60
    cards = [FaceCard(name=f"face {i}", pixels=f, answer=answer(truth="sad")) for i, f in enumerate(faces)]
    pixels = np.asarray(draw_sheet(cards))
    for face in faces:
        assert (pixels == face[0, 0]).all(axis=2).sum() >= 144 * 144
    lengths = sum(runs(pixels, ACCENT).values())
    assert lengths == sum(runs(np.asarray(draw_sheet(cards[:1])), ACCENT).values()) * 9


def test_names_keep_their_place_and_never_meet() -> None:
    sources: list[tuple[Path, list[str]]] = [
        (Path("a"), ["1.jpg", "x/1.PNG", "1.gif"]), (Path("b/c.zip"), ["1.jpg"]), (Path("a/1.jpg"), []),
        (Path("A/1.jpg"), []), (Path("b/../a/2.webp"), []), (Path("a/new\nline.png"), []), (Path("a/\udcff.png"), []),
    ]  # fmt: skip
    names = drawing_names(sources)
    places = [str(place) for place in names.values()]
    assert places == [
        "a/1.jpg", "a/x/1.PNG", "a/1.gif.png", "b/c.zip/1.jpg", "A/1-2.jpg", "a/2.webp", "a/new\nline.png",
        "a/\\xff.png",
    ]  # fmt: skip
    assert len({place.casefold() for place in places}) == len(places)


def test_one_source_keeps_its_own_names() -> None:
    assert list(drawing_names([(Path("deep/in/photo.jpg"), [])]).values()) == [PurePosixPath("photo.jpg")]
    assert list(drawing_names([(Path("a.zip"), ["b/1.png"])]).values()) == [PurePosixPath("b/1.png")]


def test_long_names_fit() -> None:
    one, other = (fitting_name(PurePosixPath("d") / f"{'ä' * 110}{end}.jpeg") for end in "xy")
    assert one != other
    assert one.suffix == ".jpeg"
    assert max(len(os.fsencode(n.name)) for n in (one, other)) <= 200


def test_transparent_parts_are_white_and_turned_photos_upright(tmp_path: Path) -> None:
    image = np.zeros((20, 30, 4), np.uint8)
    image[:, :15] = (200, 100, 50, 255)
    Image.fromarray(image).save(tmp_path / "a.png")
    seen = np.asarray(upright_photo((tmp_path / "a.png").read_bytes(), name="a"))
    assert (seen[:, :15] == (200, 100, 50)).all()
    assert (seen[:, 15:] == 255).all()
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(image[..., :3]).save(tmp_path / "b.jpg", exif=exif)
    assert upright_photo((tmp_path / "b.jpg").read_bytes(), name="b").size == (20, 30)


def test_photos_are_drawn_where_the_prediction_file_says(tiny: Path, cli: Cli) -> None:
    photos = tiny / "photos"
    (photos / "old").mkdir(parents=True)
    photo = astronaut()
    photo.save(photos / "one.png")
    two = Image.new("RGB", (1024, 512))
    two.paste(photo, (0, 0))
    two.paste(photo.transpose(Image.Transpose.FLIP_LEFT_RIGHT), (512, 0))
    two.save(photos / "old" / "two.png")
    photo.convert("L").save(photos / "grey.gif")
    exif = Image.Exif()
    exif[0x0112] = 6
    photo.rotate(90).save(photos / "turned.jpg", exif=exif, quality=95)
    Image.new("RGB", (300, 200), "white").save(photos / "none.png")
    photo.crop((170, 60, 280, 170)).resize((48, 48)).save(photos / "tiny.png")
    before = {path: path.read_bytes() for path in photos.rglob("*.*")}
    outcome = cli("predict", "photos", "--draw", "drawn/deep", "--out", "p.csv", "--batch-size", "2")
    assert outcome.code == 0, outcome.err
    assert "drawn/deep: 6 pictures" in outcome.out
    assert {path: path.read_bytes() for path in photos.rglob("*.*")} == before
    drawn = tiny / "drawn/deep"
    found = sorted(str(path.relative_to(drawn)) for path in drawn.rglob("*") if path.is_file())
    assert found == ["grey.gif.png", "none.png", "old/two.png", "one.png", "tiny.png", "turned.jpg"]
    frame = pd.read_csv("p.csv").set_index("id")
    for name, photo_file in (("photos/one.png", "one.png"), ("photos/old/two.png", "old/two.png")):
        picture = np.asarray(Image.open(drawn / photo_file)).astype(int)
        for row in frame.loc[[name]].itertuples():
            x0, y0, x1, y1 = (round(v) for v in (row.x0, row.y0, row.x1, row.y1))
            assert (picture[y0, x0 + 20 : x1 - 20] == ACCENT).all()
            assert (picture[y0 + 20 : y1 - 20, x1] == ACCENT).all()
            inner = np.s_[y0 + 12 : y1 - 12, x0 + 12 : x1 - 12]
            np.testing.assert_array_equal(picture[inner], np.asarray(Image.open(photos / photo_file))[inner])
    turned = Image.open(drawn / "turned.jpg")
    assert turned.format == "JPEG"
    assert turned.getexif().get(0x0112) is None
    upright = np.asarray(turned)[400:500, 20:140].astype(int)
    assert np.abs(upright - np.asarray(photo)[400:500, 20:140]).mean() < 12
    blank = Image.open(drawn / "none.png")
    assert blank.size == (300, 226)
    assert (np.asarray(blank)[:200] == 255).all()
    card = np.asarray(Image.open(drawn / "tiny.png"))
    tiny_face = np.asarray(Image.open(photos / "tiny.png"))
    np.testing.assert_array_equal(card[:192, :192], tiny_face.repeat(4, axis=0).repeat(4, axis=1))
    assert (
        cli("predict", "photos/tiny.png", "--draw", "drawn/deep", "--out", "p.csv").code == 0
    )  # drawings may be drawn anew


def test_the_committees_own_faces_go_on_sheets(tiny: Path, cli: Cli) -> None:
    outcome = cli("predict", "--draw", "sheets", "--out", "p.csv", "--min-confidence", "0.3")
    assert outcome.code == 0, outcome.err
    faces = len(pd.read_csv("p.csv"))
    assert [p.name for p in Path("sheets").iterdir()] == [f"faces-000001-{faces:06}.png"]
    assert "sheets: 1 sheet\n" in outcome.out


def test_a_small_labelled_tree_or_zip_keeps_its_names(tiny: Path, cli: Cli) -> None:
    rng = np.random.default_rng(1)
    with zipfile.ZipFile("set.zip", "w") as archive:
        for index in range(14):
            path = tiny / "set" / EXPRESSIONS[index % 7] / f"{index}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(rng.integers(0, 256, (48, 48), dtype=np.uint8)).save(path)
            archive.write(path, path.relative_to(tiny))
    for source in ("set", "set.zip"):
        outcome = cli("predict", source, "--draw", f"out-{source}", "--out", "p.csv")
        assert outcome.code == 0, outcome.err
        drawn = {str(p.relative_to(f"out-{source}")) for p in Path(f"out-{source}").rglob("*.png")}
        assert drawn == {f"{EXPRESSIONS[i % 7]}/{i}.png" for i in range(14)}


def test_memory_does_not_grow_with_the_photos(tiny: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """However large the batches, a block is handed on when its photos fill the room there is for them."""
    from pipelines import drawing, face_block

    held: list[int] = []
    add = drawing.Drawing.add

    def watched(self, block, predictions):
        held.append(sum(map(len, block.photos.values())))
        add(self, block, predictions)

    folder = tiny / "many"
    folder.mkdir()
    rng = np.random.default_rng(2)
    for index in range(9):
        Image.fromarray(rng.integers(0, 256, (60, 60), dtype=np.uint8)).save(folder / f"{index}.png")
    size = (folder / "0.png").stat().st_size
    monkeypatch.setattr(drawing.Drawing, "add", watched)
    monkeypatch.setattr(face_block, "_PHOTO_BYTES", 2 * size)
    assert cli("predict", "many", "--draw", "out", "--out", "p.csv", "--batch-size", "256").code == 0
    assert len(held) >= 4
    assert max(held) < 3.2 * size
    assert len(list(Path("out").iterdir())) == 9
    held.clear()
    assert cli("predict", "many", "--out", "p.csv").code == 0
    assert set(held) == {0}  # nobody draws, so nothing is kept


@pytest.mark.parametrize(
    ("inputs", "place", "message"),
    [
        ("photos", "file.txt", "Expected `--draw` to be a folder, but `file.txt` is a file"),
        ("photos", "photos", "`photos` is in it"),
        ("photos", "photos/drawn", "`photos/drawn` is in `photos`"),
        ("photos", "link/drawn", "would take the drawings for photos"),
        ("photos", ".", "Choose a folder of its own"),
        ("photos/one.png", "photos", "`photos/one.png` is in it"),
        ("photos/*.png", "photos", "so that no photo is overwritten"),
        ("photos", "file.txt/drawn", "folder that can be written to, but"),
        ("photos", "others", "`others/one.png` is something else"),
        ("nothing.png", "drawn", "found no 'nothing.png'"),
    ],
)
def test_wrong_folders_are_refused(tiny: Path, cli: Cli, inputs: str, place: str, message: str) -> None:
    for folder in ("photos", "others"):
        Path(folder).mkdir()
        Image.new("RGB", (48, 48), "green").save(f"{folder}/one.png")
    Path("link").symlink_to("photos")
    Path("file.txt").write_text("mine")
    before = {path: path.read_bytes() for path in tiny.glob("*/*.png")}
    outcome = cli("predict", inputs, "--draw", place, "--out", "p.csv")
    assert outcome.code == 2
    assert message in outcome.err
    assert not Path("p.csv").exists()
    assert {path: path.read_bytes() for path in tiny.glob("*/*.png")} == before
    assert Path("file.txt").read_text() == "mine"
