"""Synthetic faces by number: which person and which expression face `i` of a seed shows, and its picture.

Faces come in cohorts of 21. A cohort is always drawn and rendered whole from `(seed, cohort)`, so a face depends on
the seed and its own number alone, however many are asked for, down to the last bit.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from backbones.errors import InputError
from pipelines.synthetic.camera import Camera, Obstacle
from pipelines.synthetic.expression import EXPRESSIONS, draw_action_units
from pipelines.synthetic.eye import Gaze
from pipelines.synthetic.head import Light
from pipelines.synthetic.identity import Identity
from pipelines.synthetic.parameter import draw, select
from pipelines.synthetic.pose import Pose
from pipelines.synthetic.rendering import Scene, render

__all__ = ["synthetic_faces"]

FACES_PER_PERSON = (3, 3, 4, 5, 6)
"""How many faces each of the people in a cohort has."""

COHORT = sum(FACES_PER_PERSON)
"""Faces drawn together: 21, a multiple of the seven expressions, and few enough to stay in the cache."""

Faces = tuple[NDArray[np.uint8], NDArray[np.int64], NDArray[np.int64]]


def _draw_cohort(seed: int, cohort: int) -> Faces:
    """Draw one cohort: images `(21, 48, 48)`, labels and identities `(21,)`."""
    rng = np.random.default_rng([seed, cohort])
    # Every run of seven faces shows every expression once, so any prefix is balanced up to rounding.
    rounds = np.tile(np.arange(len(EXPRESSIONS), dtype=np.int64), (COHORT // len(EXPRESSIONS), 1))
    labels = rng.permuted(rounds, axis=1).reshape(-1)
    people = rng.permutation(np.repeat(np.arange(len(FACES_PER_PERSON), dtype=np.int64), FACES_PER_PERSON))
    scene = Scene(
        identity=select(draw(Identity, rng, len(FACES_PER_PERSON)), people),
        units=draw_action_units(labels, rng),
        gaze=draw(Gaze, rng, COHORT),
        pose=draw(Pose, rng, COHORT),
        light=draw(Light, rng, COHORT),
        obstacle=draw(Obstacle, rng, COHORT),
        camera=draw(Camera, rng, COHORT),
    )
    return render(scene, rng), labels, people + cohort * len(FACES_PER_PERSON)


def synthetic_faces(count: int, *, seed: int = 0) -> Faces:
    """Draw grey pictures of stylised faces, each showing one of seven expressions.

    Expressions follow the action units of Ekman and Friesen, 1978, Facial Action Coding System. The first faces of a
    longer call equal those of a shorter one, and a call always gives the same bytes.

    Args:
        count: How many faces to draw.
        seed: Which series of faces to draw from.

    Returns:
        Images `(count, 48, 48)` uint8, labels `(count,)` int64 as positions in `EXPRESSIONS`, balanced up to
        rounding, and identities `(count,)` int64: three to six faces show the same person.

    Raises:
        InputError: If `count` is less than 1 or `seed` is negative.

    Example:
        >>> images, labels, identities = synthetic_faces(14)
        >>> images.shape, sorted(labels.tolist())
        ((14, 48, 48), [0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6])
    """
    if count < 1:
        raise InputError(f"Expected `count` to be at least 1, but got {count}.")
    if seed < 0:
        raise InputError(f"Expected `seed` to be at least 0, but got {seed}.")
    cohorts = [_draw_cohort(seed, cohort) for cohort in range(-(-count // COHORT))]
    images, labels, identities = (np.concatenate(part)[:count] for part in zip(*cohorts, strict=True))
    return images, labels, identities
