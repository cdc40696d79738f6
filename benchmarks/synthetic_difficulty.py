"""How hard the synthetic faces are: a linear model on pixels against a small convolutional network.

Both learn from the first 2,000 faces and are measured on the next 1,000. The faces serve their purpose if the linear
model stays below 0.75, so that there is something to learn, and the network passes 0.90, so that it can be learnt.

Run from the repository root: `python -m benchmarks.synthetic_difficulty`.
"""

from __future__ import annotations

import json
import time
import warnings
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Tensor, nn
from torch.nn import functional

from pipelines.synthetic import EXPRESSIONS, synthetic_faces

RESULT = Path(__file__).parent / "results" / "synthetic_difficulty.json"
TRAIN, TEST = 2000, 1000
EPOCHS = 12
BATCH = 64
LEARNING_RATE = 3e-3
SHIFT = 3


def linear_accuracy(images: NDArray[np.uint8], labels: NDArray[np.int64]) -> float:
    """Accuracy of a logistic regression on standardised pixels."""
    pixels = images.reshape(len(images), -1).astype(np.float32)
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=100))
    with warnings.catch_warnings():
        # The training faces are separable; more iterations do not help the test faces.
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(pixels[:TRAIN], labels[:TRAIN])
    return float(model.score(pixels[TRAIN:], labels[TRAIN:]))


def build_network() -> nn.Module:
    """Three blocks of two 3x3 convolutions with 24, 48 and 96 channels, and one hidden layer of 128."""
    layers: list[nn.Module] = []
    for inputs, outputs in ((1, 24), (24, 48), (48, 96)):
        for width in (inputs, outputs):
            layers += [nn.Conv2d(width, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()]
        layers.append(nn.MaxPool2d(2))
    hidden = [nn.Flatten(), nn.Dropout(0.3), nn.Linear(96 * 6 * 6, 128), nn.ReLU(), nn.Dropout(0.3)]
    return nn.Sequential(*layers, *hidden, nn.Linear(128, len(EXPRESSIONS))).to(memory_format=torch.channels_last)


def augment(batch: Tensor) -> Tensor:
    """Mirror half of the faces and shift all of them by a few pixels."""
    mirrored = torch.rand(len(batch), 1, 1, 1) < 0.5
    down, across = torch.randint(-SHIFT, SHIFT + 1, (2,)).tolist()
    return torch.where(mirrored, batch.flip(3), batch).roll((down, across), (2, 3))


def train_epoch(
    network: nn.Module, inputs: Tensor, targets: Tensor, schedule: torch.optim.lr_scheduler.OneCycleLR
) -> None:
    """Show every training face once."""
    network.train()
    for index in torch.split(torch.randperm(len(inputs)), BATCH):
        batch = augment(inputs[index]).contiguous(memory_format=torch.channels_last)
        loss = functional.cross_entropy(network(batch), targets[index])
        schedule.optimizer.zero_grad()
        torch.autograd.backward(loss)
        schedule.optimizer.step()
        schedule.step()


@torch.no_grad()
def accuracy(network: nn.Module, inputs: Tensor, targets: Tensor) -> float:
    """Fraction of faces whose expression the network names."""
    network.eval()
    parts = zip(torch.split(inputs, 250), torch.split(targets, 250), strict=True)
    hits = [network(part).argmax(1) == target for part, target in parts]
    return round(float(torch.cat(hits).float().mean()), 4)


def network_accuracies(images: NDArray[np.uint8], labels: NDArray[np.int64]) -> list[float]:
    """Test accuracy of the network after every epoch."""
    torch.manual_seed(0)
    inputs, targets = torch.from_numpy(images).float()[:, None], torch.from_numpy(labels)
    inputs = (inputs - inputs.mean((2, 3), keepdim=True)) / inputs.std((2, 3), keepdim=True)  # (N, 1, H, W)
    network = build_network()
    optimizer = torch.optim.AdamW(network.parameters(), weight_decay=1e-2)
    steps = EPOCHS * -(-TRAIN // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, LEARNING_RATE, total_steps=steps)
    scores = []
    for _ in range(EPOCHS):
        train_epoch(network, inputs[:TRAIN], targets[:TRAIN], schedule)
        scores.append(accuracy(network, inputs[TRAIN:], targets[TRAIN:]))
    return scores


def main() -> None:
    """Measure, print and store."""
    started = time.perf_counter()
    images, labels, _ = synthetic_faces(TRAIN + TEST)
    drawn = time.perf_counter()
    linear = linear_accuracy(images, labels)
    fitted = time.perf_counter()
    scores = network_accuracies(images, labels)
    result = {
        "train_faces": TRAIN,
        "test_faces": TEST,
        "linear_accuracy": linear,
        "cnn_accuracy": scores[-1],
        "cnn_accuracy_per_epoch": scores,
        "seconds": {
            "drawing": round(drawn - started, 1),
            "linear": round(fitted - drawn, 1),
            "cnn": round(time.perf_counter() - fitted, 1),
        },
    }
    text = json.dumps(result, indent=2)
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text(text + "\n", encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
