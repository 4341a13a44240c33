"""Annotation files of every reader, and their class files."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from random import Random
from typing import Any

import numpy as np

from gatlabel.data import READERS, DataSplits, check_splits
from gatlabel.labels import LabelSet
from tests.data import test_wrong_files as seeds
from tests.fuzz.case import Case, WrongError
from tests.fuzz.raw_bytes import corrupt
from tests.fuzz.texts import corrupt_lines, corrupt_table, corrupt_xml
from tests.fuzz.trees import corrupt_tree, json_bytes

TABLES = (
    "image,split,labels,unknown,difficult\na.png,train,cat|dog,,\nb.png,train,cat,dog,\n"
    "c.png,val,,,cow\n",
    "image,split,cat,dog,note\na.png,train,1,0,x\nb.png,train,-1,1,y\nc.png,val,0.5,,z\n",
    "image,cat,dog\na.png,1,-1\nb.png,-1,1\nc.png,1,1\n",
    "image,labels\na.png,cat\nb.png,dog\nc.png,cat|dog\nx/a.png,\n",
)
CSV_OPTIONS: tuple[dict[str, Any], ...] = (
    {},
    {},
    {"minus_one": "absent"},
    {"minus_one": "unknown"},
    {"label_columns": ["cat"]},
    {"split_column": None},
    {"on_error": "skip"},
    {"classes": "classes.txt"},
    {"difficult": "negative"},
    {"fractions": (0.5, 0.25, 0.25)},
)
LISTS = (
    seeds.listed([1, 0, 1], [0, 0, 1], [0, 1, 1], classes=["cat", "dog", "yak"]),
    seeds.listed([0], [1, 2], ["cat"], classes=["cat", "dog", "yak"]),
    seeds.listed([1, -1, 1], [-1, 1, 1], classes=["cat", "dog", "yak"]),
    seeds.listed(
        {"img_path": "a.png", "gt_label": ["cat"], "split": "train"},
        {"img_path": "b.png", "gt_label": ["cat"], "split": "val"},
    ),
)
JSON_OPTIONS: tuple[dict[str, Any], ...] = (
    {}, {}, {"minus_one": "absent"}, {"minus_one": "unknown"}, {"val_file": "labels.json"},
    {"on_error": "skip"},
)  # fmt: skip
COCO_OPTIONS: tuple[dict[str, Any], ...] = (
    {"train": "t.json"}, {"train": "t.json", "on_error": "skip"},
    {"train": "t.json", "val": "t.json"},
    {"train": "t.json", "drop_empty": True}, {"train": "t.json", "crowd": "unknown"},
)  # fmt: skip
XML = (
    "<annotation><filename>a.jpg</filename><object><name>cat</name><difficult>1</difficult><part>"
    "<name>head</name></part></object><object><name>dog</name></object></annotation>"
)
WORDS = (
    *("images", "annotations", "categories", "file_name", "image_id", "category_id", "id", "name"),
    *("iscrowd", "img_path", "gt_label", "split", "metainfo", "classes", "data_list", "a.png"),
    *("b.png", "./a.png", "x/../a.png", "cat", "train", "val", 7, 8, [0, 1], [1, 1, 0]),
)


def annotations(case: Case) -> None:
    """Corrupts the files of one reader, reads them, and checks the images they name."""
    kinds: tuple[Callable[[Case], None], ...] = (_csv, _csv, _coco, _json, _voc, _classes)
    seeds.write(case.given, {})
    sample = case.samples.images["plain.png"]
    for name in ("a.png", "b.png", "c.png", "x/a.png", "JPEGImages/a.jpg"):
        case.put(name, sample if case.rng.random() < 0.9 else b"no image")
    case.rng.choice(kinds)(case)


def _read(case: Case, reader: str, **options: Any) -> None:
    options.setdefault("evaluate_only", case.rng.random() < 0.7)
    splits = case.call(READERS[reader], case.given, **options)
    if splits is None:
        return
    _require_sound(splits)
    if case.rng.random() < 0.2:
        case.call(check_splits, splits, case.rng.choice(("stop", "skip")), threads=1)


def _require_sound(splits: DataSplits) -> None:
    """Makes sure that what was read is what a data set can be."""
    seen: set[str] = set()
    for name, source in splits.items():
        targets = np.asarray(source.targets)
        if targets.shape != (len(source), len(source.labels)):
            raise WrongError(f"targets of {name}: {targets.shape}")
        if not (((targets >= 0) & (targets <= 1)) | (targets == -1)).all():
            raise WrongError(f"targets of {name}: {targets}")
        if twice := seen & set(source.ids):
            raise WrongError(f"in two splits: {twice}")
        seen |= set(source.ids)
    if any(set(label) & set("\n\r\0\u2028\x1b") for label in splits.labels):
        raise WrongError(f"labels {list(splits.labels)}")


def _csv(case: Case) -> None:
    rng = case.rng
    text = rng.choice(TABLES)
    if rng.random() < 0.6:
        delimiter = rng.choice((",", ",", ";", "\t"))
        options = {"delimiter": delimiter} if delimiter != "," else {}
        data = corrupt_table(rng, text).replace(",", delimiter).encode()
    else:
        separator = rng.choice(("", "|", ",", "\\t", " ", "\0", "||"))
        delimiter = rng.choice(("", ",", ";", "\\t", "ab", "\n", "é"))
        options = rng.choice(({}, {"separator": separator}, {"delimiter": delimiter}))
        data = corrupt(rng, text.encode())
    case.put("labels.csv", data)
    case.put("classes.txt", "cat\ndog\n" if rng.random() < 0.8 else corrupt(rng, b"cat\ndog\n"))
    _read(case, "csv", **{**rng.choice(CSV_OPTIONS), **options})


def corrupted_json(rng: Random, tree: Any, words: tuple[Any, ...] = WORDS) -> bytes:
    """Returns JSON whose tree, text or both were changed."""
    kind = rng.choice(("tree", "tree", "text", "both"))
    tree = tree if kind == "text" else corrupt_tree(rng, tree, words)
    data = json_bytes(rng, tree)
    return data if kind == "tree" else corrupt(rng, data)


def _coco(case: Case) -> None:
    case.put("t.json", corrupted_json(case.rng, seeds.coco()["t.json"]))
    options = case.rng.choice(COCO_OPTIONS)
    if "on_error" in options or case.rng.random() < 0.5:
        options = {**options, "evaluate_only": False}
    _read(case, "coco", **options)


def _json(case: Case) -> None:
    case.put("labels.json", corrupted_json(case.rng, case.rng.choice(LISTS)["labels.json"]))
    _read(case, "json", **case.rng.choice(JSON_OPTIONS))


def _voc(case: Case) -> None:
    rng = case.rng
    text = corrupt_xml(rng, XML) if rng.random() < 0.6 else XML
    data = text.encode("utf-8", "surrogatepass")
    case.put("Annotations/a.xml", corrupt(rng, data) if rng.random() < 0.4 else data)
    listing = corrupt_lines(rng, "a\n", ("a", "b", "a 1", "../x")) if rng.random() < 0.4 else "a\n"
    case.put("ImageSets/Main/train.txt", listing)
    _read(case, "voc", train="none", val=None, test="train", evaluate_only=True)


def _classes(case: Case) -> None:
    rng = case.rng
    text = "cat\ndog\ncafé\n\nx y\n"
    data = corrupt_lines(rng, text).encode() if rng.random() < 0.5 else corrupt(rng, text.encode())
    if rng.random() < 0.3:
        data = corrupted_json(rng, json.loads(json.dumps(["cat", "dog"])))
    path = case.put(rng.choice(("c.txt", "c.json")), data)
    labels = case.call(LabelSet.load, path)
    if labels is not None:
        again = case.folder / os.path.basename(path)  # noqa: PTH119
        case.call(labels.save, again)
        if case.call(LabelSet.load, again) != labels:
            raise WrongError(f"labels {list(labels)} become {case.call(LabelSet.load, again)}")
