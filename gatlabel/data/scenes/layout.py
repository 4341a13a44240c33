"""What stands where in a scene: a plan in geometry, before a pixel is drawn.

A present label is *visible* or *hidden*. A visible one is drawn clearly at least once, never
covered by more than a part. A hidden one stands in for a piece of clutter that would be there
anyway: it is behind a patch, or is a speck of three pixels, or is blurred beyond recognition.
The numbers of patches, specks and blurs do not depend on the labels, so a hidden object leaves
no trace but its company, and the oracle (``oracle.py``) knows exactly how hiding works.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

import numpy as np
from numpy.typing import NDArray

from gatlabel.data.scenes.config import SceneConfig


class Role(Enum):
    """What a shape in a scene is."""

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
        role: What it is.
        label: Position of the label it shows, or -1 for patches and distractors.
        hides_label: Whether it is how a present label is hidden (blurs and specks that hide
            nothing show a label that says nothing).
        variant: Which silhouette, a number to be taken modulo the number there is.
        x: Centre, in pixels from the left.
        y: Centre, in pixels from the top.
        side: Longer side of the silhouette in pixels.
        angle: Turn in radians, clockwise.
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


LARGEST = 0.5  # longer side of an object, as a share of the image's
SPECK_SIDE = 3.0  # pixels: nothing can be told from it
REACH = 0.42  # radius of an object for placing, as a share of its longer side
PATCH_REACH = 0.58  # the same of a patch, which fills its box
MOST_OVERLAP = 0.12  # of two objects, as a depth: 0 beside each other, 1 when centres meet
MOST_COVERED = 0.35  # of an object by patches, as a depth
ROOM = 2.6  # sum of squared sides, in images: what an image has room for


def plan_scene(
    config: SceneConfig,
    visible: Sequence[int],
    hidden: Sequence[int],
    labels: int,
    rng: np.random.Generator,
) -> list[Shape]:
    """Plans one scene.

    Args:
        config: How scenes look.
        visible: Positions of the labels to show.
        hidden: Positions of the labels to hide.
        labels: How many labels there are, L.
        rng: The image's random stream.

    Returns:
        Shapes in the order of drawing: blurs, specks, objects and distractors, objects behind
        patches, patches.
    """
    # clutter first, so that its numbers cannot depend on what is in the scene
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
    for label in visible:  # some things come in twos and threes
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
    """Longer sides in pixels, largest first, small enough together for the image."""
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
    """Finds places for shapes among those that must stay clear."""

    CANDIDATES = 32

    def __init__(self, size: int, rng: np.random.Generator) -> None:
        self.size = size
        self.rng = rng
        self.taken = np.empty((0, 3))  # x, y, radius of what stands already
        self.covered = np.empty(0)  # how much of it patches cover

    def _candidates(self, side: float) -> NDArray[np.float64]:
        margin = min(0.5 * side, self.size / 2)
        return margin + self.rng.random((self.CANDIDATES, 2)) * (self.size - 2 * margin)

    def _overlap(self, places: NDArray[np.float64], radius: float) -> NDArray[np.float64]:
        """How deep each place is in each taken one: 0 beside it, 1 when centres meet, ``(P, T)``.

        The depth is relative to the radius of the smaller.
        """
        gaps = np.hypot(*(places[:, None] - self.taken[:, :2]).transpose(2, 0, 1))
        deep = (radius + self.taken[:, 2] - gaps) / (2 * np.minimum(radius, self.taken[:, 2]))
        result: NDArray[np.float64] = np.clip(deep, 0, 1)
        return result

    def apart(self, shape: Shape) -> Shape:
        """Beside the others if there is room, made smaller if there is none."""
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
        """Where it covers about so much of something (0 none, 1 all), and of nothing too much."""
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
        """Somewhere in the image, whatever stands there."""
        return _moved(shape, *self._candidates(shape.side)[0])
