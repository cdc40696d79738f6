"""One folder per expression, with or without folders for the splits: the commonest layout of image data."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from backbones.errors import InputError
from backbones.parameter import Count, Fraction, Natural
from ensemble.expression import canonical_classes, canonical_expression
from pipelines.csv_table import read_csv
from pipelines.file_tree import file_names, open_file
from pipelines.home_path import expanded
from pipelines.image_tree import (
    class_of,
    classes_of,
    common_shape,
    decode_images,
    holds_files,
    image_fingerprint,
    image_names,
    images_in,
    relative_names,
)
from pipelines.listing import Listing
from pipelines.readers import READERS, require_source
from pipelines.skip_report import SkipReport
from pipelines.split import split_faces

__all__ = ["ClassFolder"]

_GROUPS = "groups.csv"


@READERS.register("class_folder")
class ClassFolder:
    """One folder per expression, below `train`, `validation` and `test` folders or not.

    Faces without a validation split are divided by class shares; `groups.csv` (columns `file,group`) in the tree keeps
    the faces of one person together.

    Args:
        validation: Share of the faces that becomes the validation split, where no folder is one.
        test: Share that becomes the test split, where no folder names any split.
        seed: Another seed, another division.
        size: Side of the faces in pixels; None keeps the images' own, or takes the median of several.
    """

    fallback: ClassVar[bool] = True

    def __init__(
        self, *, validation: Fraction = 0.1, test: Fraction = 0.1, seed: Natural = 0, size: Count | None = None
    ) -> None:
        self.validation = validation
        self.test = test
        self.seed = seed
        self.size = size

    @classmethod
    def claims(cls, source: Path | str) -> bool:
        """Whether images lie in folders of which at least two are named after expressions."""
        if not holds_files(source):
            return False
        found = {canonical_expression(class_of(name)[0]) for name in images_in(expanded(source))} - {None}
        return len(found) >= 2

    def fingerprint(self, source: Path | str) -> str:
        """sha256 of an archive, or of a folder's names, sizes and times of change."""
        return image_fingerprint(require_source(source))

    def scan(self, source: Path | str, skipped: SkipReport | None = None) -> Listing:
        """Read labels, and splits where there are any, from the folders' names; divide the rest.

        Raises:
            InputError: An image lies in no class's folder, or only some lie in a split's folder.
        """
        path = require_source(source)
        names = image_names(path, skipped)
        places = classes_of(path, names)
        classes, mapping = canonical_classes(folder for folder, _ in places)
        labels = np.array([classes.index(mapping[folder]) for folder, _ in places], dtype=np.int64)
        ids = relative_names(names)
        groups = _read_groups(path, names)
        shape, resize = common_shape(path, names, self.size)
        return Listing(
            ids=np.array(ids, dtype=np.str_),
            labels=labels,
            splits=self._splits(path, ids, labels, [split for _, split in places], groups),
            classes=classes,
            shape=shape,
            groups=groups,
            entries=tuple(names),
            resize=resize,
        )

    def decode(self, source: Path | str, listing: Listing) -> Iterator[npt.NDArray[np.uint8]]:
        """Yield blocks of faces in the order of the listing."""
        return decode_images(require_source(source), listing)

    def _splits(
        self,
        path: Path,
        ids: Sequence[str],
        labels: npt.NDArray[np.int64],
        named: Sequence[str],
        groups: npt.NDArray[np.str_] | None,
    ) -> npt.NDArray[np.str_]:
        splits = np.array(named, dtype="<U10")
        if "" in named and set(named) != {""}:
            example = ids[named.index("")]
            raise InputError(
                f"Expected all images of {path} below train, validation or test folders, or none, but {example!r} is "
                "in no such folder while others are."
            )
        if "validation" in named:
            return splits
        # Only the train folder is divided; without any other split folder it stands for all faces.
        test = 0.0 if "test" in named else self.test
        rows = np.flatnonzero(splits != "test")
        if not len(rows):
            return splits
        # An archive keeps its own order: dividing the sorted names gives it the same splits as the folder it was.
        rows = rows[np.argsort(np.array(ids)[rows], kind="stable")]
        splits[rows] = split_faces(
            labels[rows],
            validation=self.validation,
            test=test,
            seed=self.seed,
            groups=None if groups is None else groups[rows],
        )
        return splits


def _read_groups(path: Path, names: Sequence[str]) -> npt.NDArray[np.str_] | None:
    """Group of every image from the tree's `groups.csv`; an image it does not name is a group of its own."""
    table = next((name for name in file_names(path) if name.rpartition("/")[2] == _GROUPS), None)
    if table is None:
        return None
    with open_file(path, table) as file:
        rows = read_csv(file, f"{path}/{table}")
    if not {"file", "group"} <= set(rows[0]):
        raise InputError(f"Expected the columns `file,group` in {path}/{table}, but got {rows[0]}.")
    folder, file_column, group_column = PurePosixPath(table).parent, rows[0].index("file"), rows[0].index("group")
    group_of = {str(folder / row[file_column]): f"group {row[group_column]}" for row in rows[1:]}
    if not group_of.keys() & set(names):
        raise InputError(
            f"Expected {path}/{table} to name images relative to its own folder, but none of its {len(group_of)} "
            f"rows is an image, such as {names[0]!r}."
        )
    return np.array([group_of.get(name, name) for name in names], dtype=np.str_)
