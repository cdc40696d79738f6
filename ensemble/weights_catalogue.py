"""Public pretrained weights that fit the product's backbones: where they are published, under which licence.

Data only: nothing is fetched here. A digest or a size that no source states is None, never guessed. What the weights
were trained to see is declared by the backbone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from backbones.declaration import Declaration, read_declaration
from backbones.errors import InputError, nearest

__all__ = ["CATALOGUE", "PretrainedWeights", "entry_named", "entry_of_digest", "entry_of_file"]


@dataclass(frozen=True, kw_only=True)
class PretrainedWeights:
    """One file of published weights.

    Attributes:
        name: What `members.yaml` and the command line call it.
        backbone: Registered backbone that it fits.
        parameters: Parameters that the backbone must have for it.
        file: Name of the file on this machine.
        url: Where it is published.
        by_hand: Whether `url` is a page for people, from which programs cannot download.
        sha256: Digest of the file; None if no source states it.
        size: Bytes, in whole megabytes where the source says no more; None if no source states it.
        licence: Of the publication. The terms of the training set may add to it.
        training_set: What it was trained on.
        other_sizes: Parameters of the backbone without which it fits the file at the file's own input size only.
    """

    name: str
    backbone: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    file: str
    url: str
    by_hand: bool = False
    sha256: str | None
    size: int | None
    licence: str
    training_set: str
    other_sizes: Mapping[str, Any] = field(default_factory=dict)

    @property
    def input(self) -> Declaration:
        """What it was trained to see, and what else its backbone can: the backbone's own declaration."""
        return read_declaration(self.backbone)

    @property
    def shape(self) -> tuple[int, int]:
        """Channels and side of the input that it was trained on."""
        return self.input.native["channels"], self.input.native["size"]

    @property
    def megabytes(self) -> str:
        """The size in words."""
        if self.size is None:
            return "not known"
        return f"{self.size / 1e6:.1f} MB" if self.size < 10_000_000 else f"{self.size / 1e6:.0f} MB"


def entry_named(name: str) -> PretrainedWeights:
    """The entry of that name.

    Raises:
        InputError: There is none; the message holds the nearest one.
    """
    if name not in CATALOGUE:
        raise InputError(f"Expected weights of the catalogue, but got {name!r}. {nearest(name, CATALOGUE)}")
    return CATALOGUE[name]


def entry_of_file(file: str) -> PretrainedWeights | None:
    """The entry whose file bears that name."""
    return next((entry for entry in CATALOGUE.values() if entry.file == file), None)


def entry_of_digest(sha256: str) -> PretrainedWeights | None:
    """The entry whose file has that content."""
    return next((entry for entry in CATALOGUE.values() if entry.sha256 == sha256), None)


def _vgg16(name: str, *, batch_norm: bool, revision: str, sha256: str, size: int) -> PretrainedWeights:
    """Timm's copy of torchvision's weights, at the revision that has this content."""
    model = f"{name}.tv_in1k"
    return PretrainedWeights(
        name=name,
        backbone="vgg16",
        parameters={"batch_norm": batch_norm},
        file=f"{model}.safetensors",
        url=f"https://huggingface.co/timm/{model}/resolve/{revision}/model.safetensors",
        sha256=sha256,
        size=size,
        licence="BSD-3-Clause",
        training_set="ImageNet-1k",
    )


def _facenet(name: str, *, file: str, sha256: str, size: int, training_set: str) -> PretrainedWeights:
    """InceptionResnetV1 as facenet-pytorch publishes it, ported from David Sandberg's TensorFlow weights."""
    return PretrainedWeights(
        name=name,
        backbone="facenet",
        file=file,
        url=f"https://github.com/timesler/facenet-pytorch/releases/download/v2.2.9/{file}",
        sha256=sha256,
        size=size,
        licence="MIT",
        training_set=training_set,
    )


_ENTRIES: Sequence[PretrainedWeights] = (
    _vgg16(
        "vgg16",
        batch_norm=False,
        revision="3394518cba29aee1ea82a49d971be90d2dd1dab7",
        sha256="57b026918159a6bf9faf8405c3a551903768e7138989d9c6224a14227203fad8",
        size=553_000_000,
    ),
    _vgg16(
        "vgg16_bn",
        batch_norm=True,
        revision="e00c01e7cee168262dcba6428dc4a8f41e27e965",
        sha256="88bbedbc8e780413736db38ac4efd41b06fc0e93fd5b8879b584bba63a950129",
        size=554_000_000,
    ),
    _facenet(
        "vggface2",
        file="20180402-114759-vggface2.pt",
        sha256="281cebca8662831adb987a874bdcb36e73f5b1c6dc5ee5878f305e985625d99b",
        size=111_898_327,
        training_set="VGGFace2",
    ),
    _facenet(
        "casia-webface",
        file="20180408-102900-casia-webface.pt",
        sha256="7a67afdbbc995fce5e10128675e318799a70698c2f433ba75dd7eb9a2f096e7d",
        size=115_887_415,
        training_set="CASIA-WebFace",
    ),
    PretrainedWeights(
        name="lightcnn9",
        backbone="light_cnn",
        file="LightCNN_9Layers_checkpoint.pth.tar",
        url="https://drive.google.com/file/d/0ByNaVHFekDPRWk5XUFRvTTRIVmc/view?resourcekey=0-1t3aWRoXB0wt9SPPWr-C6w",
        by_hand=True,
        sha256=None,
        size=None,
        licence="MIT",
        training_set="MS-Celeb-1M",
        other_sizes={"grid": "pool"},
    ),
    PretrainedWeights(
        name="mobilefacenet",
        backbone="mobile_facenet",
        file="mobilefacenet.pt",
        url="https://github.com/foamliu/MobileFaceNet/releases/download/v1.0/mobilefacenet.pt",
        sha256="90a00ba1d8b0b688af3deb731ed53dca582e6106805d1bc3cfdef55f570493f4",
        size=4_135_271,
        licence="Apache-2.0",
        training_set="MS-Celeb-1M (refined)",
    ),
)

CATALOGUE: Mapping[str, PretrainedWeights] = {entry.name: entry for entry in _ENTRIES}
"""All entries by name."""
