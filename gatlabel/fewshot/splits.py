"""Splits of the labels into base labels, learned from many images, and novel labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from gatlabel.errors import InputError
from gatlabel.labels import LabelSet
from gatlabel.targets import PRESENT_FROM, Targets

#: Images that a novel label needs besides its shots.
SPARE_IMAGES = 5
#: Default share of novel labels.
NOVEL_SHARE = 0.25
#: The novel labels of LaSO, by their places among the 80 labels of COCO in the order of category
#: ids: those that Python's ``random.seed(0); random.sample(range(80), 64)`` leaves out (Alfassy et
#: al., *LaSO: Label-Set Operations networks*, CVPR 2019, arXiv:1902.09811, and its code).
LASO_IDS = (1, 8, 11, 14, 24, 29, 31, 37, 41, 42, 44, 50, 56, 66, 68, 75)
LASO_NOVEL = (
    *("bicycle", "boat", "stop sign", "bird", "backpack", "frisbee", "snowboard", "surfboard"),
    *("cup", "fork", "spoon", "broccoli", "chair", "keyboard", "microwave", "vase"),
)
_COCO_LABELS = 80


@dataclass(frozen=True)
class LabelSplit:
    """Base and novel labels, as positions in a label set.

    Attributes:
        base: Labels whose training targets are known.
        novel: Labels that are unknown in base training, and learned from a few images.
    """

    base: tuple[int, ...]
    novel: tuple[int, ...]


def laso_split(labels: LabelSet) -> LabelSplit:
    """Returns LaSO's split of the labels of COCO, in any order.

    Raises:
        InputError: If these are not the 80 labels of COCO.
    """
    missing = [name for name in LASO_NOVEL if name not in labels]
    if missing or len(labels) != _COCO_LABELS:
        detail = f"{missing[0]!r} is missing" if missing else f"there are {len(labels)}"
        raise InputError(f"the split laso is of the 80 labels of COCO, but {detail}")
    return named_split(labels, LASO_NOVEL)


def named_split(labels: LabelSet, novel: Sequence[str]) -> LabelSplit:
    """Returns the split with these novel labels.

    Raises:
        InputError: If a name is unknown or repeated, or if no label or all labels are novel.
    """
    places = sorted({labels.index(name) for name in novel})
    if len(places) != len(novel):
        repeated = next(name for name in novel if list(novel).count(name) > 1)
        raise InputError(f"the novel label {repeated!r} is repeated: name it once")
    return _split(len(labels), places)


def drawn_split(
    targets: Targets, judged: Targets, shots: int, share: float, seed: int, episode: int
) -> LabelSplit:
    """Draws novel labels among those with enough images; a function of seed and episode.

    Args:
        targets: ``(N, L)`` of the training images; a novel label needs ``shots + 5`` positives.
        judged: Of the evaluation images; a novel label needs a positive and a negative there.
        shots: K.
        share: Share of novel labels among all labels; at least one label is novel.
        seed: The same seed and episode draw the same labels.
        episode: Number of the episode.

    Raises:
        InputError: If no label has enough images, or no base label is left.
    """
    able = eligible(targets, judged, shots)
    count = max(1, round(share * targets.shape[1]))
    if not len(able):
        raise InputError(
            f"no label has {shots + SPARE_IMAGES} training images, for {shots} shots, and "
            "evaluation images: give fewer --shots"
        )
    rng = np.random.default_rng([seed, episode])
    drawn = rng.choice(able, min(count, len(able)), replace=False)
    return _split(targets.shape[1], sorted(drawn.tolist()))


def eligible(targets: Targets, judged: Targets, shots: int) -> np.ndarray:
    """Returns the positions of labels that can be novel, int64; see :func:`drawn_split`."""
    seen = judged.counts()
    enough = targets.counts().present >= shots + SPARE_IMAGES
    return np.flatnonzero(enough & (seen.present > 0) & (seen.absent > 0))


def require_images(
    targets: Targets, judged: Targets, labels: LabelSet, split: LabelSplit, shots: int
) -> LabelSplit:
    """Leaves out novel labels without enough images; they stay unknown in base training.

    Raises:
        InputError: If none is left.
    """
    able = set(eligible(targets, judged, shots).tolist())
    kept = tuple(place for place in split.novel if place in able)
    if not kept:
        name = labels[split.novel[0]]
        raise InputError(
            f"no novel label has {shots + SPARE_IMAGES} training images, for {shots} shots, and "
            f"evaluation images; the first is {name!r}: give fewer --shots or other labels"
        )
    return LabelSplit(split.base, kept)


def _split(count: int, novel: Sequence[int]) -> LabelSplit:
    chosen = set(novel)
    base = tuple(place for place in range(count) if place not in chosen)
    if not base or not chosen:
        raise InputError(
            f"{len(chosen)} of {count} labels are novel: there must be base labels and novel ones"
        )
    return LabelSplit(base, tuple(novel))


def positives_of(values: np.ndarray) -> np.ndarray:
    """Rows of the images in which a label is present; soft labels are from 0.5 on."""
    return np.flatnonzero(values >= PRESENT_FROM)


def with_any(values: np.ndarray) -> np.ndarray:
    """Rows of the images ``(N, M)`` with at least one of the labels, as LaSO evaluates."""
    return np.flatnonzero((values >= PRESENT_FROM).any(1))
