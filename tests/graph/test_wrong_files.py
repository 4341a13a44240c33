"""Graphs, counts and vectors that would be read wrong: one line that names file, place and name."""
# ruff: noqa: E501 - a row per case

import json
import os
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from gatlabel.errors import InputError
from gatlabel.graph import Cooccurrence, LabelGraph, load_vectors, read_edges
from gatlabel.graph.node_features import resolve

NAMES = ["cat", "dog", "cow"]
HUGE = 10**40

GRAPH = {
    "format": "gatlabel.label-graph/2",
    "variant": None,
    "options": {},
    "relation": "cooccurrence",
    "self_loops": False,
    "names": NAMES,
    "counts": {"images": 9, "present": [5, 4, 3], "unknown": [2, 0, 3]},
    "edges": [[0, 1, 0.5]],
}
COUNTS = {"images": 9, "names": NAMES, "counts": [5, 4, 3], "pairs": [[0, 1, 2]]}
UNKNOWN = {"counts": [2, 0, 3], "pairs": [[0, 2, 1]], "present": [[1, 0, 2]]}


def load_graph(folder: Path, changes: dict[str, Any]) -> LabelGraph:
    (folder / "graph.json").write_text(json.dumps(GRAPH | changes))
    return LabelGraph.load(folder / "graph.json")


def load_counts(folder: Path, changes: dict[str, Any]) -> Cooccurrence:
    (folder / "counts.json").write_text(json.dumps(COUNTS | changes))
    return Cooccurrence.load(folder / "counts.json")


def test_the_files_are_right_before_they_are_changed(tmp_path: Path) -> None:
    assert load_graph(tmp_path, {}).num_edges == 1
    assert load_counts(tmp_path, {"unknown": UNKNOWN}).unknown is not None
    assert load_counts(tmp_path, {"images": None}).images is None
    assert load_graph(tmp_path, {"variant": "npmi", "options": None}).options == {}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        *(({"self_loops": value}, "self_loops=") for value in ("no", "true", 0, 1, None, [])),
        *(
            ({"edges": [[0, 1, 0.5], value]}, "edge 1")
            for value in (
                [0.9, 1, 0.5], [0, 1.0, 0.5], [True, 1, 0.5], ["0", 1, 0.5], [None, 1, 0.5],
                [0, 2, "0.5"], [0, 2, None], [0, 2, True], [0, 2, [1]], [0, 2, float("nan")],
                [0, 2, float("inf")], [0, 2, 1e39], [0, 2], [0, 2, 1, 1], {}, "abc", None, 3,
                [0, 3, 0.5], [-1, 2, 0.5],
            )
        ),
        ({"edges": [[0, 1, 0.5], [0, 1, 0.7]]}, "'cat' -> 'dog' appears more than once"),
        ({"edges": [[1, 1, 0.5]]}, "'dog' -> 'dog' is a self-loop"),
        *(({"edges": value}, "edges is") for value in (None, {}, "abc", 3)),
        *(({"names": value}, "names is") for value in (None, {"cat": 0}, "cat", 3)),
        *(({"names": ["cat", "dog", value]}, "label 2") for value in (None, 3, "", "c\u2028w", "x ")),
        ({"names": ["cat", "dog", "cat"]}, "'cat' appears twice"),
        *(({"options": value}, "options is") for value in ([], "abc", 3)),
        *(({"variant": value}, "variant is") for value in ([], {}, 3)),
        ({"variant": "\ud800"}, "variant or options contain"),
        ({"options": {"tau": float("nan")}}, "variant or options contain"),
        *(({"relation": value}, "relation of a label graph") for value in (None, [], 3, "kni")),
        *(({"counts": value}, "counts is") for value in ([], "abc", 3)),
        *(
            ({"counts": {"images": 9, "present": [5, 4, 3]} | change}, "counts: ")
            for change in (
                {"images": "9"}, {"images": 9.5}, {"images": -1}, {"images": True},
                {"present": None}, {"present": [5, 4]}, {"present": [5, 4, "3"]},
                {"present": [5, 4, -3]}, {"present": [5, 4, 2.5]}, {"present": [5, 4, 10]},
                {"unknown": 3}, {"unknown": [1, 2]},
                {"unknown": [5, 0, 0]},
            )
        ),
    ],
)  # fmt: skip
def test_graphs(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        load_graph(tmp_path, changes)
    assert "graph.json" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        *(
            ({"images": value}, "images=")
            for value in ("9", True, 9.5, -1, [], {}, float("nan"), 2**60)
        ),
        *(
            ({"counts": [5, 4, value]}, r"counts, entry 2|label counts")
            for value in ("3", True, None, [3], 2.5, -3, float("nan"), float("inf"), 1e300)
        ),
        *(({"counts": value}, "counts is") for value in (None, {}, 3, "abc")),
        ({"counts": [5, 4]}, r"shape \(2,\)"),
        ({"counts": [10, 4, 3]}, "'cat' occurs 10 times in 9 images"),
        *(
            ({"pairs": [[0, 1, 2], value]}, r"pairs?, entry 1|pair 1|pair counts")
            for value in (
                [0, "2", 1], [0, True, 1], [0, 2, None], [0, 2, 1.5], [0.5, 2, 1], [0, 2, -1],
                [0, 3, 1], [-1, 2, 1], [1, 1, 1], [0, 2], [0, 2, 1, 1], None, 3, {}, "abc",
                [0, 2, 2**32 + 1], [0, 2, 1e300], [0, 2, float("nan")],
            )
        ),
        ({"pairs": [[0, 1, 2], [1, 0, 2]]}, "'cat', 'dog' appears more than once"),
        ({"pairs": [[0, 1, 5]]}, "'cat', 'dog' occurs 5 times, more often"),
        ({"pairs": [[0, 2, 0], [1, 0, 1], [0, 1, 0]]}, "not symmetric"),
        *(({"pairs": value}, "pairs is") for value in (None, {}, 3, "abc")),
        *(({"names": value}, "names is") for value in (None, {"cat": 0}, "cat", 3)),
        ({"names": ["cat", "dog", "c\nw"]}, "label 2"),
        *(({"unknown": value}, "unknown is") for value in (None, [], 3)),
        *(
            ({"unknown": {k: v for k, v in UNKNOWN.items() if k != key}}, f"unknown lacks {key}")
            for key in UNKNOWN
        ),
        *(
            ({"unknown": UNKNOWN | change}, "unknown")
            for change in (
                {"counts": [2, 0]}, {"counts": [2, True, 3]}, {"counts": [2, -1, 3]},
                {"counts": [2, 0, "3"]}, {"pairs": [[2, 0, 1]]}, {"pairs": [[1, 1, 1]]},
                {"pairs": [[0, 2, 1], [0, 2, 1]]}, {"pairs": [[0, 2]]}, {"pairs": [[0, 2, 1, 1]] * 3},
                {"pairs": [[0, 3, 1]]}, {"pairs": [[0, 2, 3]]}, {"pairs": [[0, 2, 2**32 + 1]]},
                {"present": [[1, 0, 3]]}, {"present": [[1, 1, 1]]}, {"present": [[0, 1, 1]]},
                {"present": [[1, 0, 1.5]]}, {"present": None},
            )
        ),
        ({"unknown": UNKNOWN | {"counts": [6, 0, 3]}}, "'cat' occurs 5 times in 3 images"),
        (
            {"unknown": UNKNOWN, "counts": [5, 3, 3]},
            "'dog', 'cat' occurs 2 times, more often than the first is present where the second is known",
        ),
    ],
)  # fmt: skip
def test_counts(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        load_counts(tmp_path, changes)
    assert "counts.json" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("key", "file"), [("names", "graph.json"), ("edges", "graph.json"), ("pairs", "counts.json")]
)
def test_a_key_twice(tmp_path: Path, key: str, file: str) -> None:
    text = json.dumps(GRAPH if file == "graph.json" else COUNTS)
    (tmp_path / file).write_text(f'{text[:-1]}, "{key}": []}}')
    with pytest.raises(InputError, match=f"{file}.*'{key}'"):
        (LabelGraph if file == "graph.json" else Cooccurrence).load(tmp_path / file)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("cat,dog\ncat,do\u2028g\n", r"U\+2028"),
        ("cat,dog\ncat,do\x0cg\n", r"U\+000C"),
        ('cat,dog\n"cat,cow\n', "line 2"),
        (f"cat,{'d' * 140_000}\n", "line 1.*limit"),
        ("cat,dog,1_0\n", "line 1: the weight '1_0'"),
        ("cat,dog,1e39\n", "line 1: the weight '1e39'"),
        ("cat,dog,inf\n", "line 1: the weight 'inf'"),
        ("cat,dog,0x1\n", "line 1: the weight '0x1'"),
        (f"cat,dog,{HUGE}\n", "line 1: the weight"),
        ("cat,dog,,\n", "line 1: expected source"),
        ("", "lists no edges"),
        ("source,target,weight\n# only a comment\n", "lists no edges"),
        (b"cat,caf\xe9\n", "UTF-8"),
    ],
)
def test_edge_lists(tmp_path: Path, text: str | bytes, message: str) -> None:
    path = tmp_path / "edges.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(InputError, match=message) as caught:
        LabelGraph.from_edge_file(path)
    assert "edges.csv" in str(caught.value)


def test_comments_are_skipped_and_quoted_names_are_not_comments(tmp_path: Path) -> None:
    path = tmp_path / "edges.csv"
    path.write_text('source,target\n# so, "called\n"#cat",dog\r  # end\rdog,"c""w"\r\n')
    assert [edge[:2] for edge in read_edges(path)] == [("#cat", "dog"), ("dog", 'c"w')]


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"names": np.array("cat"), "vectors": np.ones((1, 2))}, "names are"),
        ({"names": np.array([["cat"]]), "vectors": np.ones((1, 2))}, "names are"),
        ({"names": np.array([1, 2]), "vectors": np.ones((2, 2))}, "names are int64"),
        ({"names": np.array([b"\xff"]), "vectors": np.ones((1, 2))}, "not UTF-8"),
        ({"names": np.array(["cat", "cat"]), "vectors": np.eye(2)}, "'cat' appears twice"),
        ({"names": np.array(["cat"]), "vectors": np.ones((1, 0))}, "do not match"),
        ({"names": np.array(["cat"]), "vectors": np.ones(1)}, "do not match"),
        ({"names": np.array(["cat"]), "vectors": np.ones((1, 2), bool)}, "bool do not match"),
        ({"names": np.array(["cat"]), "vectors": np.ones((1, 2), complex)}, "complex128 do not match"),
        ({"names": np.array(["cat"]), "vectors": np.full((1, 2), 1e300)}, "'cat' contains"),
        ({"names": np.array(["cat"]), "vectors": np.full((1, 2), np.nan)}, "'cat' contains"),
    ],
)  # fmt: skip
def test_vectors_in_npz(tmp_path: Path, arrays: dict[str, Any], message: str) -> None:
    np.savez(tmp_path / "v.npz", **arrays)
    with pytest.raises(InputError, match=message) as caught:
        load_vectors(tmp_path / "v.npz", NAMES)
    assert "v.npz" in str(caught.value)


def test_an_exact_name_takes_precedence_over_another_case(tmp_path: Path) -> None:
    np.savez(tmp_path / "v.npz", names=np.array([b"Cat", b"cat"]), vectors=np.eye(2))
    assert load_vectors(tmp_path / "v.npz", ["cat"])[0].tolist() == [[0, 1]]
    assert load_vectors(tmp_path / "v.npz", ["Cat"])[0].tolist() == [[1, 0]]


@pytest.mark.parametrize("damage", ["cut", "flipped", "two arrays", "no array", "huge", "text"])
def test_damaged_npz_files(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "v.npz"
    np.savez(path, names=np.array(["cat"]), vectors=np.ones((1, 2)))
    data = path.read_bytes()
    if damage == "cut":
        path.write_bytes(data[: len(data) // 2])
    elif damage == "flipped":
        path.write_bytes(data[:150] + bytes([data[150] ^ 255]) + data[151:])
    elif damage == "text":
        path.write_text("cat 1 2\n")
    else:
        with zipfile.ZipFile(path, "a") as archive:
            if damage == "two arrays":
                with pytest.warns(UserWarning, match="Duplicate"):
                    archive.writestr("vectors.npy", archive.read("vectors.npy"))
            elif damage == "no array":
                archive.writestr("note.txt", "hello")
            else:
                header = archive.read("vectors.npy").replace(b"(1, 2)", b"(10**15, 2)"[:6])
                header = header.replace(b"(10**1", b"(99999")
                archive.writestr("other.npy", header)
    with pytest.raises(InputError, match=r"v\.npz"):
        load_vectors(path, NAMES)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("cat 1 2 3\ndog 4\n", "line 2: 1 numbers for 'dog', but the first line has 3"),
        ("cat 1 2 3\ndog 4 5\n", "line 2: 2 numbers for 'dog'"),
        ("cat 1 2\ndog 1 inf\n", "line 2: the vector of 'dog' contains NaN or infinity"),
        ("cat 1 1e39\n", "the vector of 'cat' contains NaN, infinity or values beyond"),
    ],
)
def test_vectors_in_text(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "v.txt").write_text(text)
    with pytest.raises(InputError, match=message) as caught:
        load_vectors(tmp_path / "v.txt", NAMES)
    assert "v.txt" in str(caught.value)


def test_words_of_vectors_may_be_separators(tmp_path: Path) -> None:
    text = "\x85 1 2\nx\u2028y 3 4\ncat 5 6\n"
    (tmp_path / "v.txt").write_text(text, encoding="utf-8")
    assert load_vectors(tmp_path / "v.txt", ["cat"])[0].tolist() == [[5, 6]]


@pytest.mark.parametrize("name", ["folder", "pipe", "none", "a\0b", "n" * 5000])
@pytest.mark.parametrize("ending", ["", ".npz"])
def test_a_path_that_is_not_a_file_is_named(tmp_path: Path, name: str, ending: str) -> None:
    (tmp_path / f"folder{ending}").mkdir()
    os.mkfifo(tmp_path / f"pipe{ending}")
    path = tmp_path / (name + ending)
    for read in (
        lambda: load_vectors(path, NAMES),
        lambda: Cooccurrence.from_mlgcn(path, NAMES),
        lambda: Cooccurrence.load(path),
        lambda: LabelGraph.load(path),
        lambda: LabelGraph.from_edge_file(path),
    ):
        with pytest.raises(InputError, match="cannot read the"):
            read()
    with pytest.raises(InputError, match=r"cannot read the|neither svd"):
        resolve(str(path), LabelGraph.from_edges([("cat", "dog")]))


@pytest.mark.parametrize(
    ("features", "message"),
    [
        ({"cat": "x", "dog": [1.0]}, "'cat' is not an array of numbers"),
        ({"cat": [None], "dog": [1.0]}, "'cat' contains|is not an array"),
        ({"cat": [1e300], "dog": [1.0]}, "'cat' contains NaN, infinity or values beyond"),
        (np.array([["a"], ["b"]]), "expected numbers"),
        (np.array([[1], [None]], object), "expected numbers"),
        (torch.ones(2, 1, dtype=torch.complex64), "expected real numbers"),
    ],
)
def test_node_features(features: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        resolve(features, LabelGraph.from_edges([("cat", "dog")]))


def test_booleans_are_not_edges() -> None:
    with pytest.raises(InputError, match=r"torch\.bool: expected"):
        LabelGraph(["cat", "dog"], torch.tensor([[False], [True]]))


@pytest.mark.parametrize("pairs", [[[0, 1, 2**32 + 1]], np.array([[0, 2**32 + 1], [2**32 + 1, 0]])])
def test_counts_that_overflow_are_not_cut(pairs: Any) -> None:
    """As 32 bits, in which counts of so few images are kept, both are 1."""
    with pytest.raises(InputError, match="4294967297: larger than the number of images"):
        Cooccurrence.from_counts([5, 5], pairs, 9, ["cat", "dog"])
    with pytest.raises(InputError, match="larger than any set of images"):
        Cooccurrence.from_counts([5, 1e300], [], 9, ["cat", "dog"])
