"""What is run: the cells of the study and the grids that they make up."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

#: Training images of each set. coco-part has 126 of them, so 100 at most.
SIZES = {"voc2007-part": (100, 500), "coco-part": (100,), "scenes": (100, 500)}
SETS = (*SIZES, "many-scenes")
SKLEARN = ("sklearn-logistic", "sklearn-svm")
MAIN = ("default", "fastai", "plain", "ridge", *SKLEARN)
OTHERS = ("linear", "csra", "ml-decoder", "ml-gcn")
LONG = ("voc2007-part", 500)  # where 300 s and the other heads are tried
COUNTED_SIZE = 160  # the side at which the encoder's pass is counted, in pixels
CHOOSES_SIZE = ("default", "linear")  # gatlabel chooses the resolution itself


@dataclass(frozen=True)
class Cell:
    """One run.

    Attributes:
        data: Name of the set.
        images: Number of training images.
        budget: Seconds beyond one pass of the encoder.
        method: Name of the method.
        seed: Draws the training images and everything at random in the method.
        size: Side of the images in pixels; 0 where the method chooses it.
    """

    data: str
    images: int
    budget: int
    method: str
    seed: int
    size: int = COUNTED_SIZE

    @property
    def key(self) -> str:
        """The name that files of this cell have."""
        side = self.size or "auto"
        place = f"{self.data}-{self.images}-{self.budget}s"
        return f"{place}-{self.method}-{side}-seed{self.seed}"

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return asdict(self)


Part = tuple[str, int, int, tuple[str, ...]]  # set, images, budget, methods


def _full() -> list[Part]:
    everywhere: list[Part] = [
        (data, images, budget, MAIN)
        for data, sizes in SIZES.items()
        for images in sizes
        for budget in (10, 60)
    ]
    heads: list[Part] = [(*LONG, budget, OTHERS) for budget in (10, 60)]
    return [*everywhere, *heads, (*LONG, 300, MAIN + OTHERS)]


def _reduced() -> list[Part]:
    short: list[Part] = [
        (data, images, 10, MAIN) for data, sizes in SIZES.items() for images in sizes
    ]
    return [*short, (*LONG, 60, MAIN[:4])]


GRIDS = {
    "full": _full(),
    "reduced": _reduced(),
    # where the main grid is too small to tell: more test images, and as many seeds as are asked for
    "few-scenes": [("many-scenes", 100, budget, ("default", "plain")) for budget in (10, 20, 60)],
    "trial": [("voc2007-part", 100, 10, MAIN + OTHERS)],
}


def cells_of(parts: list[Part], seeds: int, size: int = COUNTED_SIZE) -> Iterator[Cell]:
    """Yields the cells, methods interleaved: a slow hour of the machine meets all of them.

    Seeds come first, so that a study that is cut short has whole replications. Methods start with
    another one for every seed.

    Args:
        parts: Of a grid.
        seeds: Number of replications.
        size: Side of the images, for methods that do not choose it.
    """
    for seed in range(seeds):
        for data, images, budget, methods in parts:
            turn = seed % len(methods)
            for method in (*methods[turn:], *methods[:turn]):
                side = 0 if method in CHOOSES_SIZE else size
                yield Cell(data, images, budget, method, seed, side)
