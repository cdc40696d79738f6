"""The picture under construction: a grey plane per face that drawing modules paint on, back to front.

Tones run from 0 (black) to 1 (white). The canvas knows nothing of faces.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pipelines.synthetic.parameter import Plane

__all__ = ["Canvas"]


@dataclass(frozen=True)
class Canvas:
    """Grey planes `(faces, height, width)`, changed in place."""

    tones: Plane

    def paint(self, mask: Plane, tone: Plane | float) -> None:
        """Lay an opaque `tone` over the pixels where `mask` is 1, in proportion elsewhere."""
        change = tone - self.tones
        change *= mask
        np.add(self.tones, change, out=self.tones)

    def shade(self, mask: Plane, darkness: Plane | float) -> None:
        """Darken by the fraction `darkness` where `mask` is 1; a negative darkness lights up."""
        kept = 1.0 - mask * darkness
        np.multiply(self.tones, kept, out=self.tones)
