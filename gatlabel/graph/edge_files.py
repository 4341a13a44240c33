"""Label graphs in files: the package's own JSON, and edge lists that people write."""

from __future__ import annotations

import csv
import math
import os
from collections.abc import Iterable
from pathlib import Path

from gatlabel.errors import InputError
from gatlabel.files import read_json, read_text, write_json
from gatlabel.graph.label_graph import LabelGraph, Relation
from gatlabel.labels import LabelSet

FORMAT = "gatlabel.label-graph/1"


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
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise InputError(f"{os.fspath(path)} is no label graph of the format {FORMAT}")
    try:
        edges = content["edges"]
        return LabelGraph(
            content["names"],
            [[int(edge[0]) for edge in edges], [int(edge[1]) for edge in edges]],
            [float(edge[2]) for edge in edges],
            self_loops=bool(content["self_loops"]),
            variant=content["variant"],
            options=content["options"],
            relation=content.get("relation", "company"),  # files of before there were kin
        )
    except KeyError as error:
        raise InputError(f"the label graph {os.fspath(path)} lacks {error}") from error
    except (TypeError, ValueError, IndexError) as error:
        raise InputError(f"{os.fspath(path)}: {error}") from error


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
    first = text.split("\n", 1)[0]
    delimiter = "\t" if Path(path).suffix.lower() == ".tsv" or "\t" in first else ","
    edges: list[tuple[str, str, float]] = []
    reader = csv.reader(text.splitlines(), delimiter=delimiter, skipinitialspace=True)
    for cells in reader:
        row = [cell.strip() for cell in cells]
        if not any(row) or row[0].startswith("#"):
            continue
        if not edges and [cell.lower() for cell in row[:2]] == ["source", "target"]:
            continue
        where = f"{os.fspath(path)}, line {reader.line_num}"
        if len(row) not in (2, 3) or not row[0] or not row[1]:
            raise InputError(f"{where}: expected source, target[, weight], found {row}")
        edges.append((row[0], row[1], _number(row[2], where) if row[2:] and row[2] else 1.0))
    return edges


def _number(text: str, where: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise InputError(f"{where}: the weight {text!r} is no finite number")
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
