"""Label graphs, counts, edge lists and label vectors."""

from __future__ import annotations

import io
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np

from gatlabel.errors import InputError
from gatlabel.graph import VARIANTS, Cooccurrence, LabelGraph, load_vectors
from tests.fuzz.archives import Member, corrupt_zip, evil_pickle
from tests.fuzz.case import Case, WrongError
from tests.fuzz.parts.annotations import corrupted_json
from tests.fuzz.raw_bytes import Random, corrupt
from tests.fuzz.texts import corrupt_lines, corrupt_table
from tests.graph import test_wrong_files as seeds

NAMES = ("cat", "dog", "cow, big")
EDGES = 'source,target,weight\n# x\ncat,dog,0.5\n"cow, big",dog,1\ndog,cat,2\n'
GLOVE = "3 2\ncat 1 2\ntraffic light 3 4\ndog 1e5 -2\n"
WORDS = (
    *("names", "edges", "counts", "pairs", "present", "unknown", "images", "variant", "options"),
    *("relation", "kin", "similarity", "self_loops", "format", [0, 1, 0.5], [0, 1], 9),
)
HEADERS = (
    *((b"(2, 2)", b"(999999999, 999999999)"), (b"(2, 2)", b"(-1,)"), (b"(2, 2)", b"(2, 3)")),
    *((b"<f8", b"|O"), (b"<f8", b"<M8"), (b"False", b"True"), (b"(2,)", b"(0,)"), (b"<f8", b">f2")),
)
ARRAYS = (
    *(np.ones((2, 3), complex), np.full((2, 2), np.nan), np.ones(0), np.array(["a", "a"])),
    *(np.array([b"cat", b"\xff"]), np.ones((2, 2, 2)), np.array("x"), np.ones((2, 2), bool)),
)


def graphs(case: Case) -> None:
    """Corrupts one of these files and reads it."""
    kinds: tuple[Callable[[Case], None], ...] = (
        _graph,
        _graph,
        _counts,
        _counts,
        _edges,
        _npz,
        _glove,
    )
    case.rng.choice(kinds)(case)


def _graph(case: Case) -> None:
    path = case.put("graph.json", corrupted_json(case.rng, seeds.GRAPH, WORDS))
    if case.rng.random() < 0.15:
        draw = case.rng.choice(((), ("--draw", "graph.svg")))
        case.command("graph", "show", path, *draw)
        return
    graph = case.call(LabelGraph.load, path)
    if graph is not None:
        _require_same_again(case, graph, LabelGraph)


def _counts(case: Case) -> None:
    tree = seeds.COUNTS | case.rng.choice(({}, {"unknown": seeds.UNKNOWN}))
    path = case.put("counts.json", corrupted_json(case.rng, tree, WORDS))
    if case.rng.random() < 0.15:
        case.command("graph", "compare", path)
        return
    counts = case.call(Cooccurrence.load, path)
    if counts is not None:
        _require_same_again(case, counts, Cooccurrence)
        variant = case.rng.choice(sorted(set(VARIANTS) - {"knn"}))
        case.call(counts.graph, variant)


def _require_same_again(case: Case, found: Any, kind: Any) -> None:
    """What could be read can be written, and is then read as the same."""
    again = case.folder / "again.json"
    found.save(again)
    try:
        same = kind.load(again) == found
    except InputError as error:
        raise WrongError(f"what was saved cannot be read: {error}") from error
    if not same:
        raise WrongError(f"{found!r} is another thing when it was saved and loaded")


def _edges(case: Case) -> None:
    rng = case.rng
    corrupted = rng.choice((
        lambda: corrupt_table(rng, EDGES, NAMES).encode("utf-8", "surrogatepass"),
        lambda: corrupt_lines(rng, EDGES, NAMES).encode("utf-8", "surrogatepass"),
        lambda: corrupt(rng, EDGES.encode()),
    ))()  # fmt: skip
    path = case.put(rng.choice(("edges.csv", "edges.tsv", "edges.txt")), corrupted)
    graph = case.call(LabelGraph.from_edge_file, path, rng.choice((None, NAMES)))
    if graph is not None:
        _require_same_again(case, graph, LabelGraph)


def _npz(case: Case) -> None:
    stream = io.BytesIO()
    np.savez(stream, names=np.array(["cat", "dog"]), vectors=np.eye(2), nums=np.array([1, 2]),
             adj=np.zeros((2, 2)))  # fmt: skip
    rng = case.rng
    data = corrupt_zip(rng, stream.getvalue(), corrupted_array)
    path = case.put("v.npz", data if rng.random() < 0.7 else corrupt(rng, data))
    if rng.random() < 0.7:
        case.call(load_vectors, path, ["cat", "dog"])
    else:
        if rng.random() < 0.3:
            path = case.put("adj.pkl", pickle.dumps({"nums": [1, 2], "adj": [[0, 1], [1, 0]]}))
            path = case.put("adj.pkl", evil_pickle(rng)) if rng.random() < 0.5 else path
        case.call(Cooccurrence.from_mlgcn, path, ["cat", "dog"])


def corrupted_array(rng: Random, member: Member) -> bytes:
    """Another array, one whose header was changed, or a pickle."""
    kind = rng.choice(("bytes", "header", "other", "pickle"))
    if kind == "bytes":
        return corrupt(rng, member[1])
    if kind == "header":
        old, new = rng.choice(HEADERS)
        changed = member[1].replace(old, new, 1)
        more = len(changed) - len(member[1])  # the header says how long it is, and ends in blanks
        end = changed.find(b" \n")
        return changed[: end - more] + changed[end:] if more > 0 else changed
    if kind == "pickle":
        header = member[1][:128].replace(b"<f8", b"|O ").replace(b"<U3", b"|O ")
        return header + evil_pickle(rng)
    stream = io.BytesIO()
    np.save(stream, rng.choice(ARRAYS))
    return stream.getvalue()


def _glove(case: Case) -> None:
    rng = case.rng
    data = corrupt_lines(rng, GLOVE, ("cat 1", "cat 1 2 3", "cat nan 1", "dog 1e39 1")).encode(
        "utf-8", "surrogatepass"
    )
    path = case.put("v.txt", data if rng.random() < 0.5 else corrupt(rng, GLOVE.encode()))
    case.call(load_vectors, path, ["cat", "dog"])
