"""FaceNet against the network of facenet-pytorch run as a whole."""

from __future__ import annotations

import torch
from torch.nn import functional

from backbones.contract import InputShape
from backbones.facenet_parts import inception_resnet_v1
from backbones.net.facenet import FaceNet


def test_features_are_the_embedding_before_its_normalisation() -> None:
    torch.manual_seed(0)
    reference = inception_resnet_v1().eval()
    net = FaceNet(InputShape(channels=3, size=96)).eval()
    state = {**reference.state_dict(), "logits.weight": torch.zeros(9, 512), "logits.bias": torch.zeros(9)}
    net.load_state_dict(net.convert_weights(state), strict=True)
    x = torch.randn(2, 3, 96, 96)
    with torch.no_grad():
        features = net(x)
        torch.testing.assert_close(functional.normalize(features), reference(x), rtol=1e-4, atol=1e-6)
        assert net.forward_map(x).shape[1:] == net.map_shape
    assert not torch.allclose(features.norm(dim=1), torch.ones(2))


def test_stages() -> None:
    net = FaceNet(InputShape(channels=3, size=160))
    body = ["repeat_1", "mixed_6a", "repeat_2", "mixed_7a", "repeat_3", "block8"]
    assert list(net.stages()) == ["stem", *body, "last_linear", "last_bn"]
    assert net.map_shape == (1792, 3, 3)
    net.discard_features()
    assert list(net.stages()) == ["stem", *body]
