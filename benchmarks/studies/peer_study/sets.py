"""The images and labels that all methods get, and how they are drawn."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

#: Images of the val split that are kept for validation and never tested on. Where there are none,
#: validation images are training images that were not drawn.
RESERVED = {"voc2007-part": 60}
MOST_VALIDATION = 60
SEED = 17  # of the scenes that methods are compared on
SCENES = {"train": 600, "val": 1, "test": 400}
#: Another drawing, with more images to draw from and to test on, for small differences.
MANY_SEED, MANY_SCENES = 23, {"train": 2400, "val": 1, "test": 2000}


@dataclass(frozen=True)
class StudySet:
    """One set, with the roles of its images.

    Attributes:
        root: The folder that the names are relative to.
        labels: The L labels.
        names: N paths of image files.
        present: float32 ``(N, L)``: what is learned from; a difficult label counts as present.
        judged: float32 ``(N, L)``: what is tested on; a difficult label is unknown (-1).
        pool: Positions of images that training images are drawn from.
        reserve: Positions of images kept for validation.
        test: Positions of the test images.
    """

    root: Path
    labels: tuple[str, ...]
    names: tuple[str, ...]
    present: NDArray[np.float32]
    judged: NDArray[np.float32]
    pool: NDArray[np.int64]
    reserve: NDArray[np.int64]
    test: NDArray[np.int64]

    def draw(self, images: int, seed: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Draws training and validation images; a smaller draw is the beginning of a larger one.

        Raises:
            SystemExit: If there are not as many training images.
        """
        if images > len(self.pool):
            raise SystemExit(f"{images} training images: {self.root} has {len(self.pool)}")
        order = np.random.default_rng([seed, 17]).permutation(self.pool)
        rest = order[images:][:MOST_VALIDATION]
        return order[:images], self.reserve if len(self.reserve) else rest


def read_set(name: str, root: Path, out: Path, seed: int = SEED) -> StudySet:
    """Reads a set of ``root``, or draws ``scenes`` or ``many-scenes`` once below ``out``.

    Args:
        name: Of the set.
        root: The folder of the sets.
        out: Where scenes are kept.
        seed: Of ``scenes``.

    Raises:
        SystemExit: If there is no such set.
    """
    drawn = {"scenes": (seed, SCENES), "many-scenes": (MANY_SEED, MANY_SCENES)}
    folder = draw_scenes(out / name, *drawn[name]) if name in drawn else root / name
    return read_table(folder, RESERVED.get(name, 0))


def read_table(folder: Path, reserved: int = 0) -> StudySet:
    """Reads a folder with ``labels.csv`` and ``classes.txt``.

    Args:
        folder: The folder.
        reserved: Number of tested images that are kept for validation.

    Raises:
        SystemExit: If there is no table.
    """
    table = folder / "labels.csv"
    if not table.is_file():
        raise SystemExit(f"there is no {table}: give the folder of the sets with --root")
    words = (folder / "classes.txt").read_text(encoding="utf-8").split("\n")
    labels = tuple(filter(None, words))
    with table.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    present = np.zeros((len(rows), len(labels)), np.float32)
    judged = present.copy()
    column = {label: k for k, label in enumerate(labels)}
    for k, row in enumerate(rows):
        for label in filter(None, row["labels"].split("|")):
            present[k, column[label]] = judged[k, column[label]] = 1
        for label in filter(None, (row.get("difficult") or "").split("|")):
            if not judged[k, column[label]]:
                present[k, column[label]], judged[k, column[label]] = 1, -1
    split = np.array([row["split"] for row in rows])
    tested = np.flatnonzero(split == ("test" if "test" in split else "val"))
    order = np.random.default_rng(17).permutation(tested)
    return StudySet(
        folder, labels, tuple(row["image"] for row in rows), present, judged,
        np.flatnonzero(split == "train"), np.sort(order[:reserved]), np.sort(order[reserved:]),
    )  # fmt: skip


def draw_scenes(folder: Path, seed: int, sizes: dict[str, int]) -> Path:
    """Writes scenes as image files with a table, since other packages read files."""
    if (folder / "labels.csv").is_file():
        return folder
    from PIL import Image

    from gatlabel.data.scenes import read_scenes

    splits = read_scenes("voc", seed=seed, **sizes)
    rows = []
    for name in ("train", "test"):
        source = getattr(splits, name)
        (folder / name).mkdir(parents=True, exist_ok=True)
        for k in range(len(source)):
            path = f"{name}/{k:05d}.png"
            Image.fromarray(source.load(k).permute(1, 2, 0).numpy()).save(folder / path)
            found = [splits.labels[i] for i in np.flatnonzero(source.targets.rows(k) == 1)]
            rows.append([path, name, "|".join(found)])
    (folder / "classes.txt").write_text("\n".join(splits.labels) + "\n", encoding="utf-8")
    write_table(folder / "labels.csv", ("image", "split", "labels"), rows)
    return folder


def write_table(path: Path, columns: tuple[str, ...], rows: list[list[str]]) -> None:
    """Writes a CSV file, whole or not at all."""
    partial = path.with_suffix(".part")
    with partial.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([columns, *rows])
    partial.replace(path)
