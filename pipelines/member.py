"""A member: a network with its input layer, ready to give probabilities, and its folder on disk.

A member's folder holds `weights.safetensors`, `posteriors.npz`, `history.json` and, written last, `spec.json`: a folder
with a `spec.json` is finished.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from safetensors import SafetensorError

from backbones.allocation import AllocationLimit
from backbones.contract import InputShape
from backbones.errors import InputError, reason_of
from backbones.freeze import freeze_all, freeze_until, trained_stages
from backbones.limits import NETWORK_BYTES
from backbones.network import Network, build_network
from backbones.weights import LoadReport
from ensemble.class_map import ClassMap
from ensemble.spec import MemberSpec
from pipelines.bundle import SPEC, WEIGHTS
from pipelines.checkpoint import load_tensors
from pipelines.fingerprint import checked_digest
from pipelines.forward import forward_all, softmax
from pipelines.growth import check_growth
from pipelines.image_file import to_face
from pipelines.input_layer import InputLayer
from pipelines.spec_file import read_spec_file

__all__ = ["Member"]


@dataclass(kw_only=True)
class Member:
    """A network and the way from faces to its input.

    Attributes:
        spec: What it was made from.
        classes: Class names, in the order of its probabilities.
        face_size: Side in pixels of the faces it was trained on.
        face_channels: 1 if they were grey, 3 if RGB.
        network: Backbone and head.
        input_layer: uint8 faces to network input.
        device: Where both lie.
        report: How its pretrained weights were loaded, if there are any.
        class_map: From the classes of its outputs to `classes`; None if they are the same.
    """

    spec: MemberSpec
    classes: tuple[str, ...]
    face_size: int
    face_channels: int
    network: Network
    input_layer: InputLayer
    device: torch.device
    report: LoadReport | None = None
    class_map: ClassMap | None = None

    @classmethod
    def build(
        cls,
        spec: MemberSpec,
        *,
        classes: tuple[str, ...],
        face_size: int,
        device: torch.device,
        weights: Path | None = None,
        face_channels: int = 1,
        pretrained: bool = True,
    ) -> Member:
        """Build an untrained member; initialisation follows from its seed.

        Args:
            spec: The member's spec.
            classes: Class names.
            face_size: Side of the faces in pixels.
            device: Where to put it.
            weights: Pretrained weights of its backbone.
            face_channels: 1 if the faces are grey, 3 if they are RGB.
            pretrained: False where a saved state is loaded next, so that no pretrained weights are read.

        Raises:
            InputError: The network cannot be built so, or the weights do not fit.
        """
        shape = InputShape(channels=spec.input.channels, size=spec.input.size or face_size)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(spec.seed)
            try:
                network, report = build_network(
                    backbone=(spec.backbone.kind, spec.backbone.parameters),
                    head=(spec.head.kind, spec.head.parameters),
                    shape=shape,
                    classes=len(classes),
                    weights=weights,
                    minimum=spec.weights.minimum if spec.weights else 0.9,
                    pretrained=pretrained,
                )
                _freeze(network, spec)
                _check_head(network, spec)
                if spec.grow is not None and pretrained:
                    check_growth(network, spec.grow, shape)
            except InputError as error:
                raise type(error)(f"member `{spec.name}`: {error}") from None
        layer = InputLayer(spec.input, face_size=face_size, convention=network.backbone.normalization)
        network = network.to(device).to(memory_format=torch.channels_last)
        return cls(
            spec=spec, classes=classes, face_size=face_size, face_channels=face_channels, network=network,
            input_layer=layer, device=device, report=report,
        )  # fmt: skip

    @classmethod
    def load(cls, folder: Path, *, device: torch.device) -> Member:
        """Load a finished member from its folder.

        Raises:
            InputError: The folder is unfinished or damaged.
        """
        content = read_spec_file(folder)
        spec, class_map = MemberSpec.model_validate(content["spec"]), ClassMap.stored(content, f"`{folder / SPEC}`")
        weights = folder / WEIGHTS
        most = NETWORK_BYTES + (weights.stat().st_size if weights.is_file() else 0)
        with AllocationLimit(most, place=f"`{folder / SPEC}`"):
            member = cls.build(
                spec, classes=class_map.source if class_map else tuple(content["classes"]),
                face_size=content["face_size"], face_channels=content["face_channels"], device=device, pretrained=False,
            )  # fmt: skip
        try:
            checked_digest(weights, content.get("weights_sha256"))
            tensors, metadata = load_tensors(weights)
            _check_classes(metadata, member.classes, weights)
            member.network.load_state_dict(tensors)
        except (OSError, SafetensorError, RuntimeError) as error:
            raise InputError(
                f"Expected `{weights}` to hold the member's weights, but got: {reason_of(error)}"
            ) from None
        try:
            member.input_layer.load_state(content["input_state"])
        except InputError as error:
            raise InputError(f"{folder / SPEC}: input_state: {error}") from None
        return member if class_map is None else replace(member, classes=class_map.target, class_map=class_map)

    @property
    def parameters(self) -> int:
        """Number of parameters, frozen ones included."""
        return sum(p.numel() for p in self.network.parameters())

    @property
    def _face_shape(self) -> tuple[int, ...]:
        return (self.face_size, self.face_size) + ((3,) if self.face_channels == 3 else ())

    def describe(self) -> dict[str, Any]:
        """What `spec.json` holds of the member itself."""
        return {
            "spec": self.spec.model_dump(mode="json"),
            "classes": list(self.classes),
            "face_size": self.face_size,
            "face_channels": self.face_channels,
            "input_state": self.input_layer.state(),
            "parameters": self.parameters,
            **({} if self.class_map is None else {"class_map": self.class_map.state()}),
        }

    def probabilities(
        self, faces: npt.NDArray[np.uint8], *, advance: Callable[[int], None] | None = None
    ) -> npt.NDArray[np.float64]:
        """(N, H, W) or (N, H, W, 3) uint8 faces to class probabilities (N, K).

        Faces of another kind than those it was trained on are made like them: a borrowed member sees such. Outputs for
        other classes are mapped to those of the committee, for each face (view) by itself.
        """
        if faces.shape[1:] != self._face_shape:
            faces = np.stack([to_face(face, self.face_size, self.face_channels) for face in faces])
        logits = forward_all(self.network, faces, device=self.device, prepare=self.input_layer, advance=advance)
        probs = softmax(logits)
        return probs if self.class_map is None else self.class_map.probabilities(probs)


def _freeze(network: Network, spec: MemberSpec) -> None:
    if spec.frozen_backbone:
        freeze_all(network.backbone)
    elif spec.freeze is not None and spec.freeze.until is not None:
        freeze_until(network.backbone, spec.freeze.until)
    network.keeps_statistics = spec.freeze is not None and spec.freeze.batch_norm
    if spec.unfreeze is not None and not trained_stages(network.backbone):
        raise InputError(
            f"Expected a stage of {type(network.backbone).__name__} that `unfreeze` can let learn, but all of them are "
            f"frozen or it has none. Remove `unfreeze`, or freeze less."
        )


def _check_head(network: Network, spec: MemberSpec) -> None:
    """A head that is fitted at once sees fixed features of unchanged faces."""
    if network.head.estimator is None:
        return
    if any(p.requires_grad for p in network.backbone.parameters()):
        raise InputError(
            f"Expected a frozen backbone under the head `{spec.head.kind}`, which is fitted on features and cannot "
            f"train it. Add `freeze: {{until: backbone}}`, or take the backbone `pixels`."
        )
    if spec.augment not in ("none", "flip"):
        raise InputError(
            f"Expected `augment` to be `none` or `flip` for the head `{spec.head.kind}`, which is fitted on features "
            f"computed once, but got {spec.augment!r}."
        )
    if spec.teacher is not None:
        raise InputError(f"Expected no `teacher` for the head `{spec.head.kind}`, which is fitted on labels.")
    if spec.targets != "labels":
        raise InputError(f"Expected `targets: labels` for the head `{spec.head.kind}`, but got `{spec.targets}`.")


def _check_classes(metadata: Mapping[str, str], classes: tuple[str, ...], weights: Path) -> None:
    """Refuse weights that say they are of other classes than their folder does."""
    own = json.loads(metadata.get("classes", "null"))
    if own is not None and own != list(classes):
        raise InputError(
            f"Expected `{weights}` to be of the classes {', '.join(classes)}, but it is of {own}. Take the committee "
            "from where it was fitted, or fit it again."
        )
