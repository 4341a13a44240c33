"""What every reader of annotation files has in common: from rows to checked sources."""

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
MOST_DENSE = 2**26  # targets of a split, 256 MB: beyond, they are kept sparse


@dataclass(frozen=True)
class Annotation:
    """One image as an annotation file lists it.

    Attributes:
        image: Its path, relative to the root.
        targets: Target by label name; the labels not in it are all absent, or all unknown.
        part: ``"train"``, ``"val"``, ``"test"``, or ``"all"`` if the file has no splits.
        where: File and line of its labels, for error messages.
        listing: File and line that list it, where that is another file.
        group: Its group; every image of a data set has one, or none has.
    """

    image: str
    targets: dict[str, float]
    part: str
    where: str
    listing: str = ""
    group: str | None = None

    @property
    def listed(self) -> str:
        """File and line that list it, for error messages."""
        return self.listing or self.where


def label_set(
    classes: str | os.PathLike[str] | None, beside: str | os.PathLike[str]
) -> LabelSet | None:
    """Loads the label file: the one given, else ``classes.txt`` beside a file, else ``None``."""
    if classes is not None:
        return LabelSet.load(classes)
    usual = Path(beside).parent / "classes.txt"
    return LabelSet.load(usual) if is_file(usual) else None


def group_of(name: str, where: str) -> str:
    """Returns the name of a group without spaces around it.

    Raises:
        InputError: If it is empty: it would be unknown which images belong together.
    """
    if not name.strip():
        raise InputError(
            f"{where}: the group is empty; give every image one, and an image on its own a name of "
            "its own"
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
) -> DataSplits:
    """Checks annotations and turns them into splits.

    Args:
        name: What to call the data set.
        root: The folder that image paths are relative to.
        annotations: All images.
        labels: The labels; ``None`` for those seen, sorted.
        unlisted: Target of the labels that an annotation does not mention.
        notes: What the reader has to say.
        fractions: Shares of train, val and test where splits are made here.
        seed: Seed of splits that are made here.
        on_error: What to do about missing image files: stop, or leave them out and say so.
        evaluate_only: See :func:`~gatlabel.data.splits.complete_splits`.

    Raises:
        InputError: If an image is listed twice or missing, or a label is not among ``labels``.
    """
    if labels is None:
        labels = _labels_seen(annotations)
        if not len(labels):
            raise InputError(f"{name}: no image has a label")
    refuse_repeats(root, annotations)
    there, said = find_images(root, annotations, on_error)
    found = [annotations[position] for position in there]
    empty = {row.part for row in annotations} - {row.part for row in found}
    if empty:
        raise InputError(f"{name}: {said[-1]}; nothing is left of the split {min(empty)}")
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
        notes=(*notes, *said),
        evaluate_only=evaluate_only,
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
    """Makes the targets of annotations, sparse where a dense array would be large."""
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
