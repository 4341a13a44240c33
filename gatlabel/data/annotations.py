"""Common steps of all readers of annotation files: conversion of rows to checked sources."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from scipy import sparse

from gatlabel.data.file_images import FileImages
from gatlabel.data.image_paths import find_images, is_file, refuse_repeats
from gatlabel.data.source import DataSplits
from gatlabel.data.splits import FRACTIONS, complete_splits
from gatlabel.errors import InputError
from gatlabel.labels import ABSENT, LabelSet, check_name
from gatlabel.targets import Targets

DifficultAs = Literal["unknown", "positive", "negative"]
MOST_DENSE = 2**26  # targets of a split, 256 MB: larger ones are stored sparse


@dataclass(frozen=True)
class Annotation:
    """One image as listed in an annotation file.

    Attributes:
        image: Its path, relative to the root.
        targets: Target by label name; unlisted labels are all absent, or all unknown.
        part: ``"train"``, ``"val"``, ``"test"``, or ``"all"`` if the file has no splits.
        where: File and line of its labels, for error messages.
        listing: File and line that list it, if that is another file.
        group: Its group; either all images of a data set have one, or none.
    """

    image: str
    targets: dict[str, float]
    part: str
    where: str
    listing: str = ""
    group: str | None = None

    @property
    def listed(self) -> str:
        """File and line that list the image, for error messages."""
        return self.listing or self.where


def label_set(
    classes: str | os.PathLike[str] | None, beside: str | os.PathLike[str]
) -> LabelSet | None:
    """Loads the given label file, or ``classes.txt`` next to a file, or returns ``None``."""
    if classes is not None:
        return LabelSet.load(classes)
    usual = Path(beside).parent / "classes.txt"
    return LabelSet.load(usual) if is_file(usual) else None


def group_of(name: str, where: str) -> str:
    """Returns the name of a group without surrounding spaces.

    Raises:
        InputError: If it is empty, so that the group would be unknown.
    """
    if not name.strip():
        raise InputError(
            f"{where}: the group is empty; give every image a group, and a single image a group "
            "of its own"
        )
    return name.strip()


def build_splits(
    name: str,
    root: Path,
    annotations: Sequence[Annotation],
    labels: LabelSet | None,
    *,
    unlisted: float = ABSENT,
    notes: Sequence[str] = (),
    fractions: tuple[float, float, float] = FRACTIONS,
    seed: int = 0,
    on_error: Literal["stop", "skip"] = "stop",
    evaluate_only: bool = False,
    strata: bool = False,
) -> DataSplits:
    """Checks annotations and converts them to splits.

    Args:
        name: Name of the data set.
        root: The folder that image paths are relative to.
        annotations: All images.
        labels: The labels; ``None`` for all that occur, sorted.
        unlisted: Target of labels that an annotation does not list.
        notes: Notes of the reader.
        fractions: Shares of train, val and test if the data are split here.
        seed: Seed of that split.
        on_error: Treatment of missing image files: stop, or skip them with a note.
        evaluate_only: See :func:`~gatlabel.data.splits.complete_splits`.
        strata: See there.

    Raises:
        InputError: If an image is listed twice or missing, or a label is not among ``labels``.
    """
    if labels is None:
        labels = _labels_seen(annotations)
        if not len(labels):
            raise InputError(f"{name}: no image has a label")
    refuse_repeats(root, annotations)
    there, skipped = find_images(root, annotations, on_error)
    found = [annotations[position] for position in there]
    empty = {row.part for row in annotations} - {row.part for row in found}
    if empty:
        raise InputError(f"{name}: {skipped[-1]}; no images remain in the split {min(empty)}")
    annotations, parts = found, {}
    for part in dict.fromkeys(row.part for row in annotations):
        rows = [row for row in annotations if row.part == part]
        ids = [row.image for row in rows]
        groups = [row.group for row in rows if row.group is not None] or None
        targets = _targets(rows, labels, unlisted)
        parts[part] = FileImages(root, labels, ids, targets, groups=groups)
    return complete_splits(
        name,
        parts,
        fractions=fractions,
        seed=seed,
        notes=(*notes, *skipped),
        evaluate_only=evaluate_only,
        strata=strata,
    )


def _labels_seen(rows: Sequence[Annotation]) -> LabelSet:
    """Collects the labels of all images, sorted."""
    seen: dict[str, str] = {}
    forms: dict[str, str] = {}
    for row in rows:
        for label in row.targets:
            if label in seen:
                continue
            try:
                check_name(label)
            except InputError as error:
                raise InputError(f"{row.where}: {error}") from error
            seen[label] = row.where
            other = forms.setdefault(unicodedata.normalize("NFC", label), label)
            if other != label:
                raise InputError(
                    f"{row.where}: the labels {label!a} and, at {seen[other]}, {other!a} "
                    "are one name in two Unicode forms: write it one way"
                )
    return LabelSet(sorted(seen))


def _targets(rows: Sequence[Annotation], labels: LabelSet, unlisted: float) -> Targets:
    """Builds the targets of annotations, sparse if a dense array would be large."""
    places, values = [], []
    for position, row in enumerate(rows):
        for label, value in row.targets.items():
            if label not in labels:
                raise InputError(
                    f"{row.where}: label {label!r} is not among the classes{labels.hint(label)}"
                )
            places.append((position, labels.index(label)))
            values.append(value)
    shape = (len(rows), len(labels))
    where = tuple(np.array(places, dtype=np.int64).reshape(-1, 2).T)
    if unlisted == ABSENT and shape[0] * shape[1] > MOST_DENSE:
        found = np.array(values, dtype=np.float32)
        return Targets(sparse.csr_array((found, where), shape=shape), labels)
    targets = np.full(shape, unlisted, dtype=np.float32)
    targets[where] = values
    return Targets(targets, labels)
