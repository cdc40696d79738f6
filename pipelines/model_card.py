"""What a packed committee says of itself: data, recipe, measured numbers, limits (Mitchell et al., 2019)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipelines.evaluation import Answers, evaluation, evaluation_tables
from pipelines.leaderboard import markdown

__all__ = ["CARD", "model_card"]

CARD = "MODEL_CARD.md"

_TABLES = ("Scores", "Classes", "Confusion matrix", "Confidence")
_MEMBERS = ("member", "network", "input", "weights", "epochs", "seconds")

_CARD = """\
# {name}

A committee of {count} network(s) that tells one of {kinds} facial expressions ({classes}) from a face.

## Numbers

On the {faces:,} validation faces, {views} view(s) of each, with the weights in this folder: accuracy **{accuracy:.4f}**
(95 % {accuracy_low:.3f}-{accuracy_high:.3f}), macro F1 {macro_f1:.4f}, NLL {nll:.4f}; the best member alone {best:.4f}.
The rules are held out of the faces that they are judged on; the members' epochs were chosen on these faces. No number
here is of a test split.

{tables}
## Data

`{source}` (digest `{digest}`): {size} pixels, {colours}.

## Members

{members}
Fused by {rule}. The recipe lies beside this file: `committee.yaml`.

## Limits

- It has learned from ready-cropped faces like those of the data. Profiles, masks, hands before the face, babies, and
  dark or blurred photos may be rare among them.
- The labels are people's judgements of pictures, and people disagree. No accuracy can be far above their agreement.
- Every face gets one of the classes, also one that shows none of them: look at the confidence (`--min-confidence`).
- Accuracy differs between classes, see above, and between groups of people, which the data do not name: it is not
  measured here.

## Ethics

An expression is weak evidence of what a person feels. Do not use this model to decide about anyone: not on work,
schooling, credit, insurance, borders, health, guilt or honesty. In the European Union, inferring emotions at work and
in schools is prohibited (Regulation 2024/1689, article 5). Do not use it on people who have not agreed.
"""


def model_card(
    name: str,
    content: Mapping[str, Any],
    specs: Mapping[str, Mapping[str, Any]],
    report: Mapping[str, Any],
    tree: Mapping[str, Any],
    answers: Answers,
) -> str:
    """The card as Markdown.

    Args:
        name: Of the committee.
        content: Its resolved YAML.
        specs: Each member's `spec.json`.
        report: Its `report.json`.
        tree: Its fitted rules, the `committee` of its `committee.json`.
        answers: What it and its members say of the validation faces, held out of the fit of its rules.
    """
    found = evaluation(answers)
    shown = {title: markdown(rows, header) for title, header, rows in evaluation_tables(found)}
    first = next(iter(specs.values()))
    return _CARD.format(
        name=name, count=len(specs), kinds=len(answers.classes), classes=", ".join(answers.classes),
        faces=len(answers.labels), views=int(content["views"]), **found["committee"],
        best=found["members"][found["best_member"]]["accuracy"],
        tables="\n".join(f"### {title}\n\n{shown[title]}" for title in _TABLES),
        source=report["data"]["source"], digest=str(report["data"]["digest"])[:12], size=first["face_size"],
        colours="grey" if first["face_channels"] == 1 else "RGB",
        members=markdown([_member(*item) for item in specs.items()], _MEMBERS),
        rule=_rule(tree),
    )  # fmt: skip


def _rule(tree: Mapping[str, Any]) -> str:
    """The rule at the top, and what it chose if it is one that chooses."""
    choice = tree["learned"].get("choice")
    return f"`{tree['rule']}`" + (f", which chose `{choice}`" if choice else "")


def _member(name: str, spec: Mapping[str, Any]) -> tuple[str, ...]:
    own, weights = spec["spec"], spec["spec"].get("weights") or {}
    size, channels = own["input"].get("size") or spec.get("face_size"), own["input"]["channels"]
    start = weights.get("name") or weights.get("file") or "random"
    teacher = own.get("teacher")
    origin = [
        weights.get("licence"),
        f"trained on {weights['training_set']}" if weights.get("training_set") else None,
        f"taught by {Path(teacher['committee']).name}" if teacher else None,
    ]
    told = f" ({', '.join(filter(None, origin))})" if any(origin) else ""
    return (
        name, f"{own['backbone']['kind']}, {spec['parameters']:,} parameters",
        f"{size} px, {'grey' if channels == 1 else 'RGB'}, {own['input']['normalize']['kind']}",
        f"{start}{told}", str(spec["epochs"]), f"{spec['seconds']:,.0f}",
    )  # fmt: skip
