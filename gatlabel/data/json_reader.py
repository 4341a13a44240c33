"""Images listed in a JSON file, in the format of mmpretrain."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from gatlabel.data.annotations import Annotation, build_splits, group_of, label_set
from gatlabel.data.json_labels import Given, read_labels
from gatlabel.data.one_hot import MinusOne
from gatlabel.data.source import DataSplits
from gatlabel.data.splits import FRACTIONS, split_of
from gatlabel.errors import InputError
from gatlabel.files import read_json as read_json_file
from gatlabel.labels import LabelSet
from gatlabel.values import shown


def read_json(
    root: str | os.PathLike[str],
    file: str | os.PathLike[str] = "labels.json",
    *,
    val_file: str | os.PathLike[str] | None = None,
    test_file: str | os.PathLike[str] | None = None,
    images: str = "",
    group_column: str | None = None,
    minus_one: MinusOne | None = None,
    classes: str | os.PathLike[str] | None = None,
    fractions: tuple[float, float, float] = FRACTIONS,
    seed: int = 0,
    on_error: Literal["stop", "skip"] = "stop",
    evaluate_only: bool = False,
) -> DataSplits:
    """Reads JSON lists of images and labels.

    The file is ``{"metainfo": {"classes": [...]}, "data_list": [...]}``, as for mmpretrain's
    ``MultiLabelDataset``, or the list alone. An entry is ``{"img_path": "a.jpg",
    "gt_label": [0, 3]}``, with positions among the classes or with names. One number per class,
    ``[1, 0, 0, 1]``, is accepted too: 1 present, 0 absent, -1 unknown, in between soft. All entries
    must have the same form. Either all entries have a ``"split"``, or none.

    Args:
        root: The folder that the files and ``images`` are relative to.
        file: The JSON file; that of the train split, if another file is given too.
        val_file: The JSON file of the val split.
        test_file: The JSON file of the test split.
        images: The folder that image paths are relative to, below ``root``.
        group_column: Key of an entry's group (patient, place, video), a text or integer, as in
            :func:`~gatlabel.data.read_csv`.
        minus_one: Meaning of -1 if there is one number per class. Default: unknown; required if no
            value is 0 or between 0 and 1.
        classes: A file with one label name per line. Default: the file's own classes, else
            ``classes.txt`` next to it, else the names that occur, sorted.
        fractions: Shares of train, val and test if the data are split here.
        seed: Seed of that split.
        on_error: Treatment of missing image files: stop, or skip them with a note.
        evaluate_only: See :func:`~gatlabel.data.splits.complete_splits`.

    Raises:
        InputError: If the file, an entry, a label or an image is wrong; the message names the
            entry.
    """
    folder = Path(root)
    given = {"val": val_file, "test": test_file}
    files = {part: folder / name for part, name in given.items() if name is not None}
    files = {"train" if files else "all": folder / file, **files}
    contents = {part: _content(path) for part, path in files.items()}
    own = [classes_of for classes_of, _ in contents.values() if classes_of is not None]
    if classes is None and own:
        labels: LabelSet | None = own[0]
    else:
        labels = label_set(classes, beside=folder / file)
    for part, (classes_of, _) in contents.items():
        if classes is None and labels is not None and classes_of is not None:
            labels.require_same_names(classes_of, f"{files[part]}")
    rows: list[tuple[str, str, Given]] = []
    groups: list[str | None] = []
    for part, (classes_of, entries) in contents.items():
        order = classes_of or labels  # positions refer to the classes of the file itself
        rows += _rows(entries, order, part, images, files[part])
        groups += _groups(entries, group_column, files[part])
    targets, notes = read_labels([given for _, _, given in rows], minus_one)
    annotations = [
        Annotation(image, dict(values), part, given.where, group=group)
        for (image, part, given), values, group in zip(rows, targets, groups, strict=True)
    ]
    return build_splits(
        folder.name,
        folder,
        annotations,
        labels,
        notes=notes,
        fractions=fractions,
        seed=seed,
        on_error=on_error,
        evaluate_only=evaluate_only,
    )


def _content(path: Path) -> tuple[LabelSet | None, list[Any]]:
    content = read_json_file(path, "JSON label file")
    names = None
    if isinstance(content, dict):
        meta = content.get("metainfo", {})
        if not isinstance(meta, dict):
            raise InputError(f"{path}: metainfo is {shown(meta)}, expected an object")
        names = meta.get("classes")
        content = content.get("data_list")
    if not isinstance(content, list) or not content:
        raise InputError(
            f"{path} lists no images: expected a list, or a 'data_list', of entries "
            '{"img_path": …, "gt_label": […]}'
        )
    if names is None:
        return None, content
    if not isinstance(names, list) or not names:
        raise InputError(f"{path}, metainfo classes: {shown(names)}, expected a list of names")
    try:
        return LabelSet(names), content
    except InputError as error:
        raise InputError(f"{path}, metainfo classes: {error}") from error


def _rows(
    entries: Sequence[Any], order: LabelSet | None, part: str, images: str, path: Path
) -> list[tuple[str, str, Given]]:
    """Returns path, split and labels of every entry of a file."""
    rows = []
    for position, entry in enumerate(entries):
        where = f"{path}, entry {position}"
        if not isinstance(entry, dict) or not isinstance(entry.get("img_path"), str):
            raise InputError(f"{where}: expected an object with 'img_path' and 'gt_label'")
        image = (Path(images) / entry["img_path"]).as_posix() if entry["img_path"] else ""
        rows.append((image, _part(entry, part, where), Given.of(entry, order, where)))
    parts = [split for _, split, _ in rows]
    if part == "all" and "all" in parts and len(set(parts)) > 1:
        without = parts.index("all")
        with_split = next(k for k, split in enumerate(parts) if split != "all")
        raise InputError(
            f"{path}, entry {without}: it has no 'split', as entry {with_split} has; give every "
            "entry a split, or none"
        )
    return rows


def _part(entry: Mapping[str, Any], part: str, where: str) -> str:
    """Returns the split of an entry: its own, or that of its file."""
    if "split" not in entry:
        return part
    if not isinstance(entry["split"], str):
        raise InputError(f"{where}: the split is {shown(entry['split'])}, expected a name")
    own = split_of(entry["split"], where)
    if part not in ("all", own):
        raise InputError(
            f"{where}: its split is {entry['split']!r}, but the file is read as {part}"
        )
    return own


def _groups(entries: Sequence[Any], key: str | None, path: Path) -> list[str | None]:
    """Returns the group of every entry of a file, or ``None`` if no key is given."""
    if key is None:
        return [None] * len(entries)
    found: list[str | None] = []
    for position, entry in enumerate(entries):
        where = f"{path}, entry {position}"
        if key not in entry:
            raise InputError(f"{where}: it has no {key!r}, the key of its group")
        group = entry[key]
        if isinstance(group, bool) or not isinstance(group, str | int):
            raise InputError(f"{where}: the group is {shown(group)}, expected a text or a number")
        found.append(group_of(str(group), where))
    return found
