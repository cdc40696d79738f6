"""The sanity check before a training run: a network that is put together right learns a handful of faces by heart.

Regularisation is switched off for it (dropout, augmentation, weight decay, a soft margin), as in Karpathy's recipe
and in Alizadeh & Fazel, 2017. A member that cannot do it has a fault, not bad luck.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from ensemble.faces import Faces
from pipelines.estimators import ESTIMATORS
from pipelines.member import Member

__all__ = ["few_faces", "overfit"]

RATES = (1e-3, 1e-4, 1e-2)
"""Learning rates tried one after the other, each from the same initial weights."""

_STEPS = 200
_HEAD_STEPS = 500  # of a head alone, which take next to no time
_LOOK = 10  # steps between two looks at the accuracy


def few_faces(faces: Faces, count: int, *, seed: int = 0) -> Faces:
    """`count` faces, as evenly spread over the classes as there are faces for it, drawn by `seed`."""
    order = np.random.default_rng(seed).permutation(len(faces))
    rank = np.empty(len(faces), np.int64)  # how many faces of the same class come first
    seen = np.zeros(len(faces.classes), np.int64)
    for row in order:
        rank[row] = seen[faces.labels[row]]
        seen[faces.labels[row]] += 1
    return faces.take(np.sort(order[np.argsort(rank[order], kind="stable")][:count]))


def overfit(member: Member, faces: Faces, *, target: float = 0.98) -> float:
    """Train a member on a few faces until it knows them.

    Args:
        member: An untrained member; its weights are changed.
        faces: What it should learn by heart.
        target: Accuracy at which it is done.

    Returns:
        The best accuracy on these faces, in evaluation mode with dropout off.
    """
    member.input_layer.fit(faces.images)
    if member.network.head.estimator is not None:
        return _fit_at_once(member, faces)
    for part in member.network.modules():
        if isinstance(part, nn.Dropout | nn.Dropout2d):
            part.p = 0.0
    labels = torch.from_numpy(faces.labels).to(member.device)
    with torch.no_grad():
        x = member.input_layer(torch.from_numpy(np.array(faces.images)).to(member.device))
    x = x.contiguous(memory_format=torch.channels_last)
    if member.spec.frozen_backbone:
        return _train_head(member, x, labels)
    start = {name: tensor.detach().clone() for name, tensor in member.network.state_dict().items()}
    best = 0.0
    for rate in RATES:
        member.network.load_state_dict(start)
        best = max(best, *_accuracies(member, x, labels, rate, target))
        if best >= target:
            break
    return best


def _accuracies(member: Member, x: Tensor, labels: Tensor, rate: float, target: float) -> Iterator[float]:
    """Accuracy after every few steps, up to the target."""
    torch.manual_seed(member.spec.seed)
    network = member.network
    trained = [p for p in network.parameters() if p.requires_grad]
    optimizer = torch.optim.Adam(trained, lr=rate)
    yield 0.0
    for step in range(_STEPS):
        network.train()
        loss = functional.cross_entropy(network(x), labels)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(trained, 5.0)
        optimizer.step()
        if (step + 1) % _LOOK == 0:
            hits = _accuracy(network.eval(), x, labels)
            yield hits
            if hits >= target or not bool(torch.isfinite(loss)):
                return


def _train_head(member: Member, x: Tensor, labels: Tensor) -> float:
    """The head on features that never change: L-BFGS, which minds no scale."""
    network = member.network.eval()
    head = network.head
    with torch.no_grad():
        features = network.features(x)
        # Random weights may leave them minute; what is asked is whether they tell the faces apart.
        features = (features - features.mean(dim=0)) / features.std(dim=0).clamp_min(1e-12)
    optimizer = torch.optim.LBFGS(head.parameters(), max_iter=_HEAD_STEPS, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimizer.zero_grad()
        value = functional.cross_entropy(head(features), labels)
        value.backward()  # type: ignore[no-untyped-call]
        return value

    optimizer.step(loss)  # type: ignore[no-untyped-call]
    return _accuracy(head, features, labels)


def _accuracy(model: nn.Module, x: Tensor, labels: Tensor) -> float:
    with torch.no_grad():
        return float((model(x).argmax(dim=1) == labels).float().mean())


def _fit_at_once(member: Member, faces: Faces) -> float:
    with torch.no_grad():
        member.network.eval()
        features = member.network.features(member.input_layer(torch.from_numpy(np.array(faces.images))))
    rows: npt.NDArray[np.float32] = features.float().numpy()
    head = member.network.head
    estimator = ESTIMATORS.build(str(head.estimator))
    estimator.relax(head)
    estimator.fit(head, rows, faces.labels, seed=member.spec.seed)
    with torch.no_grad():  # the sigmoids are fitted on held-out faces, of which a handful holds too few
        votes = head.scores(torch.from_numpy(rows)).argmax(dim=1).numpy()
    return float((votes == faces.labels).mean())
