"""Sheets of a single network: first filters, activation maps, gradient ascent and dreams."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from pipelines.explain.case import Case, Sheet
from pipelines.explain.figure import Cell, Row, grid_figure, mosaic_figure
from pipelines.explain.map_layer import MapLayer, first_filters, map_layers, recorded
from pipelines.explain.subject import ClassScores, Subject, network_input
from pipelines.explain.synthesis import Ascent, ascend_filters, dream_classes, strongest_channels

__all__ = ["activation_sheet", "ascent_sheet", "dream_sheet", "filter_sheet"]

_MOST_FILTERS = 96
_DEAD = 0.01  # of the largest weight
_MAPS_SHOWN = 12
_LAYERS = 8
_DEPTHS = 4
_CLIMBED = 12

Pictures = npt.NDArray[np.float64]


def filter_sheet(case: Case, subject: Subject) -> Iterator[Sheet]:
    """The weights of the layer that sees the image, each filter on its own scale around grey.

    Figure 10 of Alizadeh & Fazel, 2017, Convolutional Neural Networks for Facial Expression Recognition.
    """
    weights = first_filters(subject.first.network)
    if weights is None:
        yield _none("filters", subject, f"no layer of the backbone `{subject.backbone}` with weights sees the pixels")
        return
    values = weights[:_MOST_FILTERS].float().cpu().numpy().astype(np.float64)  # (F, C, h, w)
    largest = np.abs(values).max(axis=(1, 2, 3), keepdims=True)
    dead = largest < _DEAD * largest.max()
    tiles = _as_pictures(0.5 + np.where(dead, 0, values / np.maximum(2 * largest, 1e-12)))
    count, channels, height, width = weights.shape
    words = f"{count} filters of {channels}×{height}×{width}"
    words += f", the first {_MOST_FILTERS} of them" if count > _MOST_FILTERS else ""
    words += "; black and white are ± the largest weight of each"
    words += f"; {int(dead.sum())} have next to none" if dead.any() else ""
    figure = mosaic_figure([Row(words=words, tiles=tiles)], title=_title(case, subject, "first layer"), per_line=16)
    facts = {"filters": count, "shape": [channels, height, width], "dead": int(dead.sum())}
    yield Sheet(method="filters", member=subject.name, figure=figure, facts=facts)


def activation_sheet(case: Case, subject: Subject) -> Iterator[Sheet]:
    """What the first face excites, layer by layer: the maps that vary most, and how many cells rest.

    Figure 9 of Alizadeh & Fazel, 2017.
    """
    x = network_input(subject.first, case.shown.images[:1])
    found = map_layers(subject.first.network, x)
    layers = _spread(tuple(one for one in found if max(one.shape[1:]) > 1), _LAYERS)  # a single cell is no picture
    if not layers:
        yield _no_map("activations", subject)
        return
    with torch.no_grad(), recorded(layers) as maps:
        subject.first.network(x)
    rows, facts = [Row(words="what the network sees", tiles=_input_pictures(x))], []
    for layer in layers:
        values = maps[layer.name][0].double().cpu().numpy()  # (C, h, w)
        order = np.argsort(-values.std(axis=(1, 2)), kind="stable")[:_MAPS_SHOWN]
        shown = values[order]
        low, high = shown.min(axis=(1, 2), keepdims=True), shown.max(axis=(1, 2), keepdims=True)
        resting, peak = float((values <= 0).mean()), _concentration(values)
        words = f"{layer}: {resting:.0%} of the cells at or below 0"
        rows.append(Row(words=words, tiles=_ratio(shown - low, high - low)))
        facts.append({"layer": layer.name, "shape": list(layer.shape), "resting": round(resting, 4),
                      "top_tenth": round(peak, 4)})  # fmt: skip
    title = _title(case, subject, f"activation maps of {case.shown.ids[0]}")
    figure = mosaic_figure(rows, title=title, colours="viridis")
    yield Sheet(method="activations", member=subject.name, figure=figure, facts={"layers": facts})


def ascent_sheet(case: Case, subject: Subject, *, steps: int = 48) -> Iterator[Sheet]:
    """Pictures, by gradient ascent, that excite those filters at several depths which the faces excite most."""
    network = subject.first.network
    seen = network_input(subject.first, case.shown.images)
    layers = _spread(map_layers(network, seen), _DEPTHS)
    if not layers:
        yield _no_map("ascent", subject)
        return
    made = []
    for layer in layers:
        channels = strongest_channels(network, layer, seen, _CLIMBED)
        made.append(ascend_filters(network, layer, channels, seen, steps=steps, seed=case.seed))
    rows = [Row(words=_ascent_words(one), tiles=_stretched(one.pictures)) for one in made]
    title = _title(case, subject, "what its filters look for, by gradient ascent")
    facts = [{"layer": one.layer, "channels": list(one.channels), "before": _rounded(one.before),
              "after": _rounded(one.after)} for one in made]  # fmt: skip
    figure = mosaic_figure(rows, title=title)
    yield Sheet(method="ascent", member=subject.name, figure=figure, facts={"layers": facts})


def dream_sheet(case: Case, subject: Subject, *, steps: int = 20) -> Iterator[Sheet]:
    """One face, changed until the network sees each expression in it, and what was changed.

    Figure 11 of Alizadeh & Fazel, 2017.
    """
    start = network_input(subject.first, case.shown.start[None])
    scores = ClassScores(subject.first.network, subject.first.class_map)
    dream = dream_classes(scores, start, len(case.classes), steps=steps, seed=case.seed)
    both = torch.cat([dream.start, dream.pictures])
    low, high = (float(v) for v in torch.quantile(both.flatten(), torch.tensor([0.005, 0.995]).to(both)))
    faces = _as_pictures(((both - low) / max(high - low, 1e-12)).double().cpu().numpy())
    change = (dream.pictures - dream.start).double().cpu().numpy()
    limit = max(float(np.abs(change).max()), 1e-12)
    changes = _as_pictures(0.5 + change / (2 * limit))
    upper = [Cell(picture=faces[0], words=case.shown.start_name[-24:])]
    upper += [Cell(picture=picture, words=f"{before:.2f} → {after:.2f}")
              for picture, before, after in zip(faces[1:], dream.before, dream.after, strict=True)]  # fmt: skip
    lower = [Cell(picture=None), *(Cell(picture=picture, words="change") for picture in changes)]
    title = _title(case, subject, "DeepDream, one face towards each expression, with its probability")
    figure = grid_figure([upper, lower], ["start", *case.classes], title=title)
    facts = {"start": case.shown.start_name, "before": _named(case, dream.before), "after": _named(case, dream.after)}
    yield Sheet(method="dream", member=subject.name, figure=figure, facts=facts)


def _title(case: Case, subject: Subject, text: str) -> str:
    return f"{subject.name}: {text}" if case.name == subject.name else f"{case.name}, {subject.name}: {text}"


def _none(method: str, subject: Subject, reason: str) -> Sheet:
    return Sheet(method=method, member=subject.name, facts={"reason": reason})


def _no_map(method: str, subject: Subject) -> Sheet:
    return _none(method, subject, f"the backbone `{subject.backbone}` has no convolutional map")


def _spread(layers: tuple[MapLayer, ...], most: int) -> tuple[MapLayer, ...]:
    """At most so many layers, evenly from first to last."""
    places = np.linspace(0, len(layers) - 1, min(most, len(layers))).round().astype(int)
    return tuple(layers[place] for place in places.tolist())


def _concentration(values: Pictures) -> float:
    """Share of a layer's positive activation that lies in the top tenth of each map's cells, mean over live maps."""
    flat = np.sort(np.maximum(values, 0).reshape(len(values), -1), axis=1)[:, ::-1]
    live = flat[flat.sum(axis=1) > 0]
    if not len(live):
        return 0.0
    top = max(1, round(flat.shape[1] / 10))
    return float((live[:, :top].sum(axis=1) / live.sum(axis=1)).mean())


def _as_pictures(values: Pictures) -> Pictures:
    """(T, C, H, W) to (T, H, W) of one channel, or (T, H, W, 3); of other channels the mean."""
    if values.shape[1] == 3:
        return np.moveaxis(values, 1, -1)
    return np.asarray(values.mean(axis=1))


def _input_pictures(x: Tensor) -> Pictures:
    values = x.double().cpu().numpy().mean(axis=1)
    return _ratio(values - values.min(), np.asarray(np.ptp(values)))


def _stretched(pictures: Tensor) -> Pictures:
    """Each picture between its own 2nd and 98th percentile, all channels alike."""
    values = pictures.double().cpu().numpy()
    low, high = (np.quantile(values, q, axis=(1, 2, 3), keepdims=True) for q in (0.02, 0.98))
    return np.clip(_as_pictures(_ratio(values - low, high - low)), 0, 1)


def _ratio(values: Pictures, span: Pictures) -> Pictures:
    return np.asarray(values / np.maximum(span, 1e-12))


def _ascent_words(one: Ascent) -> str:
    numbers = ", ".join(map(str, one.channels))
    before, after = np.mean(one.before), np.mean(one.after)
    return f"{one.layer}, filters {numbers}; mean activation {before:.2f} → {after:.2f}"


def _rounded(values: tuple[float, ...]) -> list[float]:
    return [round(value, 6) for value in values]


def _named(case: Case, values: tuple[float, ...]) -> dict[str, float]:
    return dict(zip(case.classes, _rounded(values), strict=True))
