"""Labels similar to a new label of a run, from names, files or what the run has chosen."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from gatlabel.baselines.similarity import candidate_sources
from gatlabel.errors import InputError
from gatlabel.files import read_json
from gatlabel.graph import LabelGraph
from gatlabel.graph.hierarchy import read_hierarchy
from gatlabel.graph.spec import GRAPH_FILES
from gatlabel.graph.vectors import load_vectors
from gatlabel.labels import LabelSet
from gatlabel.logs import Log
from gatlabel.nn.options import unseen_source
from gatlabel.training.config import TrainConfig
from gatlabel.training.label_vectors import kept_name_vectors
from gatlabel.training.run_folder import EXTENSION, RunFolder

NAMES = "names"
#: Suffixes of graph files; ``.txt`` is read as vectors.
GRAPHS = tuple(end for end in GRAPH_FILES if end != ".txt")
#: Options of a head that record the choice of similarity and its files.
CHOICE = ("similarity", "node_features", "hierarchy")


def choice_of_run(config: TrainConfig, run: RunFolder) -> dict[str, str | None]:
    """Returns the options of a run that record its choice of similarity.

    An extended run has a linear head, so its ``extension.json`` keeps those of the first run.

    Args:
        config: The options of the run.
        run: Its folder.

    Raises:
        InputError: If a file cannot be read.
    """
    found: Any = {name: getattr(config.head, name, None) for name in CHOICE}
    extension = run.path / EXTENSION
    if extension.is_file():
        record = read_json(extension, "record of a new label")
        kept = record.get("choice") if isinstance(record, dict) else None
        found = kept if isinstance(kept, dict) else found
    return {name: str(found[name]) if found.get(name) is not None else None for name in CHOICE}


def source_of_run(
    choice: Mapping[str, str | None], labels: LabelSet, similarity: str | None, log: Log
) -> str | LabelGraph:
    """Returns the source of labels similar to a new one without images.

    Args:
        choice: The choice of the run, from :func:`choice_of_run`.
        labels: All labels, the new one last.
        similarity: The given source, or ``None`` for that of the run; names if it has none.
        log: Called with a line if names are used although the run does not support them.

    Raises:
        InputError: If the run has chosen a hierarchy that lacks a label.
    """
    text, vectors, hierarchy = (choice[name] for name in CHOICE)
    chosen = unseen_source(text)
    if similarity is None and chosen == "vectors" and vectors is not None:
        return vectors
    if similarity is None and chosen == "hierarchy" and hierarchy is not None:
        return read_hierarchy(hierarchy, labels)
    if similarity in (None, NAMES) and chosen != NAMES:
        log(
            "note: the run has no evidence that names predict classifiers "
            f"(head.similarity={text}), so the classifier of {labels[len(labels) - 1]!r} is a "
            "guess: check it, or give images"
        )
    return similarity or NAMES


def read_graph(path: str, labels: LabelSet | None = None) -> LabelGraph:
    """Reads a graph of similarity from a file with a suffix of :data:`GRAPHS`.

    Args:
        path: A graph as JSON, or a list of edges.
        labels: The labels of a list of edges; by default those that are in it.

    Raises:
        InputError: If the file cannot be read or does not fit the labels.
    """
    if path.endswith(".json"):
        return LabelGraph.load(path)
    return LabelGraph.from_edge_file(path, labels, relation="similarity")


def similar_labels(similarity: str | LabelGraph, labels: LabelSet, cache: Path) -> dict[str, float]:
    """Returns shares of the labels that are similar to the last one.

    Args:
        similarity: ``names``, a graph, a file of edges (csv, tsv, json), or else of label vectors.
        labels: All labels, the new one last.
        cache: Cache folder for vectors of names.

    Raises:
        InputError: If the file cannot be read or does not include the new label.
        MissingExtraError: If ``names`` is given and the extra is not installed.
    """
    new = len(labels) - 1
    if isinstance(similarity, LabelGraph) or similarity.endswith(GRAPHS):
        graph = similarity if isinstance(similarity, LabelGraph) else read_graph(similarity)
        if labels[new] not in graph.labels:
            raise InputError(f"{similarity} has no edge to the new label {labels[new]!r}")
        target = graph.labels.index(labels[new])
        chosen = graph.edge_index[1] == target
        sources = [graph.labels[int(k)] for k in graph.edge_index[0][chosen]]
        weights = graph.edge_weight[chosen].tolist()
        return {n: w for n, w in zip(sources, weights, strict=True) if n in labels and w > 0}
    given: dict[str, Any] = {"cooccurrence": False, "learned": False}
    if similarity == NAMES:
        given["name_vectors"] = kept_name_vectors(labels, cache)
    else:
        given["given_vectors"] = torch.from_numpy(load_vectors(similarity, labels)[0])
    matrix = candidate_sources(labels, **given)[0].matrix
    assert matrix is not None
    return {labels[k]: float(s) for k, s in enumerate(matrix[new]) if s > 0.01}
