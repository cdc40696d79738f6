"""Data under other classes: labels, splits, votes, digests, and what is refused."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest

from backbones.errors import InputError
from ensemble.align_spec import AlignSpec
from ensemble.data_spec import DataSpec
from ensemble.expression import EXPRESSIONS
from pipelines import votes as votes_module
from pipelines.class_coverage import map_note, require_training_faces
from pipelines.console import Console
from pipelines.data_opening import open_data
from pipelines.face_loading import load_faces
from pipelines.face_store import FaceStore
from pipelines.reader.class_folder import ClassFolder
from pipelines.reader.fer_csv import FerCsv
from pipelines.workspace import Workspace

FOLDERS = ("anger", "disgust", "fear", "joy", "sadness", "surprise", "neutral", "contempt")
NO_CONTEMPT = {"contempt": None}
USAGES = ("Training", "Training", "Training", "PublicTest")


def write_folders(root: Path, folders: tuple[str, ...] = FOLDERS, count: int = 6) -> Path:
    """Folders of faces, each of one grey level: 20 per folder, plus one per face."""
    for row, folder in enumerate(folders):
        for split, share in (("train", count - 2), ("val", 1), ("test", 1)):
            (root / split / folder).mkdir(parents=True, exist_ok=True)
            for number in range(share):
                image = np.full((12, 12), 20 * (row + 1) + number, dtype=np.uint8)
                cv2.imwrite(str(root / split / folder / f"{folder}{number}.png"), image)
    return root


def write_csv(path: Path, emotions: list[str]) -> Path:
    """A table of faces; the pixels of each are its row's number."""
    rows = [f"{name},{' '.join([str(row)] * 4)},{USAGES[row % 4]}" for row, name in enumerate(emotions)]
    path.write_text("\n".join(["emotion,pixels,Usage", *rows]))
    return path


def load(source: Path, classes=None, **more) -> FaceStore:
    return load_faces(source, classes=classes, cache=Path("cache"), **more)


def greys(store: FaceStore, split: str) -> dict[str, list[int]]:
    """Folder (from the grey level) of every face by class."""
    faces = store.split(split)
    found: dict[str, list[int]] = {}
    for image, label in zip(faces.images, faces.labels, strict=True):
        found.setdefault(faces.classes[label], []).append(int(image[0, 0]) // 20 - 1)
    return {name: sorted(set(rows)) for name, rows in found.items()}


def test_a_class_left_out_is_left_out_everywhere_and_the_others_keep_their_places(tmp_path) -> None:
    source = write_folders(tmp_path / "eight")
    whole, store = load(source), load(source, NO_CONTEMPT)
    assert whole.classes == (*EXPRESSIONS, "contempt")
    assert store.classes == EXPRESSIONS
    assert store.counts == {"train": 28, "validation": 7, "test": 7}
    assert store.unwanted == {"train": 4, "validation": 1, "test": 1}
    assert min(store.unwanted_names) == "test/contempt/contempt0.png"
    assert len(store.unwanted_names) == 6
    assert (whole.unwanted, whole.unwanted_names) == (None, [])
    for split in store.counts:
        assert greys(store, split) == {name: [row] for row, name in enumerate(EXPRESSIONS)}
        kept = whole.split(split).labels < 7
        assert store.split(split).ids.tolist() == whole.split(split).ids[kept].tolist()
    assert map_note(store, NO_CONTEMPT) == (
        f"classes of {source} mapped: contempt left out; 6 faces left out (4 train, 1 validation, 1 test)"
    )


def test_classes_are_merged_and_renamed(tmp_path) -> None:
    wanted = {"contempt": "disgust", "sad": "calm", "fear": "gloom"}  # calm is a name of neutral
    store = load(write_folders(tmp_path / "eight"), wanted)
    assert store.classes == ("angry", "disgust", "happy", "surprise", "neutral", "gloom")
    assert greys(store, "train") == {
        "angry": [0], "disgust": [1, 7], "gloom": [2], "happy": [3], "neutral": [4, 6], "surprise": [5],
    }  # fmt: skip
    assert "contempt → disgust, sad → calm, fear → gloom; no face left out" in map_note(store, wanted)


def test_a_table_is_cut_face_by_face(tmp_path) -> None:
    emotions = [*"0123456", "contempt"] * 3 + ["happy"] * 80
    source = write_csv(tmp_path / "fer.csv", emotions)
    store = load(source, NO_CONTEMPT, options={"size": 2})
    whole = load(source, options={"size": 2})
    assert whole.classes == (*EXPRESSIONS, "contempt")
    assert load(write_csv(tmp_path / "seven.csv", ["0", "1"] * 4), options={"size": 2}).classes == EXPRESSIONS
    faces = store.split("train")
    rows = [row for row, name in enumerate(emotions) if row % 4 < 3 and name != "contempt"]
    assert faces.images[:, 0, 0].tolist() == rows
    assert faces.ids.tolist() == [f"Training_{row}" for row in rows]
    assert store.unwanted == {"train": 0, "validation": 3}


def test_groups_follow_the_faces(tmp_path) -> None:
    whole = load_faces("synthetic", options={"count": 140}, cache=tmp_path)
    store = load_faces("synthetic", options={"count": 140}, classes={"neutral": None}, cache=tmp_path)
    for split in store.counts:
        kept = whole.split(split).labels < 6
        np.testing.assert_array_equal(store.groups(split), whole.groups(split)[kept])
        np.testing.assert_array_equal(store.split(split).images, whole.split(split).images[kept])


def test_the_digest_follows_the_classes_and_stays_without_a_map(tmp_path) -> None:
    source = write_folders(tmp_path / "eight")
    maps = [None, {}, {"anger": "angry"}, NO_CONTEMPT, {"contempt": "disgust"}, {"contempt": "scorn"}]
    stores = [load(source, wanted) for wanted in maps]
    plain, none, same, *changed = [(s.digest, s.digests["train"], s.split("train").digest) for s in stores]
    assert plain == none == same
    assert len({plain, *changed}) == 4
    assert len({digests[1] for digests in (plain, *changed)}) == 4  # scorn has contempt's index, and another name
    for store in stores:
        faces = store.split("train")
        assert faces.take(np.arange(len(faces))).digest == faces.digest
    assert stores[0].folder == stores[1].folder
    assert len({store.folder for store in stores}) == 5
    assert load(source, NO_CONTEMPT) == stores[3]


def test_two_names_of_one_expression_are_the_users_to_merge(tmp_path) -> None:
    source = write_folders(tmp_path / "two", ("anger", "joy", "happy"))
    assert ClassFolder().scan(source).classes == ("angry", "happy", "joy")
    message = (
        r"one name per class in .*, but 'happy' and 'joy' mean happy\. Merge .*`data: \{classes: \{joy: happy\}\}`"
    )
    with pytest.raises(InputError, match=message):
        load(source)
    assert greys(load(source, {"joy": "happy"}), "train") == {"angry": [0], "happy": [1, 2]}
    with pytest.raises(InputError, match="one name per class"):
        load(source, {"happy": "sad"})


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ({"contemt": None}, r"classes of .*eight, but got 'contemt'\. Did you mean `contempt`\?"),
        (dict.fromkeys(FOLDERS), r"at least 2 classes of .*eight"),
        ({"contempt": "uncertain"}, r"no class named `uncertain`"),
        ({"contempt": "joy ", "joy": "Uncertain"}, r"no class named `uncertain`"),
    ],
)
def test_what_cannot_be_mapped_is_refused(wanted, message, tmp_path) -> None:
    with pytest.raises(InputError, match=message):
        load(write_folders(tmp_path / "eight"), wanted)
    assert not list(Path("cache/faces").glob("*/meta.json"))


def test_a_class_without_training_faces_is_left_out_or_refused(tmp_path) -> None:
    source = write_folders(tmp_path / "six", FOLDERS[:6])
    assert load(source).classes == EXPRESSIONS
    for wanted, empty, remedy in (
        ({"sad": "fear"}, "sad", None),
        ({"disgust": "angry"}, "neutral", "neutral: null"),
        ({"disgust": "angry", "neutral": "bored"}, "bored", "neutral: null"),
    ):
        store = load(source, wanted)
        if remedy is None:
            assert empty not in store.classes
            continue
        with pytest.raises(InputError, match=rf"none of {empty}\. Leave out .* `classes: \{{{remedy}\}}`"):
            require_training_faces(store, wanted)
    store = load(source, {"neutral": None})
    assert store.classes == EXPRESSIONS[:6]
    require_training_faces(store, {"neutral": None})


def test_data_that_is_opened_to_fit_has_faces_of_every_class(tmp_path, capsys) -> None:
    spec = DataSpec(source=str(write_folders(tmp_path / "six", FOLDERS[:6])), classes={"disgust": "angry"})
    store = open_data(spec, Workspace(), Console())
    assert store.classes == ("angry", "fear", "happy", "sad", "surprise", "neutral")
    assert capsys.readouterr().err.count("mapped: disgust → angry; no face left out") == 1
    with pytest.raises(InputError, match="none of neutral"):
        open_data(spec, Workspace(), Console(), fit=True)


def votes_file(path: Path, rows: list[tuple[str, str, dict[str, int]]]) -> Path:
    """FER+ votes: (file, usage, votes by emotion)."""
    emotions = votes_module._EMOTIONS
    lines = [f"file,Usage,{','.join(emotions)},unknown,NF"]
    lines += [f"{name},{usage},{','.join(str(own.get(e, 0)) for e in emotions)},0,0" for name, usage, own in rows]
    path.write_text("\n".join(lines))
    return path


def test_votes_go_where_their_faces_go(tmp_path) -> None:
    source = write_folders(tmp_path / "eight")
    rows = [
        ("anger0.png", "Training", {"anger": 4, "contempt": 2, "disgust": 2}),
        ("anger1.png", "Training", {"contempt": 10}),
        ("joy0.png", "Training", {"happiness": 5, "fear": 5}),
    ]
    votes = votes_file(tmp_path / "votes.csv", rows)
    names = ("train/anger/anger0.png", "train/anger/anger1.png", "train/joy/joy0.png")

    def read(wanted) -> dict[str, dict[str, float]]:
        faces = load(source, wanted, votes=votes).split("train")
        assert faces.votes is not None
        rows = {str(name): row for name, row in zip(faces.ids, faces.votes, strict=True)}
        return {
            name.rpartition("/")[2][:-4]: {
                c: round(float(v), 4) for c, v in zip(faces.classes, rows[name], strict=True) if v
            }
            for name in names
        }

    assert read(None)["anger0"] == {"angry": 0.5, "disgust": 0.25, "contempt": 0.25}
    assert read(NO_CONTEMPT) == {
        "anger0": {"angry": 0.6667, "disgust": 0.3333}, "anger1": {"angry": 1.0}, "joy0": {"fear": 0.5, "happy": 0.5},
    }  # fmt: skip
    assert read({"contempt": "disgust", "fear": "gloom"}) == {
        "anger0": {"angry": 0.5, "disgust": 0.5}, "anger1": {"disgust": 1.0}, "joy0": {"gloom": 0.5, "happy": 0.5},
    }  # fmt: skip
    with pytest.raises(InputError, match=r"by name in `classes` beside `votes`.*got '7'"):
        load(source, {"7": None}, votes=votes)


def test_votes_of_a_table_are_matched_by_row_though_faces_are_left_out(tmp_path) -> None:
    emotions = [EXPRESSIONS[row % 7] for row in range(140)]
    names = dict(
        zip(EXPRESSIONS, ("anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral"), strict=True)
    )
    rows = [("", USAGES[row % 4], {names[e]: 9, "fear": 1}) for row, e in enumerate(emotions)]
    source = write_csv(tmp_path / "fer.csv", emotions)
    store = load(source, {"disgust": None}, votes=votes_file(tmp_path / "votes.csv", rows), options={"size": 2})
    faces = store.split("train")
    assert faces.votes is not None
    assert Counter(faces.votes.argmax(axis=1).tolist()) == Counter(faces.labels.tolist())
    np.testing.assert_array_equal(faces.votes.argmax(axis=1), faces.labels)
    assert faces.votes.max() == pytest.approx(1.0)
    assert np.sort(np.unique(faces.votes)).tolist() == pytest.approx([0.0, 0.1, 0.9, 1.0])
    with pytest.raises(InputError, match="matches one of the"):
        load(source, {"disgust": None}, votes=votes_file(tmp_path / "cut.csv", rows[:-1]), options={"size": 2})


def test_a_table_with_other_numbers_is_still_refused(tmp_path) -> None:
    with pytest.raises(InputError, match=r"Expected `emotion` in 0\.\.6 in .*row 1, but got '7'.*and `contempt`"):
        FerCsv(size=2).scan(write_csv(tmp_path / "fer.csv", ["0", "7"]))


def test_describe_shows_the_classes_that_result(cli, tmp_path) -> None:
    source = write_folders(tmp_path / "eight")
    done = cli("data", "describe", str(source), "--classes", "contempt=,joy=fear", "--classes", "sad=angry")
    assert done.code == 0, done.err
    header = next(line for line in done.out.splitlines() if "split" in line)
    assert header.replace("┃", " ").replace("│", " ").split()[2:] == [
        "angry", "disgust", "fear", "surprise", "neutral",
    ]  # fmt: skip
    assert "contempt left out, joy → fear, sad → angry; 6 faces left out" in done.err
    done = cli("data", "describe", str(source), "--classes", "contemt=")
    assert done.code == 2
    assert "Did you mean `contempt`?" in done.err
    done = cli("data", "describe", str(source), "--classes", "contempt")
    assert "Expected `--classes` as NAME=NAME" in done.err


def test_faces_to_align_are_mapped_first(tmp_path) -> None:
    more = {"options": {"count": 50}, "align": AlignSpec(size=32), "device": "cpu"}
    whole = load_faces("synthetic", cache=tmp_path, **more)
    store = load_faces("synthetic", classes={"neutral": None}, cache=tmp_path, **more)
    assert store.classes == EXPRESSIONS[:6]
    assert sum(store.counts.values()) < sum(whole.counts.values())
    for split in store.counts:
        kept = whole.split(split).labels < 6
        assert store.split(split).ids.tolist() == whole.split(split).ids[kept].tolist()
        np.testing.assert_array_equal(store.split(split).images, whole.split(split).images[kept])
