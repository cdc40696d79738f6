"""The report page: what is on it, that its numbers are right, and that it needs and trusts nothing from outside."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import re
from pathlib import Path

import numpy as np
import pytest
from drawn_committee import Drawn, Page, make_committee
from PIL import Image
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

from ensemble.bank import load_posteriors
from pipelines.bundle import changed_files
from pipelines.page.evidence import read_evidence
from pipelines.page.page import draw_page

SECTIONS = (
    "leaderboard", "confusion", "classes", "confidence", "mistakes", "learning", "disagreement", "weights", "views",
    "cost", "making",
)  # fmt: skip


@pytest.fixture(scope="module")
def text(drawn: Drawn) -> str:
    return draw_page(read_evidence(drawn.folder), faces=drawn.faces)


@pytest.fixture(scope="module")
def page(text: str) -> Page:
    return Page(text)


def held_out(drawn: Drawn) -> np.ndarray:
    return load_posteriors(drawn.folder / "held_out.npz").splits["validation"].probs[0]


def test_every_section_names_every_member(page: Page, drawn: Drawn) -> None:
    assert [name for name in page.sections if name != "top"] == list(SECTIONS)
    for section in ("leaderboard", "confusion", "classes", "learning", "disagreement", "weights", "cost"):
        for name in drawn.names:
            assert name in page.sections[section], (section, name)
    assert page.text.count("<svg") > 40
    assert "member_9: no curves, another tool's probabilities" in page.sections["learning"]


def test_the_leaderboard_is_that_of_the_report(page: Page, drawn: Drawn) -> None:
    report = json.loads((drawn.folder / "report.json").read_text())
    for member in report["members"]:
        cells = [cell.get("data-v") for cell in page.row("leaderboard", member["name"])][1:]
        expected = [member[key] for key in ("accuracy", "accuracy_low")], [member["nll"], member["calibration_error"]]
        assert [float(c) for c in cells[:2]] == pytest.approx(expected[0])
        assert cells[2] == ""  # a member is not fitted on these faces
        assert [float(c) for c in cells[3:5]] == pytest.approx(expected[1])
        assert cells[5:] == [
            "" if member[key] is None else str(member[key]) for key in ("parameters", "epochs", "seconds")
        ]
    for name, rule in report["rules"].items():
        cells = [cell.get("data-v") for cell in page.row("leaderboard", "ten" if name == "committee" else name)]
        expected_rule = [rule["nested_accuracy"], rule["nested_interval"][0], rule["fitted_accuracy"], rule["nll"]]
        assert [float(str(c)) for c in cells[1:5]] == pytest.approx(expected_rule)
    own = report["rules"]["committee"]
    assert f"{100 * own['nested_accuracy']:.1f} %" in page.sections["top"]
    assert f"{100 * own['against_best_member']['gain']:+.1f}".replace("-", "−") in page.sections["top"]


def test_confusion_and_classes_are_those_of_scikit_learn(page: Page, drawn: Drawn) -> None:
    probs, labels, classes = held_out(drawn), drawn.faces.labels, drawn.faces.classes
    counts = confusion_matrix(labels, probs.argmax(axis=1), labels=range(len(classes)))
    for row, name in enumerate(classes):
        cells = page.row("confusion", name)[1:]
        found = [int(re.search(r": ([\d,]+) of", cell["title"])[1].replace(",", "")) for cell in cells]  # type: ignore[index]
        assert found == counts[row].tolist()
        shares = [int(cell["text"] or 0) for cell in cells]
        assert shares == pytest.approx(100 * counts[row] / counts[row].sum(), abs=0.51)
    scores = precision_recall_fscore_support(labels, probs.argmax(axis=1), zero_division=0)
    for row, name in enumerate(classes):
        found_scores = [float(cell["text"]) for cell in page.row("classes", name)[1:]]
        assert found_scores == pytest.approx([column[row] for column in scores], abs=5.1e-4)


def test_disagreement_is_the_share_of_different_votes(page: Page, drawn: Drawn) -> None:
    votes = [
        load_posteriors(drawn.folder / "members" / name / "posteriors.npz").splits["validation"].probs[0].argmax(1)
        for name in drawn.names[:3]
    ]
    cells = page.row("disagreement", drawn.names[0])
    assert cells[1]["text"] == ""
    assert [int(cell["text"]) for cell in cells[2:4]] == [round(100 * np.mean(votes[0] != votes[k])) for k in (1, 2)]


def test_the_gallery_shows_the_surest_wrong_answers_and_their_pixels(page: Page, drawn: Drawn) -> None:
    probs, labels, classes = held_out(drawn), drawn.faces.labels, drawn.faces.classes
    wrong = [row for row in range(len(labels)) if probs[row].argmax() != labels[row]]
    surest = sorted(wrong, key=lambda row: -probs[row].max())[:24]
    images = [value for tag, key, value in page.attributes if (tag, key) == ("img", "src")]
    titles = [value for tag, key, value in page.attributes if (tag, key) == ("li", "title")]
    assert titles == [str(drawn.faces.ids[row]) for row in surest]
    for uri, row in zip(images, surest, strict=True):
        pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(uri.removeprefix("data:image/png;base64,")))))
        assert np.array_equal(pixels, drawn.faces.images[row])
    first = surest[0]
    caption = f"{classes[labels[first]]} → {classes[probs[first].argmax()]}"
    assert caption in page.sections["mistakes"]
    assert f"{100 * probs[first].max():.0f} %" in page.sections["mistakes"]


def test_it_is_small_and_refers_to_nothing_outside(text: str, page: Page) -> None:
    assert len(text.encode()) < 5_000_000
    assert "http:" not in text
    assert "https:" not in text
    assert "@import" not in text
    assert "url(" not in text
    for tag, key, value in page.attributes:
        if key in ("src", "href", "srcset", "action", "data"):
            assert value.startswith(("#", "data:")), (tag, key, value)
        assert key != "style"
        assert not key.startswith("on")


def test_its_policy_lets_in_its_own_style_and_script_alone(text: str, page: Page) -> None:
    policy = next(value for tag, key, value in page.attributes if (tag, key) == ("meta", "content") and "src" in value)
    assert policy.startswith("default-src 'none'")
    for tag in ("style", "script"):
        inside = re.search(f"<{tag}>(.*?)</{tag}>", text, re.DOTALL)
        assert inside is not None
        digest = base64.b64encode(hashlib.sha256(inside[1].encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy
    assert "unsafe" not in policy


def test_it_has_a_light_and_a_dark_face(text: str) -> None:
    assert "@media (prefers-color-scheme: dark) { :root:not([data-theme=light])" in text
    assert ":root[data-theme=dark]" in text
    assert text.count("color-scheme: dark;") == 2


def test_names_of_users_are_text(tmp_path: Path) -> None:
    wild, script = "<img src=x onerror=alert(1)>", "<script>alert('x')<"
    classes = ("joy & <b>", "</title>grief", '"quoted"')
    labels = np.arange(40) % 3
    ids = [f"<i>{row}" for row in range(40)]
    folder = make_committee(tmp_path / "a & b", [wild, script], labels=labels, classes=classes, ids=ids)
    text = draw_page(read_evidence(folder), faces=None, reason="the <b>faces</b> are gone")
    page = Page(text)
    tags = {tag for tag, _, _ in page.attributes}
    assert tags.isdisjoint({"img", "b", "i", "title"})  # with attributes, there are none of the page's own
    assert text.count("<script") == 1
    for name in (wild, script, *classes, "a & b"):
        assert name in page.sections["confusion"]
    assert "the <b>faces</b> are gone" in page.sections["mistakes"]
    assert not [value for tag, key, value in page.attributes if key == "onerror"]


def test_without_the_faces_it_says_why(drawn: Drawn) -> None:
    text = draw_page(read_evidence(drawn.folder), faces=None, reason="somebody took them.")
    page = Page(text)
    assert "The faces are not shown: somebody took them." in page.sections["mistakes"]
    assert "<img" not in text
    assert page.sections["mistakes"].count("→") == page.sections["mistakes"].count("agree") > 0


def test_drawing_leaves_the_committee_as_it_was(drawn: Drawn, text: str) -> None:
    assert changed_files(drawn.folder) == []
