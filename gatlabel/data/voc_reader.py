"""Pascal VOC: a folder of XML annotations, JPEG images and lists of image sets."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Literal
from xml.etree import ElementTree

from gatlabel.data.annotations import Annotation, DifficultAs, build_splits
from gatlabel.data.downloads import Archive, fetch_and_unpack
from gatlabel.data.image_paths import is_file, is_folder
from gatlabel.data.source import DataSplits
from gatlabel.data.splits import FRACTIONS
from gatlabel.errors import InputError, nearest, unknown_choice
from gatlabel.files import read_text
from gatlabel.labels import ABSENT, PRESENT, UNKNOWN, LabelSet
from gatlabel.values import shown

VOC_LABELS = LabelSet(
    [
        "aeroplane",
        "bicycle",
        "bird",
        "boat",
        "bottle",
        "bus",
        "car",
        "cat",
        "chair",
        "cow",
        "diningtable",
        "dog",
        "horse",
        "motorbike",
        "person",
        "pottedplant",
        "sheep",
        "sofa",
        "train",
        "tvmonitor",
    ]
)

VOC_URL = "https://thor.robots.ox.ac.uk/pascal/VOC"

#: The archives of each year, their MD5 sums, and one file below VOCdevkit that each contains.
VOC_ARCHIVES: dict[str, tuple[Archive, ...]] = {
    "2007": (
        Archive(
            "voc2007/VOCtrainval_06-Nov-2007.tar",
            "c52e279531787c972589f7e41ab4ae64",
            "VOCdevkit/VOC2007/ImageSets/Main/trainval.txt",
        ),
        Archive(
            "voc2007/VOCtest_06-Nov-2007.tar",
            "b6e924de25625d8de591ea690078ad9f",
            "VOCdevkit/VOC2007/ImageSets/Main/test.txt",
        ),
    ),
    "2012": (
        Archive(
            "voc2012/VOCtrainval_11-May-2012.tar",
            "6cd6e144f989b92b3379bac3b3de84fd",
            "VOCdevkit/VOC2012/ImageSets/Main/trainval.txt",
        ),
    ),
}


def read_voc(
    root: str | os.PathLike[str],
    *,
    year: str = "2007",
    train: str = "train",
    val: str | None = "val",
    test: str | None = "test",
    difficult: DifficultAs = "unknown",
    classes: str | os.PathLike[str] | None = None,
    download: bool = False,
    base_url: str = VOC_URL,
    fractions: tuple[float, float, float] = FRACTIONS,
    seed: int = 0,
    on_error: Literal["stop", "skip"] = "stop",
    evaluate_only: bool = False,
) -> DataSplits:
    """Reads a Pascal VOC folder (``Annotations``, ``ImageSets/Main``, ``JPEGImages``).

    A label is present if an image has an object of it that is not marked difficult. If all its
    objects of that label are difficult, the label is read as ``difficult``. M. Everingham et al.,
    "The Pascal Visual Object Classes (VOC) challenge", IJCV 2010. Papers that report on VOC 2007
    train with ``train="trainval", val=None`` and exclude difficult labels from AP.

    Args:
        root: The folder with ``VOCdevkit/VOC2007`` in it, or ``VOCdevkit``, or ``VOC2007``.
        year: The year in that folder's name.
        train: The image set to train on: the name of a file in ``ImageSets/Main``.
        val: The image set to validate on; ``None``: val is cut from train.
        test: The image set to test on; ignored if its file does not exist.
        difficult: Reading of a label with difficult objects only.
        classes: A file with one label name per line. Default: the 20 labels of VOC.
        download: Download and unpack missing archives into ``root``.
        base_url: Address of the archives.
        fractions: Shares of train, val and test if the data are split here.
        seed: Seed of such a split.
        on_error: Treatment of missing image files: stop, or skip them with a note.
        evaluate_only: See :func:`~gatlabel.data.splits.complete_splits`.

    Raises:
        InputError: If the folder, an image set, an annotation or a label is wrong, or the
            download fails.
    """
    if download:
        if year not in VOC_ARCHIVES:
            raise unknown_choice("VOC year to download", year, VOC_ARCHIVES)
        fetch_and_unpack(VOC_ARCHIVES[year], root, base_url)
    folder = _voc_folder(Path(root), year)
    labels = VOC_LABELS if classes is None else LabelSet.load(classes)
    notes = [f"labels that have difficult objects only are read as {difficult}"]
    annotations: list[Annotation] = []
    for part, image_set in (("train", train), ("val", val), ("test", test)):
        if image_set is None:
            continue
        listing = folder / "ImageSets" / "Main" / f"{image_set}.txt"
        if not is_file(listing) and (part == "test" or evaluate_only):
            notes.append(f"there is no image set {image_set}, so no {part} split")
            continue
        annotations += _read_set(folder, listing, part, difficult)
    return build_splits(
        f"VOC{year}",
        folder,
        annotations,
        labels,
        notes=notes,
        fractions=fractions,
        seed=seed,
        on_error=on_error,
        evaluate_only=evaluate_only,
    )


def _voc_folder(root: Path, year: str) -> Path:
    inside = f"VOC{year}"
    for folder in (root / "VOCdevkit" / inside, root / inside, root):
        if is_folder(folder / "ImageSets" / "Main"):
            return folder
    raise InputError(
        f"{root} has no VOCdevkit/{inside}/ImageSets/Main; give the folder with VOCdevkit, "
        "another year, or download"
    )


def _read_set(
    folder: Path, listing: Path, part: str, difficult: DifficultAs
) -> Iterator[Annotation]:
    if not is_file(listing):
        known = sorted(path.stem for path in listing.parent.glob("*.txt") if "_" not in path.stem)
        hint = nearest(listing.stem, known) or f"; there are {', '.join(known) or 'none'}"
        raise InputError(f"there is no image set {listing}{hint}")
    for number, line in enumerate(read_text(listing, "image set").split("\n"), 1):
        name = _name(line)
        if not name:
            continue
        path = folder / "Annotations" / f"{name}.xml"
        at = f"{listing}, line {number}"
        try:
            targets = _read_objects(path, difficult)
        except InputError as error:
            raise InputError(f"{error} (listed at {at})") from error
        yield Annotation(f"JPEGImages/{name}.jpg", targets, part, str(path), at)


def _name(line: str) -> str:
    """Returns the image's name; in image sets of single labels, 1, 0 or -1 follows it."""
    cells = line.split()
    return cells[0] if len(cells) == 2 and cells[1] in ("1", "0", "-1") else line.strip()


def _read_objects(path: Path, difficult: DifficultAs) -> dict[str, float]:
    text = read_text(path, "VOC annotation")
    if "<!ENTITY" in text:
        raise InputError(f"the VOC annotation {path} defines entities, which are not expanded")
    try:
        tree = ElementTree.fromstring(text)
    except (ElementTree.ParseError, ValueError) as error:  # ValueError: invalid Unicode
        raise InputError(f"the VOC annotation {path} is not XML: {error}") from error
    if tree.tag != "annotation":
        raise InputError(f"{path} is not a VOC annotation: it contains <{tree.tag[:60]}>")
    meaning = {"unknown": UNKNOWN, "positive": PRESENT, "negative": ABSENT}
    targets: dict[str, float] = {}
    for thing in tree.findall("object"):  # not iter(): parts of objects have names, too
        names = thing.findall("name")
        name = (names[0].text or "").strip() if names else ""
        if not name:
            raise InputError(f"the VOC annotation {path} has an object without a name")
        if len(names) > 1:
            raise InputError(f"the VOC annotation {path} has an object with two names, {name!r} …")
        if not _is_difficult(thing, name, path):
            targets[name] = PRESENT
        else:
            targets.setdefault(name, meaning[difficult])
    return targets


def _is_difficult(thing: ElementTree.Element, name: str, path: Path) -> bool:
    text = (thing.findtext("difficult") or "").strip().lower()
    if text not in ("", "0", "1", "false", "true"):
        raise InputError(
            f"the VOC annotation {path}: difficult of an object {name!r} is {shown(text)}, "
            "expected 0 or 1"
        )
    return text in ("1", "true")
