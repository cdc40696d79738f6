"""Procedural faces: a data set of seven expressions that needs no download.

Every face is painted from action units, a person's traits, a pose and a camera, in numpy alone. The package knows
nothing of training; it serves demonstrations, tests and benchmarks.
"""

from pipelines.synthetic.expression import EXPRESSIONS
from pipelines.synthetic.face import synthetic_faces

__all__ = ["EXPRESSIONS", "synthetic_faces"]
