"""Everything the product takes from facenet-pytorch: InceptionResnetV1 and the MTCNN face detector.

The one file that imports facenet_pytorch, and only inside functions, because it imports torchvision, which takes
seconds. MTCNN's weights ship inside the package; InceptionResnetV1 is built without any. Nothing here downloads.
"""

from __future__ import annotations

from typing import Any

import torch

__all__ = ["inception_resnet_v1", "mtcnn"]


def inception_resnet_v1(*, dropout: float = 0.6) -> Any:
    """InceptionResnetV1 with random weights, without a classifier.

    Args:
        dropout: Dropout before its last linear layer.
    """
    from facenet_pytorch import InceptionResnetV1

    return InceptionResnetV1(pretrained=None, classify=False, dropout_prob=dropout)


def mtcnn(
    device: str | torch.device = "cpu",
    *,
    min_face_size: int = 20,
    thresholds: tuple[float, float, float] = (0.6, 0.7, 0.7),
    keep_all: bool = True,
) -> Any:
    """MTCNN face detector, in eval mode, for its `detect(images, landmarks=True)`.

    Zhang et al., 2016, Joint Face Detection and Alignment Using Multitask Cascaded Convolutional Networks. `detect`
    wants RGB, equal sizes within a batch, and answers object arrays, None where it sees no face.

    Args:
        device: Where it runs.
        min_face_size: Smallest face, in pixels.
        thresholds: Least probability of a face after each of the three networks.
        keep_all: Answer every face rather than the first; the largest comes first.
    """
    from facenet_pytorch import MTCNN

    detector = MTCNN(
        min_face_size=min_face_size,
        thresholds=list(thresholds),
        keep_all=keep_all,
        post_process=False,
        device=torch.device(device),
    )
    return detector.eval()
