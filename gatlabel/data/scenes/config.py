"""The configuration of scenes: label statistics, appearance, and two fixed presets."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, replace
from typing import Any

from gatlabel.data.scenes.statistics import published_statistics
from gatlabel.errors import InputError, unknown_choice


@dataclass(frozen=True)
class SceneConfig:
    """All parameters of scenes except the seed.

    Attributes:
        statistics: The published label counts that label sets follow: ``"voc"`` (Pascal VOC 2007
            trainval, 20 labels) or ``"coco"`` (MS-COCO 2014 train, the 73 labels that occur in at
            least 1 % of the images and have a silhouette).
        labels: Keep only this number of the most frequent labels; all if ``None``.
        size: Height and width of an image in pixels, at least 32.
        hidden: Probability, in [0, 1), that a present label cannot be seen: its object is behind
            a patch, or a speck, or a blur, and only the other labels indicate it.
        difficulty: 0 to 1: degree of reduction, fading, rotation, texture and occlusion of objects.
        clutter: Mean number of shapes per image that are not labels.
        strength: Factor on the couplings of the label graph; 0 makes labels independent apart from
            their competition. Frequencies do not change.
        long_tail: Exponent on the label frequencies, which are then scaled to the same number of
            labels per image: 0 makes them equal, 1 keeps them, 2 makes them more skewed.
    """

    statistics: str = "voc"
    labels: int | None = None
    size: int = 96
    hidden: float = 0.35
    difficulty: float = 0.4
    clutter: float = 1.0
    strength: float = 1.0
    long_tail: float = 1.0

    def __post_init__(self) -> None:
        every = len(published_statistics(self.statistics).names)
        _check("labels", self.labels or every, 2, every, whole=True)
        _check("size", self.size, 32, 1024, whole=True)
        _check("hidden", self.hidden, 0.0, 0.95)
        _check("difficulty", self.difficulty, 0.0, 1.0)
        _check("clutter", self.clutter, 0.0, 10.0)
        _check("strength", self.strength, 0.0, 2.0)
        _check("long_tail", self.long_tail, 0.0, 2.0)


def _check(name: str, value: float, least: float, most: float, *, whole: bool = False) -> None:
    wrong_type = isinstance(value, bool) or not isinstance(value, int if whole else (int, float))
    if wrong_type or not math.isfinite(value) or not least <= value <= most:
        kind = "a whole number" if whole else "a number"
        raise InputError(f"scenes: {name} is {value!r}: give {kind} from {least} to {most}")


PRESETS: dict[str, SceneConfig] = {
    "voc": SceneConfig(statistics="voc"),
    "coco": SceneConfig(statistics="coco"),
}
"""The presets. They are fixed, so that results on scenes remain comparable."""


def scene_config(preset: str = "voc", **overrides: Any) -> SceneConfig:
    """Returns a preset with options changed.

    Args:
        preset: A name in :data:`PRESETS`.
        **overrides: Attributes of :class:`SceneConfig` to change.

    Raises:
        InputError: If the preset or an option is unknown, or a value is out of range.
    """
    if preset not in PRESETS:
        raise unknown_choice("preset of scenes", preset, PRESETS)
    known = {field.name for field in fields(SceneConfig)}
    for name in overrides:
        if name not in known:
            raise unknown_choice("option of scenes", name, known)
    return replace(PRESETS[preset], **overrides)
