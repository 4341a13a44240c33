"""Which images are learned from, tuned on and reported."""

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
#: What is done where no split is there to choose options by, in words.
CUT = (
    f"options chosen on {TUNING_SHARE:.0%} of the training images, stratified by label and cut "
    "anew for every tuning seed; then trained on all training images"
)


@dataclass(frozen=True)
class Roles:
    """What each split is used for.

    Attributes:
        train: Images to learn from.
        tune: Images to choose options by; ``None`` where they are cut from train.
        report: Images that the figures are of; nothing was chosen by them.
        report_name: The name of their split.
        note: The same in words.
    """

    train: ImageSource
    tune: ImageSource | None
    report: ImageSource
    report_name: str
    note: str


def roles(splits: DataSplits) -> Roles:
    """Decides what each split of a data set is for.

    Raises:
        InputError: If the reported split has no positive.
    """
    val_has_labels = bool(splits.val.targets.counts().present.any())
    if splits.test is None or not len(splits.test):
        note = f"no test split: {CUT}; figures of val, which nothing was chosen by"
        chosen = Roles(splits.train, None, splits.val, "val", note)
    elif val_has_labels:
        note = "options chosen on val, figures of test, which nothing was chosen by"
        chosen = Roles(splits.train, splits.val, splits.test, "test", note)
    else:
        note = (
            f"no image of val has a label, so val is not used: {CUT}; figures of test, which "
            "nothing was chosen by"
        )
        chosen = Roles(splits.train, None, splits.test, "test", note)
    if not chosen.report.targets.counts().present.any():
        raise InputError(f"no image of {chosen.report_name} has a label: nothing to report on")
    return chosen


def require_cuttable(targets: Targets | ArrayLike) -> None:
    """Refuses training images of which no part can be judged by what the rest taught.

    Raises:
        InputError: If no label is present in two images.
    """
    if not (Targets.of(targets).counts().present >= 2).any():
        raise InputError(
            "options cannot be chosen on a part of the training images: no label is present in "
            "two of them; give val and test images with labels, or trials=1 to choose nothing"
        )


def cut_for_tuning(
    targets: Targets | ArrayLike, seed: int, groups: Sequence[str] | None = None
) -> tuple[Rows, Rows]:
    """Divides training images into those to learn from and those to choose options by.

    Where labels are so rare that the share to choose by would have none, an image of a label that
    others have too changes places with one of that share. Groups are kept together; then the whole
    group of such an image joins that share.

    Raises:
        InputError: If no label is present in two images, there are too few images or groups, or
            a group is too large.
    """
    targets = Targets.of(targets)
    require_cuttable(targets)
    present = targets.present()
    learn, tune = stratify(targets, (1 - TUNING_SHARE, TUNING_SHARE), seed, groups)
    if present[tune].nnz:
        return learn, tune
    rng = np.random.default_rng(seed)
    shared = np.flatnonzero(targets.counts().present >= 2)
    given = rng.choice(np.flatnonzero(present[:, shared].sum(axis=1)))  # all of these are in learn
    if groups is not None:
        joins = np.array([groups[row] == groups[given] for row in learn])
        if not present[learn[~joins]].nnz:
            raise InputError(
                "options cannot be chosen on a part of the training images: all that have a "
                "label are of one group; give val images with labels, or trials=1"
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
    """Draws a share of the images, stratified by label, another one for every seed.

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
