"""Label graphs in files: the package's own JSON, and edge lists that people write."""

from __future__ import annotations

import csv
import json
import math
import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from gatlabel.errors import InputError
from gatlabel.files import read_json, read_text, write_json
from gatlabel.graph.label_graph import LabelGraph, Relation
from gatlabel.labels import LabelSet
from gatlabel.values import finite_number, shown, truth_value, whole_number

FORMAT = "gatlabel.label-graph/1"

_ENDS = ("source", "target")
_LARGEST = float(np.finfo(np.float32).max)  # weights are kept in float32
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)


def save_graph(graph: LabelGraph, path: str | os.PathLike[str]) -> None:
    """Writes a graph as JSON: names, relation, edges ``[source, target, weight]`` by position."""
    sources, targets = graph.edge_index.tolist()
    weights = graph.edge_weight.tolist()
    content = {
        "format": FORMAT,
        "variant": graph.variant,
        "options": graph.options,
        "relation": graph.relation,
        "self_loops": graph.has_self_loops,
        "names": list(graph.names),
        "edges": [list(edge) for edge in zip(sources, targets, weights, strict=True)],
    }
    write_json(path, content, indent=None)


def load_graph(path: str | os.PathLike[str]) -> LabelGraph:
    """Reads a graph that :func:`save_graph` wrote.

    Raises:
        InputError: If the file cannot be read, or is no label graph.
    """
    content = read_json(path, "label graph")
    where = os.fspath(path)
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise InputError(f"{where} is no label graph of the format {FORMAT}")
    keys = ("names", "edges", "self_loops", "variant", "options")
    if missing := [key for key in keys if key not in content]:
        raise InputError(f"the label graph {where} lacks {missing[0]!r}")
    try:
        labels = LabelSet(_typed(content["names"], list, "names", "a list of names"))
        sources, targets, weights = _edges(content["edges"])
        variant, options = content["variant"], content["options"]
        _require_writable(variant, options)
        return LabelGraph(
            labels,
            [sources, targets],
            weights,
            self_loops=truth_value(content["self_loops"], "self_loops"),
            variant=None if variant is None else _typed(variant, str, "variant", "a name or null"),
            options=_typed({} if options is None else options, dict, "options", "an object"),
            relation=content.get("relation", "company"),  # files of before there were kin
        )
    except InputError as error:
        raise InputError(f"{where}: {error}") from error


def _require_writable(*values: Any) -> None:
    """Checks that what was read can be written again: no NaN, no half of a surrogate pair."""
    try:
        json.dumps(values, ensure_ascii=False, allow_nan=False).encode()
    except ValueError as error:
        raise InputError("variant or options hold NaN, infinity or half of a character") from error


def _typed(value: Any, kind: type, what: str, expected: str) -> Any:
    if not isinstance(value, kind):
        raise InputError(f"{what} is {shown(value)}, expected {expected}")
    return value


def _edges(content: Any) -> tuple[list[int], list[int], list[float]]:
    """Checks ``[source, target, weight]`` of every edge, and returns these three as columns."""
    sources: list[int] = []
    targets: list[int] = []
    weights: list[float] = []
    for position, edge in enumerate(_typed(content, list, "edges", "a list of edges")):
        what = f"edge {position}"
        if not isinstance(edge, list) or len(edge) != 3:
            raise InputError(f"{what} is {shown(edge)}, expected [source, target, weight]")
        for place, ends in ((0, sources), (1, targets)):
            # what is out of range is said by the graph, with the range
            ends.append(whole_number(edge[place], f"{what}: {_ENDS[place]}", -(2**31), 2**31))
        weights.append(finite_number(edge[2], f"{what}: weight", -_LARGEST, _LARGEST))
    return sources, targets, weights


def read_edges(path: str | os.PathLike[str]) -> list[tuple[str, str, float]]:
    """Reads an edge list: one edge a row, source, target and, optionally, weight.

    Columns are separated by tabs in ``.tsv`` files and where the first line has a tab, else by
    commas. A first row ``source,target[,weight]`` is a heading, and rows that start with ``#``
    are comments.

    Returns:
        ``(source, target, weight)`` in the order of the file, weight 1 where none is given.

    Raises:
        InputError: If the file cannot be read or a row is wrong; the message names the row.
    """
    text = read_text(path, "edge file")
    where = os.fspath(path)
    lines = re.split(r"\r\n|\r|\n", text)  # not splitlines(), which splits within names too
    delimiter = "\t" if Path(path).suffix.lower() == ".tsv" or "\t" in lines[0] else ","
    edges: list[tuple[str, str, float]] = []
    # a comment is none of csv's business: a quotation mark in it would swallow what follows
    plain = ("" if line.lstrip().startswith("#") else f"{line}\n" for line in lines)
    reader = csv.reader(plain, delimiter=delimiter, skipinitialspace=True, strict=True)
    heading, start = True, 1
    try:
        for cells in reader:
            at, start = f"{where}, line {start}", reader.line_num + 1
            row = [cell.strip() for cell in cells]
            if not any(row):
                continue
            is_first, heading = heading, False
            if is_first and [cell.lower() for cell in row[:2]] == ["source", "target"]:
                continue
            if len(row) not in (2, 3) or not row[0] or not row[1]:
                raise InputError(f"{at}: expected source, target[, weight], found {shown(row)}")
            edges.append((row[0], row[1], _number(row[2], at) if row[2:] and row[2] else 1.0))
    except csv.Error as error:
        raise InputError(f"{where}, line {start}: {error}") from error
    if not edges:
        raise InputError(f"{where} lists no edges")
    return edges


def _number(text: str, where: str) -> float:
    value = float(text) if _NUMBER.fullmatch(text) else math.nan
    if not abs(value) <= _LARGEST:
        raise InputError(f"{where}: the weight {shown(text)} is no finite number")
    return value


def graph_from_edge_file(
    path: str | os.PathLike[str],
    names: Iterable[str] | None,
    undirected: bool,
    relation: Relation = "company",
) -> LabelGraph:
    """Reads a graph of one's own; see :meth:`LabelGraph.from_edge_file`."""
    edges = read_edges(path)
    if names is not None:
        names = LabelSet(names)
        extra = sorted({name for edge in edges for name in edge[:2] if name not in names})
        if extra:
            shown = ", ".join(map(repr, extra[:5]))
            raise InputError(
                f"{os.fspath(path)}: {len(extra)} nodes are no labels ({shown}"
                f"{' …' if extra[5:] else ''}): remove their edges, or use "
                "gatlabel.graph.hierarchy_graph, which passes through them"
            )
    try:
        return LabelGraph.from_edges(
            edges,
            names,
            undirected=undirected,
            variant="edges",
            options={"file": Path(path).name},
            relation=relation,
        )
    except InputError as error:
        raise InputError(f"{os.fspath(path)}: {error}") from error
