"""Names, parameters and errors are known without torch: a wrong YAML file is refused at once."""

from __future__ import annotations

import subprocess
import sys

SCRIPT = """
import sys
from backbones.registry import BACKBONES, HEADS, LOSSES
from backbones.errors import InputError
for registry in (BACKBONES, HEADS, LOSSES):
    for name in registry.names():
        registry.describe(name)
heavy = {"torch", "timm", "facenet_pytorch", "torchvision"} & set(sys.modules)
assert not heavy, heavy
"""

LAZY = """
import sys
from backbones.registry import BACKBONES
import backbones.network
for name in BACKBONES.names():
    BACKBONES.get(name)
heavy = {"timm", "facenet_pytorch", "torchvision", "sklearn"} & set(sys.modules)
assert not heavy, heavy
"""


def test_describing_every_component_imports_no_torch() -> None:
    subprocess.run([sys.executable, "-c", SCRIPT], check=True, timeout=60)


def test_importing_every_backbone_imports_no_third_party_zoo() -> None:
    subprocess.run([sys.executable, "-c", LAZY], check=True, timeout=60)
