"""COCO: one JSON file of object instances per split, and a folder of images."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

from gatlabel.data.annotations import Annotation, DifficultAs, build_splits
from gatlabel.data.coco_records import (
    MEANING,
    add_instances,
    read_categories,
    read_content,
    read_images,
)
from gatlabel.data.downloads import Archive, fetch_and_unpack
from gatlabel.data.image_paths import is_file, is_folder
from gatlabel.data.source import DataSplits
from gatlabel.data.splits import FRACTIONS
from gatlabel.errors import InputError, unknown_choice
from gatlabel.labels import LabelSet

COCO_URL = "http://images.cocodataset.org"

#: The archives of each year, their MD5 sums, and one file or folder that each contains.
COCO_ARCHIVES: dict[str, tuple[Archive, ...]] = {
    "2014": (
        Archive(
            "annotations/annotations_trainval2014.zip",
            "0a379cfc70b0e71301e0f377548639bd",
            "annotations/instances_train2014.json",
        ),
        Archive("zips/val2014.zip", "a3d79f5ed8d289b7a7554ce06a5782b3", "val2014"),
        Archive("zips/train2014.zip", "0da8cfa0e090c266b78f30e2d2874f1a", "train2014"),
    ),
    "2017": (
        Archive(
            "annotations/annotations_trainval2017.zip",
            "f4bbac642086de4f52a3fdda2de5fa2c",
            "annotations/instances_train2017.json",
        ),
        Archive("zips/val2017.zip", "442b8da7639aecaf257c1dceb8ba8c80", "val2017"),
        Archive("zips/train2017.zip", "cced6f7f71b7629ddf16f17bbcfab6b2", "train2017"),
    ),
}


def read_coco(
    root: str | os.PathLike[str],
    *,
    year: str = "2017",
    train: str | None = None,
    val: str | None = None,
    test: str | None = None,
    images: str | None = None,
    crowd: DifficultAs = "positive",
    drop_empty: bool = False,
    download: bool = False,
    base_url: str = COCO_URL,
    fractions: tuple[float, float, float] = FRACTIONS,
    seed: int = 0,
    on_error: Literal["stop", "skip"] = "stop",
    evaluate_only: bool = False,
) -> DataSplits:
    """Reads instance annotations in COCO's format: COCO itself, or your own data.

    A label is present if the image has an instance of it. The labels are the categories of the
    annotation files, in the order of their ids, including categories that do not occur. T.-Y. Lin
    et al., "Microsoft COCO: common objects in context", ECCV 2014. As in most papers, COCO's val
    split is used both for model selection and for the reported result: its test labels are not
    public.

    Args:
        root: The folder with ``annotations`` and the image folders.
        year: ``2014`` or ``2017``, for the default file names.
        train: Annotation file relative to ``root``. If none of the three files is given:
            ``annotations/instances_train2017.json``, and so for val.
        val: Annotation file to validate on.
        test: Annotation file to test on.
        images: The image folder relative to ``root``, for all splits. Default: ``train2017`` etc.
            if there is such a folder, else ``images``, else ``root``.
        crowd: Reading of a label whose only instances in the image are crowds.
        drop_empty: Skip images without any instance; papers differ (82,783 or 82,081 train images
            of COCO 2014).
        download: Download and unpack the archives of the year (19 GB) into ``root``.
        base_url: Address of the archives.
        fractions: Shares of train, val and test if the data are split here.
        seed: Seed of such a split.
        on_error: Treatment of missing image files: stop, or skip them with a note.
        evaluate_only: See :func:`~gatlabel.data.splits.complete_splits`.

    Raises:
        InputError: If a file, a category or an image is wrong, or the download fails.
    """
    folder = Path(root)
    if download:
        if year not in COCO_ARCHIVES:
            raise unknown_choice("COCO year to download", year, COCO_ARCHIVES)
        fetch_and_unpack(COCO_ARCHIVES[year], folder, base_url)
    files = {part: file for part, file in zip(_PARTS, (train, val, test), strict=True) if file}
    if not files:
        files = {part: f"annotations/instances_{part}{year}.json" for part in ("train", "val")}
        if evaluate_only:
            files = {part: file for part, file in files.items() if is_file(folder / file)}
    names: list[str] | None = None
    annotations: list[Annotation] = []
    notes: list[str] = []
    for part, file in files.items():
        path = folder / file
        content = read_content(path)
        categories = read_categories(content, path)
        if names is None:
            names = list(categories.values())
        LabelSet(names).require_same_names(categories.values(), f"{path}")
        found = read_images(content, path)
        add_instances(found, content, categories, path, MEANING[crowd])
        prefix = images if images is not None else _image_folder(folder, f"{part}{year}")
        rows = [
            Annotation((Path(prefix) / name).as_posix(), targets, part, f"{path}, image id {key}")
            for key, (name, targets) in found.items()
        ]
        filled = [row for row in rows if row.targets]
        annotations += filled if drop_empty else rows
        notes.append(
            f"{part}: {len(rows) - len(filled)} of {len(rows)} images have no instance and are "
            f"{'skipped' if drop_empty else 'kept'}; crowds count as {crowd}"
        )
    if names is None:
        raise InputError(f"{folder} has no annotations/instances_*{year}.json")
    return build_splits(
        f"COCO{year}" if not (train or val or test) else folder.name,
        folder,
        annotations,
        LabelSet(names),
        notes=notes,
        fractions=fractions,
        seed=seed,
        on_error=on_error,
        evaluate_only=evaluate_only,
    )


_PARTS = ("train", "val", "test")


def _image_folder(root: Path, usual: str) -> str:
    return next((name for name in (usual, "images") if is_folder(root / name)), "")
