"""Views: the same for everyone who asks, exact where they must be, and within their limits."""

import time

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backbones.errors import InputError
from ensemble.perturbation import FUSION_MODES, PerturbationPlan, fuse_views

IDS = [f"Training_{i}" for i in range(20)]
GOLDEN = [
    [0.9453030189809258, -0.07444901157214562, 3.1850903322845534],
    [0.09145304179611448, 0.946948068510601, 0.1368912242121445],
]


def warp(image, matrix):
    return cv2.warpAffine(image, matrix, image.shape[1::-1], flags=cv2.INTER_LINEAR)


@pytest.mark.parametrize("size", [47, 48, 224])
def test_view_0_is_the_face_and_view_1_its_mirror_image(size):
    image = np.random.default_rng(0).integers(0, 256, (size, size), dtype=np.uint8)
    face, mirrored = PerturbationPlan(seed=5).matrices(["x"], 2, size)[0]
    np.testing.assert_array_equal(face, [[1, 0, 0], [0, 1, 0]])
    np.testing.assert_array_equal(warp(image, face), image)
    np.testing.assert_array_equal(warp(image, mirrored), image[:, ::-1])


@settings(max_examples=30, deadline=None)
@given(
    ids=st.lists(st.text(st.characters(exclude_categories=["Cs"])), min_size=1, max_size=6),
    few=st.integers(1, 6),
    more=st.integers(0, 6),
    seed=st.integers(-5, 2**70),
)
def test_fewer_views_are_the_first_of_more(ids, few, more, seed):
    plan = PerturbationPlan(seed=seed)
    longer = plan.matrices(ids, few + more, 48)
    np.testing.assert_array_equal(plan.matrices(ids, few, 48), longer[:, :few])


@settings(max_examples=30, deadline=None)
@given(rows=st.lists(st.integers(0, len(IDS) - 1), min_size=1, max_size=30))
def test_batch_and_order_do_not_matter(rows):
    plan = PerturbationPlan(seed=1)
    whole = plan.matrices(IDS, 6, 48)
    np.testing.assert_array_equal(plan.matrices([IDS[r] for r in rows], 6, 48), whole[rows])
    np.testing.assert_array_equal(plan.matrices(np.array(IDS)[rows], 6, 48), whole[rows])


def test_draws_are_the_same_everywhere_and_always():
    # Golden numbers: another platform or numpy must not change what a stored prediction saw.
    matrix = PerturbationPlan(seed=0).matrices(["Training_0"], 3, 48)[0, 2]
    np.testing.assert_allclose(matrix, GOLDEN, atol=1e-12)


def test_seed_id_and_view_all_matter():
    views = PerturbationPlan(seed=0).matrices(IDS, 8, 48)[:, 2:].reshape(-1, 6)
    other = PerturbationPlan(seed=1).matrices(IDS, 8, 48)[:, 2:].reshape(-1, 6)
    everything = np.concatenate([views, other]).round(9)
    assert len(np.unique(everything, axis=0)) == len(everything)


def test_odd_views_are_mirrored():
    determinants = np.linalg.det(PerturbationPlan().matrices(IDS, 9, 48)[..., :2])
    assert (determinants[:, 0::2] > 0).all()
    assert (determinants[:, 1::2] < 0).all()
    unflipped = PerturbationPlan(flip=False).matrices(IDS, 9, 48)
    assert (np.linalg.det(unflipped[..., :2]) > 0).all()
    np.testing.assert_array_equal(unflipped[:, 0], np.tile(np.eye(2, 3), (len(IDS), 1, 1)))
    assert (unflipped[:, 1] != unflipped[:, 0]).any()


def test_distortions_fill_their_limits_and_keep_to_them():
    size, centre = 48, np.array([23.5, 23.5, 1.0])
    ids = [str(i) for i in range(2000)]
    still = {"rotation": 0.0, "shift": 0.0, "zoom": 0.0, "shear": 0.0, "flip": False}

    def draw(**limit):
        return PerturbationPlan(**(still | limit)).matrices(ids, 2, size)[:, 1]

    turned = draw(rotation=10.0)
    degrees = np.rad2deg(np.arctan2(turned[:, 1, 0], turned[:, 0, 0]))
    assert 9.9 < np.abs(degrees).max() <= 10.0
    assert abs(degrees.mean()) < 0.5
    np.testing.assert_allclose(turned @ centre, np.tile(centre[:2], (2000, 1)), atol=1e-9)
    moved = draw(shift=0.06)[:, :, 2]
    assert 2.85 < np.abs(moved).max() <= 2.88
    assert abs(np.corrcoef(moved.T)[0, 1]) < 0.1
    zoomed = draw(zoom=0.08)[:, 0, 0]
    assert 1 / 1.08 <= zoomed.min() < 0.93
    assert 1.07 < zoomed.max() <= 1.08
    sheared = draw(shear=0.05)[:, 0, 1]
    assert 0.049 < np.abs(sheared).max() <= 0.05
    np.testing.assert_array_equal(draw(), np.tile(np.eye(2, 3), (2000, 1, 1)))


def test_direction_is_forward():
    # A face moved to the right by its matrix has its left column outside the old picture.
    plan = PerturbationPlan(rotation=0.0, zoom=0.0, shear=0.0, shift=0.5, flip=False)
    ids = [str(i) for i in range(50)]
    matrices = plan.matrices(ids, 2, 40)[:, 1]
    matrix = matrices[matrices[:, 0, 2] > 5][0]
    image = np.full((40, 40), 255, dtype=np.uint8)
    moved = warp(image, matrix)
    assert moved[:, 0].max() == 0


def test_whole_split_is_planned_in_a_blink():
    ids = [f"PublicTest_{i}" for i in range(3579)]
    plan = PerturbationPlan()
    plan.matrices(ids[:1], 1, 48)
    start = time.process_time()
    assert plan.matrices(ids, 10, 48).shape == (3579, 10, 2, 3)
    assert time.process_time() - start < 0.5  # about 0.06 when the machine is idle


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        ({"rotation": -1.0}, r"Expected `rotation` to be from 0 to 180, but got -1.0\."),
        ({"shift": 2.0}, r"Expected `shift` to be from 0 to 1, but got 2.0\."),
        ({"zoom": float("nan")}, r"Expected `zoom` to be from 0 to 1, but got nan\."),
    ],
)
def test_limits_are_checked(limits, message):
    with pytest.raises(InputError, match=message):
        PerturbationPlan(**limits)


def test_no_view_is_refused():
    with pytest.raises(InputError, match=r"Expected `tta` to be at least 1, but got 0\."):
        PerturbationPlan().matrices(["a"], 0, 48)


def test_modes_by_hand():
    views = [[[0.8, 0.2]], [[0.6, 0.4]], [[0.1, 0.9]]]
    np.testing.assert_allclose(fuse_views(views), [[0.5, 0.5]], atol=1e-15)
    np.testing.assert_allclose(fuse_views(views, "hard_vote"), [[2 / 3, 1 / 3]], atol=1e-15)
    odds = (0.8 * 0.6 * 0.1 / (0.2 * 0.4 * 0.9)) ** (1 / 3)
    np.testing.assert_allclose(fuse_views(views, "mean_logit"), [[odds / (1 + odds), 1 / (1 + odds)]], atol=1e-12)


@pytest.mark.parametrize("mode", FUSION_MODES)
def test_one_view_is_no_perturbation(mode):
    probs = np.random.default_rng(0).dirichlet(np.ones(7), size=50)
    np.testing.assert_array_equal(fuse_views(probs[None], mode), probs)


def test_unknown_mode():
    with pytest.raises(InputError, match="Expected a mode of mean_probability, mean_logit, hard_vote, but got 'mode'"):
        fuse_views([[[0.5, 0.5]]], "mode")
