"""Sheets of maps on faces: Grad-CAM, occlusion, and how far the members' maps agree."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from pipelines.explain.agreement import blended, committee_weights, map_agreement
from pipelines.explain.case import Case, Sheet
from pipelines.explain.figure import Cell, Scale, agreement_figure, grid_figure, on_face
from pipelines.explain.saliency import CamMaps, OcclusionMaps, gradcam_maps, occlusion_maps

__all__ = ["MapSheets"]

COMMITTEE = "COMMITTEE"
_SCALES: Mapping[str, Scale] = {"gradcam": "for", "occlusion": "for_and_against"}
_TITLES = {"gradcam": "Grad-CAM", "occlusion": "occlusion"}
_BARS = {
    "gradcam": "evidence for the class, share of the map's largest",
    "occlusion": "probability lost when hidden (red), won (blue), share of the map's largest",
}

Maps = npt.NDArray[np.float64]


class MapSheets:
    """The maps of a case, each made once, and the sheets drawn of them.

    Args:
        case: Faces and members.
        advance: Told the number of hidden faces asked for.
    """

    def __init__(self, case: Case, *, advance: Callable[[int], None] = lambda rows: None) -> None:
        self.case, self.advance = case, advance

    @cached_property
    def weights(self) -> dict[str, float]:
        """What each member weighs in the committee; empty without a committee."""
        case = self.case
        return {} if case.committee is None else committee_weights(case.committee, case.posteriors, list(case.target))

    @cached_property
    def cams(self) -> dict[str, CamMaps | str]:
        """Grad-CAM by member, or the reason why there is none."""
        case = self.case
        return {one.name: gradcam_maps(one, case.shown.images, case.target) for one in case.subjects}

    @cached_property
    def occlusions(self) -> OcclusionMaps:
        """Occlusion by member and of the committee."""
        case = self.case
        return occlusion_maps(
            case.subjects, case.shown.images, case.target, committee=case.committee, outside=case.shown.outside,
            advance=self.advance,
        )  # fmt: skip

    def maps(self, method: str) -> dict[str, Maps]:
        """(N, H, W) by member, and the committee's, of `gradcam` or `occlusion`."""
        if method == "occlusion":
            own = self.occlusions
            return dict(own.members) | ({} if own.committee is None else {COMMITTEE: own.committee})
        found = {name: cam.maps for name, cam in self.cams.items() if isinstance(cam, CamMaps)}
        if self.case.committee is None or not found or sum(self.weights[name] for name in found) <= 0:
            return found
        return found | {COMMITTEE: blended(found, self.weights)}

    def gradcam(self) -> Iterator[Sheet]:
        """A sheet of Grad-CAM, and the members that have none."""
        layers = {name: cam.layer for name, cam in self.cams.items() if isinstance(cam, CamMaps)}
        for name, cam in self.cams.items():
            if isinstance(cam, str):
                yield Sheet(method="gradcam", member=name, facts={"reason": cam})
        maps = self.maps("gradcam")
        if maps:
            facts = {"layers": layers, "weights": self.weights, "without_evidence": _without_evidence(maps)}
            yield Sheet(method="gradcam", member=None, figure=self._draw("gradcam", maps, layers), facts=facts)

    def occlusion(self) -> Iterator[Sheet]:
        """A sheet of occlusion maps."""
        maps, own = self.maps("occlusion"), self.occlusions
        largest = {name: [round(float(np.abs(m).max()), 6) for m in rows] for name, rows in maps.items()}
        facts = {"window": own.window, "stride": own.stride, "largest_change": largest}
        yield Sheet(method="occlusion", member=None, figure=self._draw("occlusion", maps, {}), facts=facts)

    def agreement(self, methods: tuple[str, ...] = ("gradcam", "occlusion")) -> Iterator[Sheet]:
        """A sheet of rank correlations between the maps of members and committee, and everyone's mean map."""
        known = {method: maps for method in methods if len(maps := self.maps(method)) > 1}
        if not known:
            yield Sheet(method="agreement", member=None, facts={"reason": "fewer than two members have maps"})
            return
        matrices = {method: map_agreement(maps) for method, maps in known.items()}
        mean = self.case.shown.images.mean(axis=0).round().astype(np.uint8)
        means = {method: [self._mean(mean, method, name, own) for name, own in maps.items()]
                 for method, maps in known.items()}  # fmt: skip
        names = {method: list(maps) for method, maps in known.items()}
        title = f"{self.case.name}: agreement of maps over {len(self.case.target)} faces; below, mean maps"
        figure = agreement_figure(matrices, names, means, title=title)
        facts = {
            "weights": self.weights,
            "rank_correlation": {m: {"names": names[m], "matrix": _rounded(matrix)} for m, matrix in matrices.items()},
        }
        yield Sheet(method="agreement", member=None, figure=figure, facts=facts)

    def _mean(self, face: npt.NDArray[np.uint8], method: str, name: str, maps: Maps) -> Cell:
        scaled = maps / np.maximum(np.nanmax(np.abs(maps), axis=(1, 2), keepdims=True), 1e-12)
        weight = f"\nweight {self.weights[name]:.2f}" if name in self.weights else ""
        return Cell(picture=on_face(face, scaled.mean(axis=0), scale=_SCALES[method]), words=f"{name}{weight}")

    def _draw(self, method: str, maps: Mapping[str, Maps], layers: Mapping[str, str]) -> Any:
        case, faces = self.case, self.case.shown.images
        rows = []
        for i, face in enumerate(faces):
            cells = [Cell(picture=face / 255, words=case.words(i))]
            for name, own in maps.items():
                words = case.committee_words(i) if name == COMMITTEE else case.member_words(name, i)
                words += f", ±{np.nanmax(np.abs(own[i])):.2f}" if method == "occlusion" else ""
                cells.append(Cell(picture=on_face(face, own[i], scale=_SCALES[method]), words=words))
            rows.append(cells)
        title = f"{case.name}: {_TITLES[method]}, {case.subject_of_maps}"
        title += "".join(f"\n{name}: {layer}" for name, layer in layers.items()) if len(layers) < 3 else ""
        return grid_figure(rows, ["face", *maps], title=title, bar=(_SCALES[method], _BARS[method]))


def _without_evidence(maps: Mapping[str, Maps]) -> dict[str, int]:
    """Faces on which nothing speaks for the class, by member; members without such faces are left out."""
    counts = {name: int((np.nanmax(own, axis=(1, 2)) <= 0).sum()) for name, own in maps.items()}
    return {name: count for name, count in counts.items() if count}


def _rounded(matrix: npt.NDArray[np.float64]) -> list[list[float | None]]:
    return [[None if value != value else round(float(value), 4) for value in row] for row in matrix]
