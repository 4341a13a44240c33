"""What every reader of annotation files has in common: from rows to checked sources."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from gatlabel.data.file_images import FileImages
from gatlabel.data.source import DataSplits
from gatlabel.data.splits import FRACTIONS, complete_splits
from gatlabel.errors import InputError, nearest
from gatlabel.labels import ABSENT, LabelSet

DifficultAs = Literal["unknown", "positive", "negative"]


@dataclass(frozen=True)
class Annotation:
    """One picture as an annotation file lists it.

    Attributes:
        image: Its path, relative to the root.
        targets: Target by label name; the labels not in it are all absent, or all unknown.
        part: ``"train"``, ``"val"``, ``"test"``, or ``"all"`` if the file has no splits.
        where: File and line, for error messages.
    """

    image: str
    targets: dict[str, float]
    part: str
    where: str


def label_set(
    classes: str | os.PathLike[str] | None, beside: str | os.PathLike[str]
) -> LabelSet | None:
    """Loads the label file: the one given, else ``classes.txt`` beside a file, else ``None``."""
    if classes is not None:
        return LabelSet.load(classes)
    usual = Path(beside).parent / "classes.txt"
    return LabelSet.load(usual) if usual.is_file() else None


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
        root: The folder that picture paths are relative to.
        annotations: All pictures.
        labels: The labels; ``None`` for those seen, sorted.
        unlisted: Target of the labels that an annotation does not mention.
        notes: What the reader has to say.
        fractions: Shares of train, val and test where splits are made here.
        seed: Seed of splits that are made here.
        on_error: What to do about missing picture files: stop, or leave them out and say so.
        evaluate_only: See :func:`~gatlabel.data.splits.complete_splits`.

    Raises:
        InputError: If a picture is listed twice or missing, or a label is not among ``labels``.
    """
    if labels is None:
        labels = LabelSet(sorted({label for row in annotations for label in row.targets}))
        if not len(labels):
            raise InputError(f"{name}: no picture has a label")
    _refuse_duplicates(annotations)
    annotations, missing = _without_missing(root, annotations, on_error)
    parts = {}
    for part in dict.fromkeys(row.part for row in annotations):
        rows = [row for row in annotations if row.part == part]
        ids = [row.image for row in rows]
        parts[part] = FileImages(root, labels, ids, _targets(rows, labels, unlisted))
    return complete_splits(
        name,
        parts,
        fractions=fractions,
        seed=seed,
        notes=(*notes, *missing),
        evaluate_only=evaluate_only,
    )


def _targets(rows: Sequence[Annotation], labels: LabelSet, unlisted: float) -> NDArray[np.float32]:
    targets = np.full((len(rows), len(labels)), unlisted, dtype=np.float32)
    for position, row in enumerate(rows):
        for label, value in row.targets.items():
            if label not in labels:
                hint = nearest(label, labels)
                raise InputError(f"{row.where}: label {label!r} is not among the classes{hint}")
            targets[position, labels.index(label)] = value
    return targets


def _refuse_duplicates(rows: Sequence[Annotation]) -> None:
    seen: dict[str, str] = {}
    for row in rows:
        if not row.image:
            raise InputError(f"{row.where}: the picture's path is empty")
        if row.image in seen:
            raise InputError(
                f"{row.where}: {row.image} is listed already at {seen[row.image]}; keep one of them"
            )
        seen[row.image] = row.where


def _without_missing(
    root: Path, rows: Sequence[Annotation], on_error: str
) -> tuple[Sequence[Annotation], list[str]]:
    if not root.is_dir():
        raise InputError(f"there is no folder {root}")
    there = [(root / row.image).is_file() for row in rows]
    missing = [row for row, exists in zip(rows, there, strict=True) if not exists]
    if not missing:
        return rows, []
    shown = ", ".join(row.image for row in missing[:3]) + (" …" if len(missing) > 3 else "")
    said = f"{len(missing)} of {len(rows)} pictures are missing below {root}: {shown}"
    if on_error == "stop":
        raise InputError(
            f"{said} (first listed at {missing[0].where}); on-error skip leaves them out"
        )
    return [row for row, exists in zip(rows, there, strict=True) if exists], [f"left out, {said}"]
