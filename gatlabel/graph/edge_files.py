"""Edge lists written by users: csv and tsv files with source, target and weight."""

from __future__ import annotations

import csv
import math
import os
import re
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from gatlabel.errors import InputError
from gatlabel.files import read_text
from gatlabel.graph.edges import edges_by_name, refuse_other_nodes
from gatlabel.graph.record import GraphRecord, Relation
from gatlabel.labels import LabelSet
from gatlabel.values import shown

_LARGEST = float(np.finfo(np.float32).max)  # weights are kept in float32
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)


def read_edges(
    path: str | os.PathLike[str], header: tuple[str, str] = ("source", "target")
) -> list[tuple[str, str, float]]:
    """Reads an edge list: one edge per row, source, target and, optionally, weight.

    Columns are separated by tabs in ``.tsv`` files and in files whose first line has a tab,
    otherwise by commas. A first row ``source,target[,weight]`` is a header, and rows that start
    with ``#`` are comments.

    Args:
        path: The file.
        header: The names of the first two columns, in lower case.

    Returns:
        ``(source, target, weight)`` in file order; the weight defaults to 1.

    Raises:
        InputError: If the file cannot be read or a row is wrong; the message names the row.
    """
    text = read_text(path, "edge file")
    where = os.fspath(path)
    lines = re.split(r"\r\n|\r|\n", text)  # not splitlines(), which splits within names too
    delimiter = "\t" if Path(path).suffix.lower() == ".tsv" or "\t" in lines[0] else ","
    edges: list[tuple[str, str, float]] = []
    # comments are dropped before csv sees them: a quotation mark in one would open a quoted field
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
            if is_first and [cell.lower() for cell in row[:2]] == list(header):
                continue
            if len(row) not in (2, 3) or not row[0] or not row[1]:
                raise InputError(
                    f"{at}: expected {header[0]}, {header[1]}[, weight], found {shown(row)}"
                )
            edges.append((row[0], row[1], _number(row[2], at) if row[2:] and row[2] else 1.0))
    except csv.Error as error:
        raise InputError(f"{where}, line {start}: {error}") from error
    if not edges:
        raise InputError(f"{where} lists no edges")
    return edges


def _number(text: str, where: str) -> float:
    value = float(text) if _NUMBER.fullmatch(text) else math.nan
    if not abs(value) <= _LARGEST:
        raise InputError(f"{where}: the weight {shown(text)} is not a finite number")
    return value


def read_edge_graph(
    path: str | os.PathLike[str],
    names: Iterable[str] | None = None,
    undirected: bool = False,
    relation: Relation = "cooccurrence",
) -> GraphRecord:
    """Reads a graph from an edge list; see :meth:`LabelGraph.from_edge_file`."""
    edges = read_edges(path)
    where = os.fspath(path)
    if names is not None:
        names = LabelSet(names)
        nodes = sorted({name for edge in edges for name in edge[:2]})
        refuse_other_nodes(nodes, names, f"{where}: ")
    try:
        labels, index, weight = edges_by_name(edges, names, undirected)
    except InputError as error:
        raise InputError(f"{where}: {error}") from error
    options = {"file": Path(path).name}
    return GraphRecord(labels, index, weight, variant="edges", options=options, relation=relation)
