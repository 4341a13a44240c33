"""Out-of-fold predictions: for every image by a model that was not trained on it."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gatlabel.array_reading import read_npz
from gatlabel.errors import InputError
from gatlabel.files import atomic_path
from gatlabel.labels import LabelSet
from gatlabel.targets import Targets

Rows = NDArray[np.int64]
#: A function of the positions to train on, the positions to predict and the number of the fold. It
#: returns scores ``(len(predicted), L)``.
FitPredict = Callable[[Rows, Rows, int], NDArray[np.float32]]
NAME = "out_of_fold.npz"
ARRAYS = ("ids", "labels", "scores", "targets", "fold")


def out_of_fold(
    targets: NDArray[np.float32], fold_of: NDArray[np.int64], fit_predict: FitPredict
) -> NDArray[np.float32]:
    """Predicts every fold by a model that was fitted on the others.

    Args:
        targets: ``(N, L)``.
        fold_of: The fold of each image, ``(N,)``; see :func:`~gatlabel.data.folds`.
        fit_predict: Fits and predicts, called once per fold in ascending order. Its arguments are
            the rows to train on and the rows to predict, both ascending, and the fold.

    Returns:
        float32 ``(N, L)``: the scores of each image, in the order of the targets.

    Raises:
        InputError: If there is only one fold, the numbers of rows differ, or a result has another
            shape or is not finite.
    """
    numbers = np.unique(fold_of)
    if fold_of.shape != (len(targets),):
        raise InputError(f"folds of shape {fold_of.shape} for {len(targets)} images")
    if len(numbers) < 2:
        raise InputError("out-of-fold predictions need at least two folds")
    scores = np.empty(targets.shape, dtype=np.float32)
    for fold in numbers.tolist():
        rows = np.flatnonzero(fold_of == fold)
        found = np.asarray(fit_predict(np.flatnonzero(fold_of != fold), rows, fold))
        if found.shape != (len(rows), targets.shape[1]):
            raise InputError(
                f"fold {fold}: scores of shape {found.shape} for {len(rows)} images and "
                f"{targets.shape[1]} labels"
            )
        if not np.isfinite(found).all():
            raise InputError(f"fold {fold}: some scores are not finite")
        scores[rows] = found
    return scores


@dataclass(frozen=True)
class OutOfFold:
    """Out-of-fold predictions of a data set: the contents of ``out_of_fold.npz``.

    Attributes:
        ids: Names of the N images.
        labels: The L labels.
        scores: float32 ``(N, L)``.
        targets: float32 ``(N, L)``, -1 for unknown.
        fold: The fold in which each image was predicted, int64 ``(N,)``.

    Raises:
        InputError: If the shapes do not match, two images have the same name, a score is not
            finite, a target is out of range, or a fold is negative.
    """

    ids: Sequence[str]
    labels: LabelSet
    scores: NDArray[np.float32]
    targets: NDArray[np.float32]
    fold: NDArray[np.int64]

    def __post_init__(self) -> None:
        shape = (len(self.ids), len(self.labels))
        if len(set(self.ids)) < len(self.ids):
            raise InputError("two images have the same name")
        Targets(self.targets, self.labels)  # refuses values out of range
        if not self.scores.shape == self.targets.shape == shape:
            raise InputError(
                f"scores {self.scores.shape} and targets {self.targets.shape} for {shape[0]} "
                f"images and {shape[1]} labels"
            )
        if self.fold.shape != shape[:1] or (self.fold < 0).any():
            raise InputError(f"expected {shape[0]} folds of at least 0")
        if not np.isfinite(self.scores).all():
            raise InputError("some scores are not finite")

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes an npz file of plain arrays, atomically.

        Raises:
            InputError: If it cannot be written.
        """
        with atomic_path(path) as temporary, temporary.open("wb") as file:
            np.savez_compressed(
                file,
                ids=np.array(self.ids, dtype=np.str_),
                labels=np.array(list(self.labels), dtype=np.str_),
                scores=self.scores.astype(np.float32),
                targets=self.targets.astype(np.float32),
                fold=self.fold.astype(np.int64),
            )

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> OutOfFold:
        """Reads a file written by :meth:`save`, without unpickling.

        Raises:
            InputError: If the file cannot be read or has other contents; the message names it.
        """
        arrays = read_npz(path, "file of out-of-fold predictions")
        name = os.fspath(path)
        missing = [key for key in ARRAYS if key not in arrays]
        if missing:
            raise InputError(f"{name} has no array {missing[0]!r}: not out-of-fold predictions")
        kinds = {"ids": "U", "labels": "U", "scores": "f", "targets": "f", "fold": "iu"}
        for key, kind in kinds.items():
            axes = 2 if key in ("scores", "targets") else 1
            if arrays[key].dtype.kind not in kind or arrays[key].ndim != axes:
                raise InputError(
                    f"{name}: {key!r} has type {arrays[key].dtype} and {arrays[key].ndim} axes"
                )
        try:
            with np.errstate(over="ignore"):  # infinite values are found later
                return cls(
                    arrays["ids"].tolist(),
                    LabelSet(arrays["labels"].tolist()),
                    arrays["scores"].astype(np.float32),
                    arrays["targets"].astype(np.float32),
                    arrays["fold"].astype(np.int64),
                )
        except InputError as error:
            raise InputError(f"{name}: {error}") from error
