"""The face detector and the network that come from facenet-pytorch, both without a download."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from backbones.facenet_parts import inception_resnet_v1, mtcnn


def test_detector_works_offline_and_answers_none_for_no_face(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_network(*_: object, **__: object) -> None:
        raise AssertionError("a connection was opened")

    monkeypatch.setattr("socket.socket.connect", no_network)
    detector = mtcnn(min_face_size=40)
    assert not detector.training
    assert (detector.keep_all, detector.post_process, detector.min_face_size) == (True, False, 40)
    boxes, probabilities, points = detector.detect(np.full((80, 80, 3), 127, np.uint8), landmarks=True)
    assert boxes is None
    assert points is None
    assert probabilities == [None]


def test_network_has_no_classifier() -> None:
    net = inception_resnet_v1(dropout=0.2)
    assert not hasattr(net, "logits")
    assert net.dropout.p == 0.2
    assert net.eval()(torch.zeros(1, 3, 75, 75)).shape == (1, 512)
