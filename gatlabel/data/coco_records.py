"""Records of COCO annotation files: images, categories and instances, joined by their ids."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from gatlabel.errors import InputError
from gatlabel.files import read_json
from gatlabel.labels import ABSENT, PRESENT, UNKNOWN, LabelSet, check_name
from gatlabel.values import shown

Id = int | str
Known = TypeVar("Known")
_LARGEST_FLOAT = 2**53  # float64 represents all integers up to here

MEANING = {"unknown": UNKNOWN, "positive": PRESENT, "negative": ABSENT}


def read_content(path: Path) -> Mapping[str, list[Any]]:
    """Reads an annotation file.

    Raises:
        InputError: If the lists of images, annotations or categories are missing, or there are no
            images or categories.
    """
    content = read_json(path, "COCO annotation file")
    for key in ("images", "annotations", "categories"):
        if not isinstance(content, dict) or not isinstance(content.get(key), list):
            raise InputError(f"{path} is not a COCO annotation file: it has no list {key!r}")
    for key in ("images", "categories"):
        if not content[key]:
            raise InputError(f"{path}: the list {key!r} is empty")
    return content


def read_categories(content: Mapping[str, list[Any]], path: Path) -> dict[Id, str]:
    """Returns the names of categories by id, in the order of the ids.

    Raises:
        InputError: If a category has no valid id or name, or one appears twice.
    """
    found: dict[Id, str] = {}
    for position, row in enumerate(content["categories"]):
        where = f"{path}, categories, entry {position}"
        if not isinstance(row, dict) or "id" not in row or "name" not in row:
            raise InputError(f"{where}: every category needs an id and a name")
        key = _id(row["id"], f"{where}, id")
        try:
            name = check_name(row["name"].strip() if isinstance(row["name"], str) else row["name"])
        except InputError as error:
            raise InputError(f"{where}: {error}") from error
        if key in found:
            raise InputError(
                f"{where}: the categories {found[key]!r} and {name!r} have one id, {key!r}"
            )
        found[key] = name
    if len({type(key) for key in found}) > 1:
        raise InputError(f"{path}: some ids of categories are numbers, others are text")
    names = {key: found[key] for key in sorted(found)}
    try:
        LabelSet(names.values())
    except InputError as error:
        raise InputError(f"{path}, categories: {error}") from error
    return names


def read_images(
    content: Mapping[str, list[Any]], path: Path
) -> dict[Id, tuple[str, dict[str, float]]]:
    """Returns file name and (still empty) targets of images by id.

    Raises:
        InputError: If an image has no valid id or file name, or an id appears twice.
    """
    found: dict[Id, tuple[str, dict[str, float]]] = {}
    for position, row in enumerate(content["images"]):
        where = f"{path}, images, entry {position}"
        if not isinstance(row, dict) or "id" not in row or "file_name" not in row:
            raise InputError(f"{where}: every image needs an id and a file_name")
        key, name = _id(row["id"], f"{where}, id"), row["file_name"]
        if not isinstance(name, str) or not name:
            raise InputError(f"{where}: the file_name is {shown(name)}, expected a path")
        if key in found:
            raise InputError(
                f"{where}: the images {shown(found[key][0])} and {shown(name)} have one id, {key!r}"
            )
        found[key] = (name, {})
    return found


def add_instances(
    images: Mapping[Id, tuple[str, dict[str, float]]],
    content: Mapping[str, list[Any]],
    categories: Mapping[Id, str],
    path: Path,
    crowd: float,
) -> None:
    """Sets the targets of images: present if there is an instance.

    Args:
        images: The result of :func:`read_images`.
        content: The result of :func:`read_content`.
        categories: The result of :func:`read_categories`.
        path: The file, for messages.
        crowd: Target of a label if its only instances in the image are crowds.

    Raises:
        InputError: If an instance refers to an image or a category that is not listed.
    """
    for position, row in enumerate(content["annotations"]):
        if not isinstance(row, dict):
            raise InputError(f"{path}, annotations, entry {position}: expected an object")
        image = _referred(images, row, "image_id", path, position)
        label = _referred(categories, row, "category_id", path, position)
        if _is_crowd(row.get("iscrowd"), path, position):
            image[1].setdefault(label, crowd)
        else:
            image[1][label] = PRESENT


def _referred(
    known: Mapping[Id, Known], row: Mapping[str, Any], key: str, path: Path, position: int
) -> Known:
    given = row.get(key)
    if type(given) is int and given in known:  # fast path for millions of entries
        return known[given]
    where = f"{path}, annotations, entry {position}"
    if key not in row:
        raise InputError(f"{where}: {key!r} is missing")
    wanted = _id(given, f"{where}, {key}")
    if wanted not in known:
        what = {"image_id": "image", "category_id": "category"}[key]
        raise InputError(f"{where}: it refers to a missing {what}, {key} {shown(wanted)}")
    return known[wanted]


def _is_crowd(value: Any, path: Path, position: int) -> bool:
    if value is None or value in (0, 1):
        return bool(value)
    raise InputError(
        f"{path}, annotations, entry {position}: iscrowd is {shown(value)}, expected 0 or 1"
    )


def _id(value: Any, where: str) -> Id:
    """Returns an id: an integer, also if written as 1.0, or text."""
    if isinstance(value, float) and value.is_integer() and abs(value) <= _LARGEST_FLOAT:
        return int(value)
    if isinstance(value, bool) or not isinstance(value, int | str) or value == "":
        raise InputError(f"{where}: {shown(value)} is not an id; give a whole number or text")
    return value
