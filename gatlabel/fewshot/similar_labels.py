"""Labels similar to a new label of a run, from names, files or what the run has chosen."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from gatlabel.baselines.similarity import candidate_sources
from gatlabel.errors import InputError
from gatlabel.graph import LabelGraph
from gatlabel.graph.spec import GRAPH_FILES
from gatlabel.graph.vectors import load_vectors
from gatlabel.labels import LabelSet
from gatlabel.logs import Log
from gatlabel.nn.options import unseen_source
from gatlabel.training.config import TrainConfig
from gatlabel.training.label_vectors import kept_name_vectors
from gatlabel.training.similarity import given_hierarchy

NAMES = "names"
#: Suffixes of graph files; ``.txt`` is read as vectors.
GRAPHS = tuple(end for end in GRAPH_FILES if end != ".txt")


def source_of_run(
    config: TrainConfig, labels: LabelSet, similarity: str | None, log: Log
) -> str | LabelGraph:
    """Returns the source of labels similar to a new one without images.

    Args:
        config: The options of the run, with the similarity that it has chosen.
        labels: All labels, the new one last.
        similarity: The given source, or ``None`` for that of the run; names if it has none.
        log: Called with a line if names are used although the run does not support them.

    Raises:
        InputError: If the run has chosen a hierarchy that lacks a label.
    """
    text = getattr(config.head, "similarity", None)
    chosen = unseen_source(text)
    if similarity is None and chosen == "vectors":
        return str(getattr(config.head, "node_features", NAMES))
    if similarity is None and chosen == "hierarchy":
        hierarchy = given_hierarchy(config, labels)
        if hierarchy is not None:
            return hierarchy
    if similarity in (None, NAMES) and chosen != NAMES:
        log(
            f"note: the run has not found that names predict classifiers (head.similarity={text}), "
            f"so the classifier of {labels[len(labels) - 1]!r} is a guess: check it, or give images"
        )
    return similarity or NAMES


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
        if isinstance(similarity, LabelGraph):
            graph = similarity
        elif similarity.endswith(".json"):
            graph = LabelGraph.load(similarity)
        else:
            graph = LabelGraph.from_edge_file(similarity, relation="similarity")
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
