"""Files that would be read wrong, or not at all: one line that names file, place and name.

To add a case is to add a row: a reader, its files, its options, and what the error has to say.
"""
# ruff: noqa: E501 - a row per case

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gatlabel.data import READERS
from gatlabel.errors import InputError
from gatlabel.labels import LabelSet

IMAGES = ("a.png", "b.png", "c.png", "x/a.png")
Files = dict[str, Any]  # text, bytes, or what JSON holds
Row = tuple[str, str, Files, dict[str, Any], tuple[str, ...]]


def one(text: str | bytes) -> Files:
    return {"labels.csv": text}


def coco(**changes: Any) -> Files:
    content = {
        "images": [{"id": 1, "file_name": "a.png"}, {"id": 2, "file_name": "b.png"}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 7}],
        "categories": [{"id": 7, "name": "cat"}, {"id": 8, "name": "dog"}],
    }
    return {"t.json": content | changes}


def listed(*entries: Any, classes: Any = None) -> Files:
    rows = [
        entry if isinstance(entry, dict) else {"img_path": IMAGES[k], "gt_label": entry}
        for k, entry in enumerate(entries)
    ]
    meta = {} if classes is None else {"metainfo": {"classes": classes}}
    return {"labels.json": {**meta, "data_list": rows}}


def voc(xml: str | bytes, listing: str | bytes = "a\n") -> Files:
    return {"ImageSets/Main/train.txt": listing, "Annotations/a.xml": xml, "JPEGImages/a.jpg": ""}


CSV: list[Row] = [
    # one cell of a column of targets
    *(
        (
            f"bad cell {cell!r}",
            "csv",
            one(f'image,cat,dog\na.png,1,0\nb.png,0,1\nc.png,"{cell}",0\n'),
            {},
            ("labels.csv, line 4, column 'cat'", repr(cell)),
        )
        for cell in ("yes", "NaN", "0,7", "inf", "2", "-inf", "-0.5", "1_0", "?", "50%", "1e400")
    ),
    ("only words", "csv", one("image,cat,dog\na.png,yes,0\nb.png,no,1\n"), {}, ("line 2", "'yes'")),
    ("letters", "csv", one("image,cat,dog\na.png,y,0\nb.png,n,1\n"), {}, ("line 2", "'y'")),
    (
        "bad cell of a class",
        "csv",
        one("image,cat,dog\na.png,many,0\nb.png,few,1\n") | {"classes.txt": "cat\ndog\n"},
        {},
        ("labels.csv, line 2, column 'cat'", "'many'"),
    ),
    (
        "bad cell of a named column",
        "csv",
        one("image,cat\na.png,1\nb.png,9\n"),
        {"label_columns": ["cat"]},
        ("line 3, column 'cat'", "'9'"),
    ),
    # -1 may be absent or unknown
    (
        "minus one",
        "csv",
        one("image,cat,dog\na.png,1,-1\nb.png,-1,1\n"),
        {},
        ("labels.csv, line 2", "'dog'", "minus-one"),
    ),
    (
        "minus one without effect",
        "csv",
        one("image,labels\na.png,cat\n"),
        {"minus_one": "absent"},
        ("minus_one=absent", "labels.csv"),
    ),
    # one image in several spellings
    *(
        (
            f"again as {name!r}",
            "csv",
            one(f"image,split,labels\na.png,train,cat\n{name},val,dog\n"),
            {},
            ("labels.csv, line 3", name, "labels.csv, line 2"),
        )
        for name in ("a.png", "./a.png", ".//a.png", "x/../a.png", "link.png", "folder/a.png")
    ),
    # labels and separators
    (
        "both unknown and difficult",
        "csv",
        one("image,labels,unknown,difficult\na.png,cat,dog,dog\n"),
        {},
        ("line 2", "'dog'", "both"),
    ),
    (
        "soft and unknown",
        "csv",
        one("image,cat,dog,unknown\na.png,0.7,0,cat\n"),
        {},
        ("line 2", "'cat'", "both"),
    ),
    (
        "separator in a label",
        "csv",
        one("image,labels\na.png,a|b\n") | {"classes.txt": "a\nb\na|b\n"},
        {},
        ("'a|b'", "separator '|'", "labels.csv"),
    ),
    *(
        (f"{option} {value!r}", "csv", one("image,labels\na.png,b\n"), {option: value}, (option,))
        for option, value in (
            ("separator", ""), ("separator", "\n"), ("delimiter", ""), ("delimiter", ", "),
            ("delimiter", '"'), ("delimiter", "\0"), ("delimiter", "\r"),
        )
    ),
    ("another delimiter", "csv", one("image;labels\na.png;cat\n"), {}, ("labels.csv", "';'")),
    *(
        (
            f"label with {ord(sign):#x}",
            "csv",
            one(f'image,labels\na.png,cat\nb.png,"two{sign}parts"\n'),
            {},
            ("labels.csv, line 3", f"U+{ord(sign):04X}"),
        )
        for sign in "\n\x0b\x0c\x1c\x85\u2028\u2029\0\x1b"
    ),
    (
        "one label in two forms",
        "csv",
        one("image,labels\na.png,caf\u00e9\nb.png,cafe\u0301\n"),
        {},
        ("line 3", "'cafe\\u0301'", "line 2", "Unicode"),
    ),
    (
        "another form than the class file's",
        "csv",
        one("image,labels\na.png,cafe\u0301\n") | {"classes.txt": "caf\u00e9\n"},
        {},
        ("line 2", "Unicode"),
    ),
    # the table
    ("more cells", "csv", one("image,labels\na.png,cat,dog\n"), {}, ("line 2", "3 cells")),
    ("fewer cells", "csv", one("image,labels\na.png\n"), {}, ("line 2", "1 cells")),
    ("two columns", "csv", one("image,cat,cat\na.png,1,0\n"), {}, ("line 1", "'cat'")),
    ("nameless label", "csv", one("image,cat,\na.png,1,0\n"), {}, ("labels.csv", "column 3")),
    ("open quotation", "csv", one('image,labels\na.png,"cat\nb.png,dog\n'), {}, ("line 2",)),
    ("long cell", "csv", one(f"image,labels\na.png,{'c' * 140_000}\n"), {}, ("line 2", "limit")),
    ("empty", "csv", one(""), {}, ("labels.csv", "lists no")),
    ("only blanks", "csv", one("\n \n"), {}, ("labels.csv", "lists no")),
    ("only a heading", "csv", one("\ufeffimage,labels\n"), {}, ("labels.csv", "lists no")),
    ("latin-1", "csv", one("image,labels\na.png,caf\u00e9\n".encode("latin-1")), {}, ("labels.csv", "line 2", "UTF-8")),
    ("UTF-16", "csv", one("image,labels\na.png,cat\n".encode("utf-16")), {}, ("labels.csv", "UTF-8")),
    ("no split named", "csv", one("image,split,labels\na.png,,cat\n"), {}, ("line 2", "split ''")),
    ("no label columns", "csv", one("image,cat\na.png,1\n"), {"label_columns": []}, ("label_columns",)),
    ("image as label", "csv", one("image,cat\na.png,1\n"), {"label_columns": ["image"]}, ("labels.csv", "'image'")),
    # image files
    ("no image", "csv", one("image,labels\nnone.png,cat\n"), {}, ("none.png", "labels.csv, line 2")),
    ("folder", "csv", one("image,labels\nx,cat\n"), {}, ("labels.csv, line 2", "folder")),
    ("NUL", "csv", one("image,labels\na\0.png,cat\n"), {}, ("a\\x00.png", "labels.csv, line 2")),
    ("long name", "csv", one(f"image,labels\n{'n' * 5000}.png,cat\n"), {}, ("nnn", "too long")),
    ("pipe", "csv", one("image,labels\npipe.png,cat\n"), {}, ("pipe.png", "regular file")),
    ("backslashes", "csv", one("image,labels\nx\\a.png,cat\n"), {}, ("line 2", "write /")),
    (
        "nothing left of a split",
        "csv",
        one("image,split,labels\na.png,train,cat\nnone.png,val,cat\n"),
        {"on_error": "skip"},
        ("none.png", "split val"),
    ),
]  # fmt: skip

COCO: list[Row] = [
    (
        "two images with one id",
        "coco",
        coco(images=[{"id": 1, "file_name": "a.png"}, {"id": 1, "file_name": "b.png"}]),
        {},
        ("t.json", "entry 1", "'a.png'", "'b.png'", "id, 1"),
    ),
    (
        "two categories with one id",
        "coco",
        coco(categories=[{"id": 7, "name": "cat"}, {"id": 7, "name": "dog"}]),
        {},
        ("t.json", "'cat'", "'dog'", "id, 7"),
    ),
    (
        "two categories with one name",
        "coco",
        coco(categories=[{"id": 7, "name": "cat"}, {"id": 8, "name": "cat "}]),
        {},
        ("t.json", "'cat' appears twice"),
    ),
    (
        "one file twice",
        "coco",
        coco(images=[{"id": 1, "file_name": "a.png"}, {"id": 2, "file_name": "./a.png"}]),
        {},
        ("t.json, image id 2", "t.json, image id 1", "a.png"),
    ),
    (
        "missing image",
        "coco",
        coco(annotations=[{"image_id": 9, "category_id": 7}]),
        {},
        ("t.json", "entry 0", "image_id 9"),
    ),
    (
        "missing category",
        "coco",
        coco(annotations=[{"image_id": 1, "category_id": 9}]),
        {},
        ("t.json", "entry 0", "category_id 9"),
    ),
    *(
        (f"category {value!r}", "coco", coco(categories=[value]), {}, ("t.json", "entry 0"))
        for value in (None, [], 3, {"id": 1}, {"id": 1, "name": 3}, {"id": None, "name": "cat"})
    ),
    *(
        (f"image {value!r}", "coco", coco(images=[value]), {}, ("t.json", "entry 0"))
        for value in (None, [], {"id": 1}, {"id": 1, "file_name": ""}, {"id": 1, "file_name": 3})
    ),
    *(
        (f"instance {value!r}", "coco", coco(annotations=[value]), {}, ("t.json", "entry 0"))
        for value in (
            None, [], 3, {}, {"image_id": [1], "category_id": 7}, {"image_id": 1},
            {"image_id": True, "category_id": 7}, {"image_id": 1, "category_id": {}},
            {"image_id": 1, "category_id": 7, "iscrowd": "no"},
            {"image_id": 1, "category_id": 7, "iscrowd": 2},
            {"image_id": "1", "category_id": 7},
        )
    ),
    *(
        (
            f"id {value!r}",
            "coco",
            coco(images=[{"id": value, "file_name": "a.png"}], annotations=[]),
            {},
            ("t.json", "entry 0", "id"),
        )
        for value in (1.5, True, None, [], {}, "", 1e300)
    ),
    (
        "ids of two kinds",
        "coco",
        coco(categories=[{"id": 7, "name": "cat"}, {"id": "8", "name": "dog"}]),
        {},
        ("t.json", "ids of categories"),
    ),
    (
        "line break in a category",
        "coco",
        coco(categories=[{"id": 7, "name": "c\u2028t"}]),
        {},
        ("t.json", "entry 0", "U+2028"),
    ),
    (
        "half of a surrogate pair",
        "coco",
        {"t.json": json.dumps(coco(categories=[{"id": 7, "name": "c\ud800"}])["t.json"])},
        {},
        ("t.json", "entry 0", "U+D800"),
    ),
    *(
        (f"{key} {value!r}", "coco", coco(**{key: value}), {}, ("t.json", repr(key)))
        for key in ("images", "categories", "annotations")
        for value in (None, {}, 3, "text")
    ),
    ("no images", "coco", coco(images=[], annotations=[]), {}, ("t.json", "'images'")),
    ("no categories", "coco", coco(categories=[], annotations=[]), {}, ("t.json", "'categories'")),
    (
        "an image in two splits",
        "coco",
        coco() | {"v.json": coco()["t.json"]},
        {"val": "v.json"},
        ("v.json, image id 1", "t.json, image id 1", "a.png"),
    ),
    (
        "a key twice",
        "coco",
        {"t.json": '{"images": [], "images": [], "annotations": [], "categories": []}'},
        {},
        ("t.json", "'images'"),
    ),
    ("4,301 digits", "coco", {"t.json": f'{{"images": [{"1" * 4301}]}}'}, {}, ("t.json",)),
    ("deep", "coco", {"t.json": "[" * 100_000 + "]" * 100_000}, {}, ("t.json",)),
]  # fmt: skip

JSON: list[Row] = [
    (
        "both readings",
        "json",
        listed([0, 1], [1, 0], classes=["cat", "dog"]),
        {},
        ("labels.json, entry 0", "[0, 1]", "names"),
    ),
    (
        "two readings",
        "json",
        listed([1, 0, 1], [0, 2], classes=["cat", "dog", "yak"]),
        {},
        ("labels.json, entry 0", "label 1", "entry 1", "[0, 2]"),
    ),
    (
        "position twice",
        "json",
        listed([1, 1], classes=["cat", "dog", "yak"]),
        {},
        ("labels.json, entry 0", "1 appears twice"),
    ),
    ("name twice", "json", listed(["cat", "cat"]), {}, ("entry 0", "'cat' appears twice")),
    (
        "out of range for a target",
        "json",
        listed([1, 0, 1], [0, 0, 2.5], classes=["cat", "dog", "yak"]),
        {},
        ("labels.json, entry 1", "2.5"),
    ),
    (
        "minus one",
        "json",
        listed([1, -1, 1], [-1, -1, 1], classes=["cat", "dog", "yak"]),
        {},
        ("labels.json, entry 0", "'dog'", "minus-one"),
    ),
    (
        "minus one without effect",
        "json",
        listed([2], [0], classes=["cat", "dog", "yak"]),
        {"minus_one": "unknown"},
        ("minus_one=unknown", "labels.json"),
    ),
    (
        "some with a split",
        "json",
        listed({"img_path": "a.png", "gt_label": ["cat"], "split": "train"}, ["dog"], ["cat"]),
        {},
        ("labels.json, entry 1", "'split'", "entry 0"),
    ),
    (
        "split of another file",
        "json",
        listed({"img_path": "a.png", "gt_label": ["cat"], "split": "val"})
        | {"v.json": listed({"img_path": "b.png", "gt_label": ["cat"]})["labels.json"]},
        {"val_file": "v.json"},
        ("labels.json, entry 0", "'val'", "train"),
    ),
    (
        "split of another type",
        "json",
        listed({"img_path": "a.png", "gt_label": ["cat"], "split": None}),
        {},
        ("labels.json, entry 0", "split", "None"),
    ),
    (
        "an image in two files",
        "json",
        listed(["cat"]) | {"v.json": [{"img_path": "x/..//a.png", "gt_label": ["cat"]}]},
        {"val_file": "v.json"},
        ("v.json, entry 0", "labels.json, entry 0", "a.png"),
    ),
    *(
        (f"classes {value!r}", "json", listed([0], classes=value), {}, ("labels.json", "classes"))
        for value in ({"cat": 0}, "cat", 3, [], [1], ["cat", ""], ["cat "], ["c\nt"])
    ),
    *(
        (f"labels {value!r}", "json", listed({"img_path": "a.png", "gt_label": value}), {}, ("entry 0",))
        for value in (None, {}, 0.5, True, [None], [[0]], [{}], [float("nan")], [0.5])
    ),
    *(
        (f"entry {value!r}", "json", {"labels.json": [value]}, {}, ("labels.json", "entry 0"))
        for value in (None, [], "a.png", {"img_path": 3, "gt_label": []}, {"gt_label": []})
    ),
    ("empty path", "json", listed({"img_path": "", "gt_label": ["cat"]}), {}, ("entry 0", "empty")),
    (
        "a key twice",
        "json",
        {"labels.json": '[{"img_path": "a.png", "gt_label": ["cat"], "gt_label": ["dog"]}]'},
        {},
        ("labels.json", "'gt_label'"),
    ),
    (
        "metainfo",
        "json",
        {"labels.json": {"metainfo": [], "data_list": listed([0])["labels.json"]["data_list"]}},
        {},
        ("labels.json", "metainfo"),
    ),
]  # fmt: skip

GOOD = "<annotation><object><name>cat</name></object></annotation>"
LAUGHS = (
    '<!DOCTYPE a [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;">]>'
    "<annotation><object><name>&b;</name></object></annotation>"
)
VOC: list[Row] = [
    ("entities", "voc", voc(LAUGHS), {}, ("a.xml", "entities", "train.txt, line 1")),
    ("another root", "voc", voc("<html/>"), {}, ("a.xml", "<html>", "train.txt, line 1")),
    ("no XML", "voc", voc("cat"), {}, ("a.xml is not XML", "train.txt, line 1")),
    ("empty XML", "voc", voc(""), {}, ("a.xml is not XML",)),
    ("deep XML", "voc", voc("<a>" * 100_000), {}, ("a.xml is not XML",)),
    ("latin-1", "voc", voc(GOOD.replace("cat", "caf\u00e9").encode("latin-1")), {}, ("a.xml", "UTF-8")),
    ("no name", "voc", voc(GOOD.replace("name", "title")), {}, ("a.xml", "without a name")),
    ("blank name", "voc", voc(GOOD.replace("cat", " ")), {}, ("a.xml", "without a name")),
    (
        "two names",
        "voc",
        voc(GOOD.replace("</object>", "<name>dog</name></object>")),
        {},
        ("a.xml", "two names", "'cat'"),
    ),
    *(
        (
            f"difficult {value!r}",
            "voc",
            voc(GOOD.replace("</object>", f"<difficult>{value}</difficult></object>")),
            {},
            ("a.xml", "'cat'", value),
        )
        for value in ("yes", "2", "-1")
    ),
    ("an image twice", "voc", voc(GOOD, "a\n\na\n"), {}, ("train.txt, line 3", "train.txt, line 1")),
    ("an image of blanks", "voc", voc(GOOD, "a b\n"), {}, ("a b.xml", "train.txt, line 1")),
    ("no images", "voc", voc(GOOD, "\n \n\t\n"), {}, ("no images",)),
    ("no UTF-8", "voc", voc(GOOD, b"\xff\n"), {}, ("train.txt", "UTF-8")),
    ("NUL", "voc", voc(GOOD, "a\0b\n"), {}, ("train.txt, line 1",)),
    ("long name", "voc", voc(GOOD, "a" * 5000), {}, ("train.txt, line 1",)),
    ("NUL in a set", "voc", voc(GOOD), {"train": "a\0"}, ("image set",)),
]  # fmt: skip

CLASSES: list[Row] = [
    (name, "csv", one("image,labels\na.png,cat\n") | {"classes.txt": text}, {}, wanted)
    for name, text, wanted in (
        ("twice", "cat\n\ndog\ncat\n", ("classes.txt, line 4", "'cat'", "line 1")),
        ("two forms", "caf\u00e9\ncafe\u0301\n", ("classes.txt", "Unicode")),
        ("separator", "cat\ndo\u2028g\n", ("classes.txt, line 2", "U+2028")),
        ("vertical tab", "ca\x0bt\n", ("classes.txt, line 1", "U+000B")),
        ("NUL", "cat\ndo\0g\n", ("classes.txt, line 2", "U+0000")),
        ("empty", "\n \n", ("classes.txt", "no label")),
        ("latin-1", b"cat\ncaf\xe9\n", ("classes.txt", "line 2", "UTF-8")),
    )
]

READER_OPTIONS: dict[str, dict[str, Any]] = {
    "csv": {},
    "json": {},
    "coco": {"train": "t.json"},
    "voc": {"val": None, "fractions": (0.5, 0.5, 0.0)},
}


def write(root: Path, files: Files) -> None:
    for name in IMAGES:
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).touch()
    (root / "link.png").symlink_to("a.png")
    (root / "folder").symlink_to(root, target_is_directory=True)
    os.mkfifo(root / "pipe.png")
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, bytes):
            path.write_bytes(content)
        else:
            text = content if isinstance(content, str) else json.dumps(content)
            path.write_text(text, encoding="utf-8", newline="")


@pytest.mark.parametrize(
    ("reader", "files", "options", "wanted"),
    [row[1:] for row in (*CSV, *COCO, *JSON, *VOC, *CLASSES)],
    ids=[f"{row[1]}: {ascii(row[0])[:60]}" for row in (*CSV, *COCO, *JSON, *VOC, *CLASSES)],
)
def test_one_line_names_file_place_and_name(
    tmp_path: Path, reader: str, files: Files, options: dict[str, Any], wanted: tuple[str, ...]
) -> None:
    write(tmp_path, files)
    with pytest.raises(InputError) as caught:
        READERS[reader](tmp_path, **{**READER_OPTIONS[reader], **options})
    message = str(caught.value)
    assert "\n" not in message
    for text in wanted:
        assert text in message, message


@pytest.mark.parametrize("file", ["folder", "pipe.png", "none", "a\0b", "n" * 5000, "\ud800"])
@pytest.mark.parametrize(
    "read",
    [
        lambda root, file: READERS["csv"](root, file),
        lambda root, file: READERS["json"](root, file),
        lambda root, file: READERS["coco"](root, train=file),
        lambda root, file: LabelSet.load(root / file),
    ],
    ids=["csv", "json", "coco", "classes"],
)
def test_a_path_that_is_not_a_file_is_named(
    tmp_path: Path, read: Callable[[Path, str], object], file: str
) -> None:
    write(tmp_path, {})
    with pytest.raises(InputError, match="cannot read the"):
        read(tmp_path, file)


@pytest.mark.parametrize("root", ["a\0b", "n" * 5000, "none", "a.png"])
@pytest.mark.parametrize("reader", list(READERS))
def test_a_wrong_root_is_named(tmp_path: Path, reader: str, root: str) -> None:
    write(tmp_path, {})
    with pytest.raises(InputError):
        READERS[reader](tmp_path / root, **READER_OPTIONS[reader])
