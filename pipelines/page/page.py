"""Fills the page's template and writes it. The one module that knows Jinja."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from ensemble.faces import Faces
from pipelines.atomic import write_text
from pipelines.bundle import PAGE
from pipelines.page.evidence import Evidence
from pipelines.page.gallery import most_confident_mistakes, png_uri
from pipelines.page.panels import (
    confidence_part,
    learning_part,
    making_part,
    mistakes_part,
    summary_part,
    views_part,
    weights_part,
)
from pipelines.page.tables import classes_part, confusion_part, cost_part, disagreement_part, leaderboard_part
from pipelines.page.wording import LEVELS

__all__ = ["draw_page", "write_page"]

_TEMPLATES = Path(__file__).parent / "template"
_CARDS = 24


def draw_page(evidence: Evidence, *, faces: Faces | None, reason: str = "") -> str:
    """The page as HTML, with every picture and style inside it.

    Args:
        evidence: The committee.
        faces: Its validation faces, if they are here.
        reason: Why they are not, as a sentence.
    """
    # Everything but the drawings of `pipelines.page.drawing_board`, which escape their own text, is escaped.
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    style = Markup(environment.get_template("style.css").render(levels=LEVELS).strip())  # noqa: S704 - the package's own
    script = Markup((_TEMPLATES / "script.js").read_text(encoding="utf-8").strip())  # noqa: S704 - the package's own
    mistakes = most_confident_mistakes(evidence.answers, evidence.bank.ids, count=_CARDS)
    images: Sequence[str] | None = None if faces is None else [png_uri(faces.images[m.row]) for m in mistakes]
    return environment.get_template("page.html").render(
        name=evidence.name, date=f"{evidence.date:%Y-%m-%d %H:%M} UTC",
        style=style, script=script, policy=_policy(style, script),
        summary=summary_part(evidence), board=leaderboard_part(evidence), confusion=confusion_part(evidence),
        scores=classes_part(evidence), confidence=confidence_part(evidence), learning=learning_part(evidence),
        disagreement=disagreement_part(evidence), views=views_part(evidence), cost=cost_part(evidence),
        mistakes=mistakes_part(evidence, mistakes, images=images, reason=reason),
        weights=weights_part(evidence), making=making_part(evidence),
    )  # fmt: skip


def write_page(evidence: Evidence, *, faces: Faces | None, reason: str = "", out: Path | None = None) -> Path:
    """Write the page, whole or not at all.

    Args:
        evidence: The committee.
        faces: Its validation faces, if they are here.
        reason: Why they are not.
        out: Where it goes; default `report.html` in the committee's folder.

    Returns:
        Where it is.
    """
    path = out or evidence.folder / PAGE
    write_text(path, draw_page(evidence, faces=faces, reason=reason) + "\n")
    return path


def _policy(style: str, script: str) -> str:
    """A content security policy that lets the page's own style and script in, and nothing else."""
    own = ("'sha256-" + b64encode(sha256(text.encode()).digest()).decode() + "'" for text in (style, script))
    return "default-src 'none'; img-src data:; style-src {}; script-src {}; base-uri 'none'; form-action 'none'".format(
        *own
    )
