"""Label graphs in the package's own JSON files."""

from __future__ import annotations

import json
import os
from typing import Any, cast, get_args

import numpy as np
from numpy.typing import NDArray

from gatlabel.errors import InputError, unknown_choice
from gatlabel.files import read_json, write_json
from gatlabel.graph.label_counts import LabelCounts
from gatlabel.graph.record import GraphRecord, Relation
from gatlabel.labels import LabelSet
from gatlabel.values import finite_number, shown, truth_value, whole_number

FORMAT = "gatlabel.label-graph/2"
#: Files of format 1 have no label counts and use other names for the relation.
READABLE = ("gatlabel.label-graph/1", FORMAT)
FORMER_RELATIONS = {"company": "cooccurrence", "kin": "similarity"}

_ENDS = ("source", "target")
_LARGEST = float(np.finfo(np.float32).max)  # weights are kept in float32


def save_graph(graph: GraphRecord, path: str | os.PathLike[str]) -> None:
    """Writes a graph as JSON: names, relation, edges ``[source, target, weight]`` by position.

    Args:
        graph: The record of a label graph; its edges and weights are tensors.
        path: The file to write.
    """
    sources, targets = graph.edge_index.tolist()
    weights = graph.edge_weight.tolist()
    content = {
        "format": FORMAT,
        "variant": graph.variant,
        "options": graph.options,
        "relation": graph.relation,
        "self_loops": graph.self_loops,
        "names": list(graph.names),
        "counts": _plain(graph.label_counts),
        "edges": [list(edge) for edge in zip(sources, targets, weights, strict=True)],
    }
    write_json(path, content, indent=None)


def _plain(counts: LabelCounts | None) -> dict[str, Any] | None:
    if counts is None:
        return None
    unknown = None if counts.unknown is None else counts.unknown.tolist()
    return {"images": counts.images, "present": counts.present.tolist(), "unknown": unknown}


def load_graph(path: str | os.PathLike[str]) -> GraphRecord:
    """Reads a graph written by :func:`save_graph` or by an earlier version.

    Raises:
        InputError: If the file cannot be read, or is not a label graph.
    """
    content = read_json(path, "label graph")
    where = os.fspath(path)
    if not isinstance(content, dict) or content.get("format") not in READABLE:
        raise InputError(f"{where} is not a label graph of format {FORMAT}")
    keys = ("names", "edges", "self_loops", "variant", "options")
    if missing := [key for key in keys if key not in content]:
        raise InputError(f"the label graph {where} lacks {missing[0]!r}")
    try:
        labels = LabelSet(_typed(content["names"], list, "names", "a list of names"))
        sources, targets, weights = _edges(content["edges"])
        variant, options = content["variant"], content["options"]
        _require_writable(variant, options)
        return GraphRecord(
            labels,
            [sources, targets],
            weights,
            self_loops=truth_value(content["self_loops"], "self_loops"),
            variant=None if variant is None else _typed(variant, str, "variant", "a name or null"),
            options=_typed({} if options is None else options, dict, "options", "an object"),
            relation=_relation(content),
            label_counts=_counts(content.get("counts"), labels),
        )
    except InputError as error:
        raise InputError(f"{where}: {error}") from error


def _relation(content: dict[str, Any]) -> Relation:
    word = content.get("relation", "cooccurrence")  # the oldest files lack the key
    former = FORMER_RELATIONS.get(word, word) if isinstance(word, str) else word
    if former not in get_args(Relation):
        raise unknown_choice("relation of a label graph", str(word), get_args(Relation))
    return cast(Relation, former)


def _counts(content: Any, labels: LabelSet) -> LabelCounts | None:
    """Checks how often labels occurred; ``None`` if the file lacks these counts."""
    if content is None:
        return None
    _typed(content, dict, "counts", "an object")
    images = content.get("images")
    if images is not None:
        whole_number(images, "counts: images", 0, 2**53)
    present = _count_of_labels(content.get("present"), "counts: present", labels)
    unknown = None
    if content.get("unknown") is not None:
        unknown = _count_of_labels(content["unknown"], "counts: unknown", labels)
    counts = LabelCounts(images, present, unknown)
    if images is not None and (bad := present > counts.known).any():
        k = int(bad.argmax())
        raise InputError(
            f"counts: {labels[k]!r} occurs {present[k]} times in {counts.known[k]} images"
        )
    return counts


def _count_of_labels(content: Any, what: str, labels: LabelSet) -> NDArray[np.int64]:
    counts = [whole_number(n, what, 0) for n in _typed(content, list, what, "a list of counts")]
    if len(counts) != len(labels):
        raise InputError(f"{what} has {len(counts)} values for {len(labels)} labels")
    return np.array(counts, np.int64)


def _require_writable(*values: Any) -> None:
    """Checks that values can be written as JSON again: no NaN, no unpaired surrogate."""
    try:
        json.dumps(values, ensure_ascii=False, allow_nan=False).encode()
    except ValueError as error:
        raise InputError(
            "variant or options contain NaN, infinity or an unpaired surrogate"
        ) from error


def _typed(value: Any, kind: type, what: str, expected: str) -> Any:
    if not isinstance(value, kind):
        raise InputError(f"{what} is {shown(value)}, expected {expected}")
    return value


def _edges(content: Any) -> tuple[list[int], list[int], list[float]]:
    """Checks ``[source, target, weight]`` of every edge and returns them as three columns."""
    sources: list[int] = []
    targets: list[int] = []
    weights: list[float] = []
    for position, edge in enumerate(_typed(content, list, "edges", "a list of edges")):
        what = f"edge {position}"
        if not isinstance(edge, list) or len(edge) != 3:
            raise InputError(f"{what} is {shown(edge)}, expected [source, target, weight]")
        for place, ends in ((0, sources), (1, targets)):
            # the graph reports values out of range, with the range
            ends.append(whole_number(edge[place], f"{what}: {_ENDS[place]}", -(2**31), 2**31))
        weights.append(finite_number(edge[2], f"{what}: weight", -_LARGEST, _LARGEST))
    return sources, targets, weights
