"""What the second head on a frozen backbone costs, beside the first: its features are cached by then.

Trains two heads on MobileFaceNet, one after the other, on synthetic faces (or others): building, features, epochs,
everything that `ensemble fit` does for a member. On a busy machine the processor's time tells more than the clock's. A
few features are computed anew and compared with the cached ones. Without a weights file the backbone is random, which
costs the same.

Run from the repository root: `python -m benchmarks.frozen --weights weights/mobilefacenet.pt`.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ensemble.data_spec import DataSpec
from ensemble.spec import MemberSpec
from pipelines.atomic import write_json
from pipelines.console import Console
from pipelines.data_opening import open_data
from pipelines.device import choose_device, describe_device
from pipelines.feature_cache import cached_features
from pipelines.fingerprint import digest_file
from pipelines.fit_data import FitData
from pipelines.member import Member
from pipelines.member_fit import fit_member
from pipelines.trainer import Watcher
from pipelines.workspace import Workspace

RESULT = Path(__file__).parent / "results" / "frozen.json"
HEADS = ({"kind": "linear"}, {"kind": "mlp", "hidden": [128], "dropout": 0.5})
COMPARED = 64


def spec_of(head: dict[str, Any], epochs: int, weights: Path | None) -> MemberSpec:
    content = {
        "name": head["kind"], "backbone": {"kind": "mobile_facenet"}, "head": head, "epochs": epochs,
        "freeze": {"until": "backbone"}, "input": {"size": 112, "channels": 3, "normalize": "backbone"},
    }  # fmt: skip
    if weights is not None:
        content["weights"] = {"file": weights.name, "sha256": digest_file(weights)}
    return MemberSpec.model_validate(content)


def fitted(spec: MemberSpec, data: FitData, folder: Path, device: torch.device, weights: Path | None) -> Member:
    folder.mkdir(parents=True)
    faces = data.train
    member = Member.build(
        spec, classes=faces.classes, face_size=faces.size, face_channels=faces.channels, device=device, weights=weights
    )
    fit_member(member, data, folder=folder, cache=folder.parent, watcher=Watcher())
    return member


def largest_difference(member: Member, data: FitData, cache: Path) -> float:
    """Between cached features and the same features computed in one batch of another size."""
    cached = cached_features(member, data.train, mirrored=False, cache=cache)[0, :COMPARED]
    member.network.eval()
    with torch.inference_mode():
        faces = torch.from_numpy(np.array(data.train.images[:COMPARED])).to(member.device)
        computed = member.network.features(member.input_layer(faces)).cpu().numpy()
    return float(np.abs(cached - computed).max())


def main() -> None:
    """Measure, print and store."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", default="synthetic")
    parser.add_argument("--count", type=int, default=3000, help="synthetic faces")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    device, seconds = choose_device(args.device), []
    options = {"count": args.count} if args.data == "synthetic" else {}
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        source = DataSpec.model_validate({"source": args.data, **options})
        store = open_data(source, Workspace(folder), Console(quiet=True))
        data = FitData(train=store.split("train"), validation=store.split("validation"))
        for number, head in enumerate(HEADS):
            started, worked = time.perf_counter(), time.process_time()
            spec = spec_of(head, args.epochs, args.weights)
            member = fitted(spec, data, folder / str(number), device, args.weights)
            seconds.append((time.perf_counter() - started, time.process_time() - worked))
        difference = largest_difference(member, data, folder)
    first, second = seconds
    result = {
        "weights": args.weights.name if args.weights else "random", "data": args.data, "faces": len(data.train),
        "validation_faces": len(data.validation), "epochs": args.epochs, "heads": list(HEADS),
        "first_s": round(first[0], 2), "second_s": round(second[0], 2),
        "second_to_first": round(second[0] / first[0], 4),
        "first_processor_s": round(first[1], 2), "second_processor_s": round(second[1], 2),
        "second_to_first_processor": round(second[1] / first[1], 4), "largest_difference_of_features": difference,
        "device": describe_device(device), "processors": os.cpu_count(),
    }  # fmt: skip
    write_json(RESULT, result)
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
