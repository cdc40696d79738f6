"""The painted faces as a data source."""

from __future__ import annotations

import numpy as np

from pipelines.reader.synthetic import Synthetic
from pipelines.synthetic import synthetic_faces


def test_faces_are_the_painters_and_people_stay_together():
    reader = Synthetic(count=300, seed=3)
    listing = reader.scan("synthetic")
    images, labels, people = synthetic_faces(300, seed=3)

    np.testing.assert_array_equal(np.concatenate(list(reader.decode("synthetic", listing))), images)
    np.testing.assert_array_equal(listing.labels, labels)
    assert listing.ids[[0, 299]].tolist() == ["synthetic_3_0", "synthetic_3_299"]
    for person in np.unique(people):
        assert len(set(listing.splits[people == person].tolist())) == 1
    shares = [(listing.splits == split).mean() for split in ("train", "validation", "test")]
    np.testing.assert_allclose(shares, [0.8, 0.1, 0.1], atol=0.03)


def test_fingerprint_depends_on_the_parameters():
    prints = {Synthetic(count=c, seed=s).fingerprint("synthetic") for c in (10, 11) for s in (0, 1)}
    assert len(prints) == 4
