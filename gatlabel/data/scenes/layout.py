"""Geometric plans of scenes: which shapes are where, before any pixel is drawn.

A present label is *visible* or *hidden*. A visible label is drawn clearly at least once and is
never covered by more than a part. A hidden one replaces a piece of clutter that would exist anyway:
it is behind a patch, is a speck of three pixels, or is blurred beyond recognition. The numbers of
patches, specks and blurs do not depend on the labels. A hidden object therefore leaves no trace
but the other labels, and the oracle (``oracle.py``) has the exact model of hiding.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

import numpy as np
from numpy.typing import NDArray

from gatlabel.data.scenes.config import SceneConfig


class Role(Enum):
    """The role of a shape in a scene."""

    VISIBLE = "visible"
    BLUR = "blur"
    SPECK = "speck"
    BEHIND = "behind a patch"
    PATCH = "patch"
    DISTRACTOR = "distractor"


@dataclass(frozen=True)
class Shape:
    """One shape of a scene.

    Attributes:
        role: Its role.
        label: Position of the label it shows, or -1 for patches and distractors.
        hides_label: Whether it is the hidden form of a present label (other blurs and specks show
            a random label).
        variant: Number of the silhouette, modulo the number of silhouettes.
        x: Centre, in pixels from the left.
        y: Centre, in pixels from the top.
        side: Longer side of the silhouette in pixels.
        angle: Rotation in radians, clockwise.
        stretch: Width over height, relative to the silhouette.
        flip: Whether it is mirrored.
    """

    role: Role
    label: int
    hides_label: bool
    variant: int
    x: float
    y: float
    side: float
    angle: float
    stretch: float
    flip: bool


LARGEST = 0.5  # longer side of an object relative to the image's side
SPECK_SIDE = 3.0  # pixels: too small to be recognised
REACH = 0.42  # radius of an object in placement, relative to its longer side
PATCH_REACH = 0.58  # the same for a patch, which fills its box
MOST_OVERLAP = 0.12  # depth of overlap of two objects: 0 if apart, 1 if the centres coincide
MOST_COVERED = 0.35  # depth of overlap of an object with patches
ROOM = 2.6  # maximum sum of squared sides, in images


def plan_scene(
    config: SceneConfig,
    visible: Sequence[int],
    hidden: Sequence[int],
    labels: int,
    rng: np.random.Generator,
) -> list[Shape]:
    """Plans one scene.

    Args:
        config: The configuration of scenes.
        visible: Positions of the labels to show.
        hidden: Positions of the labels to hide.
        labels: Number of labels L.
        rng: The image's random stream.

    Returns:
        Shapes in the order of drawing: blurs, specks, objects and distractors, objects behind
        patches, patches.
    """
    # clutter first, so that its numbers cannot depend on the labels
    blurs, specks, patches = (low + int(rng.random() * 3) for low in (0, 1, 1))
    distractors = int(rng.poisson(config.clutter))
    where = [(Role.BLUR, k) for k in range(blurs)] + [(Role.SPECK, k) for k in range(specks)]
    taken: dict[tuple[Role, int], int] = {}
    behind: list[int] = []
    for label in hidden:
        free = [slot for slot in where if slot not in taken]
        choice = int(rng.random() * (len(free) + patches))
        if choice < len(free):
            taken[free[choice]] = label
        else:
            behind.append(label)

    place = _Placer(config.size, rng)
    objects = [(label, Role.VISIBLE) for label in visible]
    for label in visible:  # some labels have two or three objects
        while rng.random() < 0.25 and len(objects) < 12:
            objects.append((label, Role.VISIBLE))
    objects += [(-1, Role.DISTRACTOR)] * distractors
    sides = _sides(config, len(objects), rng)
    clear = [
        place.apart(_shape(config, role, label, side, rng))
        for (label, role), side in zip(objects, sides, strict=True)
    ]
    covers = [
        place.over(
            _shape(config, Role.PATCH, -1, config.size * (0.2 + 0.12 * rng.random()), rng),
            config.difficulty * 0.7 * rng.random(),
        )
        for _ in range(patches)
    ]
    faint = []
    for role, k in where:
        side = SPECK_SIDE if role is Role.SPECK else config.size * (0.2 + 0.15 * rng.random())
        label = taken.get((role, k), -1)
        shown = label if label >= 0 else int(rng.random() * labels)
        shape = _shape(config, role, shown, side, rng, hides_label=label >= 0)
        faint.append(place.anywhere(shape))
    concealed = []
    for label in behind:
        cover = covers[int(rng.random() * patches)]
        shape = _shape(config, Role.BEHIND, label, cover.side * 0.45, rng, hides_label=True)
        concealed.append(_moved(shape, cover.x, cover.y))
    return faint + clear + concealed + covers


def _sides(config: SceneConfig, count: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Returns longer sides in pixels, largest first, limited to the space in the image."""
    least = 0.26 - 0.1 * config.difficulty
    shares = least * (LARGEST / least) ** rng.random(count)
    crowd = float(np.sum(shares**2))
    if crowd > ROOM / 4:
        shares = np.maximum(shares * np.sqrt(ROOM / 4 / crowd), 0.8 * least)
    return np.sort(shares * config.size)[::-1]


def _shape(
    config: SceneConfig,
    role: Role,
    label: int,
    side: float,
    rng: np.random.Generator,
    *,
    hides_label: bool = False,
) -> Shape:
    variant, turn, stretch, flip = rng.random(4)
    widest = np.pi if role in (Role.PATCH, Role.SPECK) else np.radians(15 + 45 * config.difficulty)
    return Shape(
        role=role,
        label=label,
        hides_label=hides_label,
        variant=int(variant * 5040),
        x=config.size / 2,
        y=config.size / 2,
        side=float(side),
        angle=float((2 * turn - 1) * widest),
        stretch=float(np.exp((2 * stretch - 1) * 0.25)),
        flip=bool(flip < 0.5),
    )


def _moved(shape: Shape, x: float, y: float, side: float | None = None) -> Shape:
    return Shape(
        shape.role, shape.label, shape.hides_label, shape.variant, float(x), float(y),
        shape.side if side is None else side, shape.angle, shape.stretch, shape.flip,
    )  # fmt: skip


class _Placer:
    """Finds positions for shapes among those that must stay visible."""

    CANDIDATES = 32

    def __init__(self, size: int, rng: np.random.Generator) -> None:
        self.size = size
        self.rng = rng
        self.taken = np.empty((0, 3))  # x, y, radius of the placed shapes
        self.covered = np.empty(0)  # share of each that patches cover

    def _candidates(self, side: float) -> NDArray[np.float64]:
        margin = min(0.5 * side, self.size / 2)
        return margin + self.rng.random((self.CANDIDATES, 2)) * (self.size - 2 * margin)

    def _overlap(self, places: NDArray[np.float64], radius: float) -> NDArray[np.float64]:
        """Returns the overlap of each place with each placed shape, ``(P, T)``.

        It is 0 if they are apart and 1 if the centres coincide, relative to the smaller radius.
        """
        gaps = np.hypot(*(places[:, None] - self.taken[:, :2]).transpose(2, 0, 1))
        deep = (radius + self.taken[:, 2] - gaps) / (2 * np.minimum(radius, self.taken[:, 2]))
        result: NDArray[np.float64] = np.clip(deep, 0, 1)
        return result

    def apart(self, shape: Shape) -> Shape:
        """Places a shape apart from the others, reducing it if there is no space."""
        side = shape.side
        for _ in range(6):
            places = self._candidates(side)
            overlap = self._overlap(places, REACH * side).max(axis=1, initial=0)
            best = int(np.argmin(overlap))
            if overlap[best] <= MOST_OVERLAP:
                break
            side *= 0.88
        x, y = places[best]
        self.taken = np.vstack([self.taken, [x, y, REACH * side]])
        self.covered = np.append(self.covered, 0.0)
        return _moved(shape, x, y, side)

    def over(self, shape: Shape, cover: float) -> Shape:
        """Places a shape so that it covers something by ``cover``, and nothing by too much."""
        side = shape.side
        for _ in range(6):
            places = self._candidates(side)
            overlap = self._overlap(places, PATCH_REACH * side)
            deepest = overlap.max(axis=1, initial=0)
            excess = (overlap + self.covered).max(axis=1, initial=0) - MOST_COVERED
            best = int(np.argmin(np.abs(deepest - cover) + 9 * np.clip(excess, 0, None)))
            if excess[best] <= 0:
                break
            side *= 0.85
        self.covered = self.covered + overlap[best]
        x, y = places[best]
        return _moved(shape, x, y, side)

    def anywhere(self, shape: Shape) -> Shape:
        """Places a shape anywhere in the image."""
        return _moved(shape, *self._candidates(shape.side)[0])
