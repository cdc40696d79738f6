"""What works, but not as well as it could: notes on a member's input, its way of training, and how that went.

What cannot work is refused where it is built; nothing here stops a fit.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from backbones.contract import Backbone, NativeInput
from backbones.freeze import trained_stages
from ensemble.align_spec import AlignSpec
from ensemble.spec import MemberSpec
from pipelines.member import Member

__all__ = ["member_notes", "training_note"]

_STRANGE = 1.5
"""From this ratio of sizes on, features of unaligned pictures count as strange; aligned faces have one size only."""

_COLLAPSE = 0.6
"""Share of the best validation accuracy below which the last one counts as collapsed."""


def member_notes(member: Member, align: AlignSpec | None) -> list[str]:
    """Where a member's input differs from what its public weights were trained on, and what is never unfrozen.

    Args:
        member: As built for a fit.
        align: How the faces of the fit are aligned, if they are.
    """
    backbone, spec, size = member.network.backbone, member.spec, member.input_layer.size
    native = backbone.native if _has_public_weights(spec) else None
    notes = [*_input(spec, native, size), *_alignment(native, align)] if native is not None else []
    return notes + list(_unfreezing(spec, backbone))


def training_note(history: Sequence[Mapping[str, float]]) -> str | None:
    """Tells of a member that learned on its training faces, yet ended in nonsense on the others; None for all else.

    Overfitting does not do that: it stops the gains, it does not undo them. Statistics of batch normalisation do, which
    no longer fit what the weights have become.

    Args:
        history: A record per epoch.
    """
    best = max(history, key=lambda record: record["validation_accuracy"])
    last = history[-1]
    fell = last["validation_accuracy"] < _COLLAPSE * best["validation_accuracy"]
    worse = last["validation_nll"] > 2 * best["validation_nll"] and last["train_loss"] < best["train_loss"]
    if not (fell and worse):
        return None
    return (
        f"its validation accuracy fell from {best['validation_accuracy']:.3f} to {last['validation_accuracy']:.3f} "
        f"while its training loss went on falling: the running statistics of batch normalisation may not fit its "
        f"weights. Set `freeze: {{batch_norm: true}}`, or lower `optimizer.backbone_lr`."
    )


def _has_public_weights(spec: MemberSpec) -> bool:
    """Weights of an earlier member were trained on that member's input, whatever it was."""
    given = spec.weights is not None and spec.weights.run is None
    return given or bool(spec.backbone.parameters.get("pretrained"))


def _input(spec: MemberSpec, native: NativeInput, size: int) -> Iterator[str]:
    if native.size is not None and size != native.size:
        ratio = max(size, native.size) / min(size, native.size)
        if native.template or ratio >= _STRANGE:
            yield (
                f"sees {size}×{size} pixels, while its weights were trained on {native.size}×{native.size}. "
                f"Set `input: {{size: {native.size}}}`, smaller faces are enlarged."
            )
    if spec.input.normalize.kind != "backbone":
        yield (
            f"`normalize: {spec.input.normalize.kind}`, while its weights were trained on {native.pixels}. "
            "Set `input: {normalize: backbone}`."
        )


def _alignment(native: NativeInput, align: AlignSpec | None) -> Iterator[str]:
    template = native.template
    if template and align is None:
        yield (
            f"its weights were trained on faces aligned to `{template}`, and faces are taken as they are. "
            f"If they are not aligned yet: `data: {{align: {{template: {template}}}}}`."
        )
    elif template and align is not None and align.template != template:
        yield (
            f"faces are aligned to `{align.template}`, while its weights were trained on `{template}`. "
            f"Set `data: {{align: {{template: {template}}}}}`."
        )


def _unfreezing(spec: MemberSpec, backbone: Backbone) -> Iterator[str]:
    if spec.unfreeze is None:
        return
    stages = trained_stages(backbone)
    last = spec.unfreeze.released(spec.epochs - 1, stages=len(stages))
    if last < len(stages):
        needed = spec.unfreeze.settled(len(stages)) + 1
        yield (
            f"`unfreeze` reaches only {last} of {len(stages)} stages in {spec.epochs} epochs; "
            f"all of them take at least {needed}. Raise `epochs`, or hold the others with `freeze: {{until: STAGE}}`."
        )
