"""Pictures listed in a JSON file, in the form that mmpretrain reads and writes."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Literal

from gatlabel.data.annotations import Annotation, build_splits, label_set
from gatlabel.data.source import DataSplits
from gatlabel.data.splits import FRACTIONS, split_of
from gatlabel.errors import InputError
from gatlabel.files import read_json as read_json_file
from gatlabel.labels import PRESENT, LabelSet


def read_json(
    root: str | os.PathLike[str],
    file: str | os.PathLike[str] = "labels.json",
    *,
    val_file: str | os.PathLike[str] | None = None,
    test_file: str | os.PathLike[str] | None = None,
    images: str = "",
    classes: str | os.PathLike[str] | None = None,
    fractions: tuple[float, float, float] = FRACTIONS,
    seed: int = 0,
    on_error: Literal["stop", "skip"] = "stop",
    evaluate_only: bool = False,
) -> DataSplits:
    """Reads JSON lists of pictures and labels.

    The file is ``{"metainfo": {"classes": [...]}, "data_list": [...]}``, as mmpretrain's
    ``MultiLabelDataset`` has it, or the list alone. An entry is ``{"img_path": "a.jpg",
    "gt_label": [0, 3]}``, with positions among the classes or with names; it may have a
    ``"split"``.

    Args:
        root: The folder that the files and ``images`` are relative to.
        file: The JSON file; the train split, if another file is given too.
        val_file: The JSON file of the val split.
        test_file: The JSON file of the test split.
        images: The folder that picture paths are relative to, below ``root``.
        classes: A file with one label name a line. Default: the file's own classes, else
            ``classes.txt`` beside it, else the names seen, sorted.
        fractions: Shares of train, val and test where the split is made here.
        seed: Seed of that split.
        on_error: What to do about missing picture files: stop, or leave them out and say so.
        evaluate_only: See :func:`~gatlabel.data.splits.complete_splits`.

    Raises:
        InputError: If the file, an entry, a label or a picture is wrong; the entry is named.
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
    annotations = []
    for part, (classes_of, entries) in contents.items():
        path = files[part]
        if classes is None and labels is not None and classes_of is not None:
            labels.require_same_names(classes_of, f"{path}")
        order = classes_of or labels  # positions are meant in the order of the file itself
        annotations += [
            _annotation(entry, order, part, images, f"{path}, entry {position}")
            for position, entry in enumerate(entries)
        ]
    return build_splits(
        folder.name,
        folder,
        annotations,
        labels,
        fractions=fractions,
        seed=seed,
        on_error=on_error,
        evaluate_only=evaluate_only,
    )


def _content(path: Path) -> tuple[LabelSet | None, list[Any]]:
    content = read_json_file(path, "JSON label file")
    names = None
    if isinstance(content, dict):
        meta = content.get("metainfo")
        names = meta.get("classes") if isinstance(meta, dict) else None
        content = content.get("data_list")
    if not isinstance(content, list) or not content:
        raise InputError(
            f"{path} lists no pictures: expected a list, or a 'data_list', of entries "
            '{"img_path": …, "gt_label": […]}'
        )
    if names is None:
        return None, content
    try:
        return LabelSet(names), content
    except (InputError, TypeError) as error:
        raise InputError(f"{path}, metainfo classes: {error}") from error


def _annotation(
    entry: Any, order: LabelSet | None, part: str, images: str, where: str
) -> Annotation:
    if not isinstance(entry, dict) or not isinstance(entry.get("img_path"), str):
        raise InputError(f"{where}: expected an object with 'img_path' and 'gt_label'")
    given = entry.get("gt_label")
    if "gt_label" not in entry or isinstance(given, (float, dict, bool)) or given is None:
        raise InputError(f"{where}: 'gt_label' has to be a list of positions or names")
    targets = {}
    for label in given if isinstance(given, list) else [given]:
        targets[_name(label, order, where)] = PRESENT
    if part == "all" and "split" in entry:
        part = split_of(str(entry["split"]), where)
    path = (Path(images) / entry["img_path"]).as_posix()
    return Annotation(path, targets, part, where)


def _name(label: object, order: LabelSet | None, where: str) -> str:
    if isinstance(label, str):
        return label
    if not isinstance(label, int) or isinstance(label, bool):
        raise InputError(f"{where}: label {label!r} is neither a position nor a name")
    if order is None:
        raise InputError(
            f"{where}: label {label} is a position, but there are no classes; give a class file"
        )
    if not 0 <= label < len(order):
        raise InputError(f"{where}: label {label} is out of range: there are {len(order)} classes")
    return order[label]
