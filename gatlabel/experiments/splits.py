"""The images used for training, tuning and reporting."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gatlabel.data import DataSplits, ImageSource, stratify
from gatlabel.errors import InputError
from gatlabel.targets import Targets

Rows = NDArray[np.int64]
TUNING_SHARE = 0.2
#: The procedure if there is no split for tuning.
TUNING = (
    f"options chosen on {TUNING_SHARE:.0%} of the training images, stratified by label and drawn "
    "anew for every tuning seed; then trained on all training images"
)


@dataclass(frozen=True)
class Roles:
    """The role of each split.

    Attributes:
        train: Training images.
        tune: Images for tuning; ``None`` if they are drawn from train.
        report: Images of the reported metrics, which are not used for any choice.
        report_name: The name of their split.
        note: The roles as text.
    """

    train: ImageSource
    tune: ImageSource | None
    report: ImageSource
    report_name: str
    note: str


def roles(splits: DataSplits) -> Roles:
    """Assigns roles to the splits of a data set.

    Raises:
        InputError: If the reported split has no positives.
    """
    val_has_labels = bool(splits.val.targets.counts().present.any())
    if splits.test is None or not len(splits.test):
        note = f"no test split: {TUNING}; metrics are of val, which was not used for any choice"
        chosen = Roles(splits.train, None, splits.val, "val", note)
    elif val_has_labels:
        note = "options chosen on val, metrics are of test, which was not used for any choice"
        chosen = Roles(splits.train, splits.val, splits.test, "test", note)
    else:
        note = (
            f"no image of val has a label, so val is not used: {TUNING}; metrics are of test, "
            "which was not used for any choice"
        )
        chosen = Roles(splits.train, None, splits.test, "test", note)
    if not chosen.report.targets.counts().present.any():
        raise InputError(f"no image of {chosen.report_name} has a label: nothing to report on")
    return chosen


def require_splittable(targets: Targets | ArrayLike) -> None:
    """Refuses training images that cannot be divided for tuning.

    Raises:
        InputError: If no label is present in two images.
    """
    if not (Targets.of(targets).counts().present >= 2).any():
        raise InputError(
            "options cannot be tuned on a part of the training images: no label is present in "
            "two of them; give val and test images with labels, or trials=1 for no tuning"
        )


def split_for_tuning(
    targets: Targets | ArrayLike, seed: int, groups: Sequence[str] | None = None
) -> tuple[Rows, Rows]:
    """Divides training images into a part for training and a part for tuning.

    If labels are so rare that the tuning part would have none, an image with a label that other
    images have too is exchanged with one of that part. Groups are kept together; then the whole
    group of such an image moves.

    Raises:
        InputError: If no label is present in two images, there are too few images or groups, or
            a group is too large.
    """
    targets = Targets.of(targets)
    require_splittable(targets)
    present = targets.present()
    learn, tune = stratify(targets, (1 - TUNING_SHARE, TUNING_SHARE), seed, groups)
    if present[tune].nnz:
        return learn, tune
    rng = np.random.default_rng(seed)
    shared = np.flatnonzero(targets.counts().present >= 2)
    given = rng.choice(
        np.flatnonzero(present[:, shared].sum(axis=1))
    )  # all of these are in the training part
    if groups is not None:
        joins = np.array([groups[row] == groups[given] for row in learn])
        if not present[learn[~joins]].nnz:
            raise InputError(
                "options cannot be tuned on a part of the training images: all that have a label "
                "are in one group; give val images with labels, or trials=1"
            )
        return learn[~joins], np.sort(np.concatenate([tune, learn[joins]]))
    taken = rng.choice(tune)
    return (
        np.sort(np.where(learn == given, taken, learn)),
        np.sort(np.where(tune == taken, given, tune)),
    )


def share_of(
    targets: Targets | ArrayLike, share: float, seed: int, groups: Sequence[str] | None = None
) -> Rows:
    """Draws a share of the images, stratified by label, a different one for every seed.

    Groups are drawn whole.

    Raises:
        InputError: If the share is less than one image.
    """
    if share == 1:
        return np.arange(len(Targets.of(targets)))
    return stratify(targets, (share, 1 - share), seed, groups)[0]


def frequency_thirds(targets: Targets | ArrayLike) -> list[Rows]:
    """Divides the labels into thirds by training frequency: head, middle and tail.

    Args:
        targets: All training targets ``(N, L)``, before any are masked.

    Returns:
        Positions of labels, the most frequent third first.
    """
    order = np.argsort(-Targets.of(targets).counts().present, kind="stable")
    return [np.sort(part) for part in np.array_split(order, 3)]
