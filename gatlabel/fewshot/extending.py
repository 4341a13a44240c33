"""A new run folder with an additional label, made from an existing run without training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy import sparse
from torch import Tensor

from gatlabel import logs
from gatlabel.baselines.moments import Moments
from gatlabel.baselines.similarity import candidate_sources
from gatlabel.data.file_images import FileImages
from gatlabel.errors import InputError
from gatlabel.fewshot.new_labels import NewLabel, learn_label
from gatlabel.files import atomic_folder, write_json
from gatlabel.graph import Cooccurrence, LabelGraph
from gatlabel.graph.counts import Counts, UnknownCounts
from gatlabel.graph.spec import GRAPH_FILES
from gatlabel.graph.vectors import load_vectors
from gatlabel.inference import predict_features
from gatlabel.labels import LabelSet
from gatlabel.logs import Log
from gatlabel.model import MultiLabelClassifier
from gatlabel.training.config import TrainConfig
from gatlabel.training.data import read_data
from gatlabel.training.feature_moments import measured_moments, pooled_model
from gatlabel.training.finished_runs import open_run
from gatlabel.training.label_vectors import kept_name_vectors
from gatlabel.training.run_folder import RunFolder

FILE = "extension.json"


@dataclass(frozen=True, eq=False)
class Extension:
    """The result of extending a run.

    Attributes:
        folder: The new run folder.
        model: The new model.
        label: The new label.
    """

    folder: Path
    model: MultiLabelClassifier
    label: NewLabel


def extend_run(
    folder: Path,
    label: str,
    output: Path,
    *,
    like: Mapping[str, float] | None = None,
    similarity: str | None = None,
    images: Sequence[Path] = (),
    log: Log = logs.log,
) -> Extension:
    """Writes a new run with one more label.

    The rows of the old labels are bit-identical to the folded classifier of the old run. New edges
    of the label graph point to the new label only. In the label counts, the new label is unknown
    in all training images.

    Args:
        folder: The run folder.
        label: The new label.
        output: The new run folder; it must be new or empty.
        like: Shares of similar labels.
        similarity: The source of ``like`` if it is not given: ``names``, or a file of label vectors
            or of edges that includes the new label.
        images: Image files that show the new label.
        log: Called with progress messages.

    Raises:
        InputError: If the run has the label already, the head does not fold, neither images nor
            similar labels are given, or a file cannot be read or written.
    """
    model, config = open_run(folder)
    if label in model.labels:
        raise InputError(f"{folder} has the label {label!r} already: give another --label")
    labels = LabelSet([*model.labels, label])
    run = RunFolder(folder)
    if similarity is not None and not like:
        like = similar_labels(similarity, labels, config.images.cache_folder)
        if not like and not images:
            raise InputError(f"{similarity} finds no label similar to {label!r}: give --like")
    moments = None
    if run.moments.is_file():
        moments = Moments.load(run.moments)
    elif images:
        log("the run has no moments of features: they are measured on 512 training images")
        moments = measured_moments(model, read_data(config).train)
    shown = None if not images else image_features(model, images)
    found = learn_label(model, label, like=like, shown=shown, moments=moments)
    extended = model.add_labels([label], weight=found.weight[None], bias=found.bias[None])
    graph = with_label(LabelGraph.load(run.graph), label, found.like)
    counts = with_unknown_label(Cooccurrence.load(run.counts), label)
    order = list(labels)
    record = {
        "extends": str(folder),
        "label": label,
        "like": found.like,
        "images": [str(path) for path in images],
    }
    graph, counts = graph.reorder(order), counts.reorder(order)
    write_run(output, config, extended, graph, counts, moments, {FILE: record})
    return Extension(output, extended, found)


def image_features(model: MultiLabelClassifier, images: Sequence[Path]) -> Tensor:
    """Pooled features ``(n, D)`` of image files.

    Raises:
        InputError: If an image cannot be decoded; the message names the file.
    """
    unknown = np.full((len(images), len(model.labels)), -1, np.float32)
    ids = [str(path.absolute()) for path in images]
    return predict_features(pooled_model(model), FileImages("/", model.labels, ids, unknown))


def similar_labels(similarity: str, labels: LabelSet, cache: Path) -> dict[str, float]:
    """Returns shares of the labels that are similar to the last one.

    Args:
        similarity: ``names``, a file of edges (csv, tsv, json), or else of label vectors.
        labels: All labels, the new one last.
        cache: Cache folder for vectors of names.

    Raises:
        InputError: If the file cannot be read or does not include the new label.
        MissingExtraError: If ``names`` is given and the extra is not installed.
    """
    new = len(labels) - 1
    if similarity.endswith(tuple(end for end in GRAPH_FILES if end != ".txt")):
        if similarity.endswith(".json"):
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
    if similarity == "names":
        given["name_vectors"] = kept_name_vectors(labels, cache)
    else:
        given["given_vectors"] = torch.from_numpy(load_vectors(similarity, labels)[0])
    matrix = candidate_sources(labels, **given)[0].matrix
    assert matrix is not None
    return {labels[k]: float(s) for k, s in enumerate(matrix[new]) if s > 0.01}


def with_label(graph: LabelGraph, label: str, like: Mapping[str, float]) -> LabelGraph:
    """Returns a graph with one more label and edges to it from similar labels.

    The old edges and their weights do not change. No edge starts at the new label.
    """
    names = [*graph.names, label]
    sources = torch.tensor([graph.labels.index(name) for name in like], dtype=torch.int64)
    new = torch.stack([sources, torch.full_like(sources, len(names) - 1)])
    weights = torch.tensor(list(like.values()), dtype=graph.edge_weight.dtype)
    counts = graph.label_counts
    if counts is not None:
        images = counts.images or 0
        gaps = np.zeros_like(counts.present) if counts.unknown is None else counts.unknown
        counts = type(counts)(counts.images, np.append(counts.present, 0), np.append(gaps, images))
    return LabelGraph(
        **vars(graph.record())
        | {
            "names": names,
            "edge_index": torch.cat([graph.edge_index, new], 1),
            "edge_weight": torch.cat([graph.edge_weight, weights]),
            "label_counts": counts,
            "node_features": None,
        }
    )


def with_unknown_label(counts: Counts, label: str) -> Cooccurrence:
    """Returns counts with one more label, which is unknown in all images."""
    L = len(counts.labels)
    labels = LabelSet([*counts.labels, label])
    present = np.append(counts.label_counts, 0)
    pairs = _grown(counts.pairs)
    if counts.images is None:
        return Cooccurrence(labels, None, present, pairs, None)
    empty = sparse.csr_array((L, L), dtype=np.int64)
    old = counts.unknown or UnknownCounts(np.zeros(L, np.int64), empty, empty)
    unknown = UnknownCounts(
        np.append(old.labels, counts.images),
        _grown(old.pairs, old.labels),
        _grown(old.present, counts.label_counts),
    )
    return Cooccurrence(labels, counts.images, present, pairs, unknown)


def _grown(matrix: sparse.csr_array, column: Any = None) -> sparse.csr_array:
    """Returns the matrix with an additional empty row and an additional column."""
    L = matrix.shape[0]
    last = np.zeros(L, np.int64) if column is None else np.asarray(column)
    wide = sparse.hstack([matrix, sparse.csr_array(last[:, None])])
    empty = sparse.csr_array((1, L + 1), dtype=matrix.dtype)
    return sparse.csr_array(sparse.vstack([wide, empty]))


def write_run(
    output: Path,
    config: TrainConfig,
    model: MultiLabelClassifier,
    graph: LabelGraph,
    counts: Cooccurrence,
    moments: Moments | None,
    records: Mapping[str, Any],
) -> None:
    """Writes a run folder whose model was made without training; ``model.json`` comes last.

    Args:
        output: The folder; it must be new or empty.
        config: The options of the original run.
        model: The new model, with a linear head.
        graph: The label graph.
        counts: The label counts.
        moments: Mean and covariance of the features, if known.
        records: Additional JSON files by name.

    Raises:
        InputError: If the folder is not empty or cannot be written.
    """
    options = config.with_options({"head": "linear", "run.output": output})
    with atomic_folder(output, last="model.json") as place:
        run = RunFolder(place)
        options.save(run.config)
        write_json(run.labels, list(model.labels))
        counts.save(run.counts)
        graph.save(run.graph)
        if moments is not None:
            moments.save(run.moments)
        for name, record in records.items():
            write_json(place / name, record)
        model.save_pretrained(place)
