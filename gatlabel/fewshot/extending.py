"""A new run folder with an additional label, made from an existing run without training."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy import sparse
from scipy.special import expit, logit
from torch import Tensor

from gatlabel import logs
from gatlabel.baselines.moments import Moments
from gatlabel.data.file_images import FileImages
from gatlabel.decisions.decision import Decision
from gatlabel.errors import InputError
from gatlabel.fewshot.derived_runs import EXTENSION, DerivedRun, carried_metrics, write_run
from gatlabel.fewshot.new_labels import NewLabel, learn_label
from gatlabel.fewshot.similar_labels import choice_of_run, similar_labels, source_of_run
from gatlabel.graph import Cooccurrence, LabelGraph
from gatlabel.graph.counts import Counts, UnknownCounts
from gatlabel.inference import predict_features
from gatlabel.labels import LabelSet
from gatlabel.logs import Log
from gatlabel.model import MultiLabelClassifier
from gatlabel.training.data import read_data
from gatlabel.training.feature_moments import measured_moments, pooled_model
from gatlabel.training.finished_runs import open_run
from gatlabel.training.run_folder import RunFolder


@dataclass(frozen=True, eq=False)
class Extension:
    """The result of extending a run.

    Attributes:
        folder: The new run folder.
        model: The new model.
        label: The new label.
        notes: What became of decision, metrics and report, in sentences.
    """

    folder: Path
    model: MultiLabelClassifier
    label: NewLabel
    notes: tuple[str, ...] = ()


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
            or of edges that includes the new label. Without images, the default is the source that
            the run has chosen for labels without images, or else names.
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
    choice = choice_of_run(config, run)
    source: str | LabelGraph | None = similarity
    if not like and not images:
        source = source_of_run(choice, labels, similarity, log)
    if source is not None and not like:
        like = similar_labels(source, labels, config.images.cache_folder)
        if not like and not images:
            found_by = source if isinstance(source, str) else "the hierarchy of the run"
            raise InputError(f"{found_by} finds no label similar to {label!r}: give --like")
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
        "choice": choice,
    }
    graph, counts = graph.reorder(order), counts.reorder(order)
    decision, notes = None, [f"no image has judged {label!r} yet: see gatlabel evaluate"]
    if run.decisions.is_file():
        old = Decision.load(run.decisions, model.labels)
        decision = decision_with(old, label, found.like)
        notes.append(decision.notes[-1])
    else:
        notes.append("thresholds are 0.5, as the run has no decisions.json")
    metrics = carried_metrics(
        run, f"the label {label!r} was added later, without images to judge it: figures are of "
        "the others",
    )  # fmt: skip
    if metrics is not None and decision is not None:
        metrics["decision"] = decision.to_dict()
    kept = (
        "metrics.json has the figures of the other labels, which are the same; " if metrics else ""
    )
    notes.append(f"{kept}gatlabel decide chooses thresholds again and writes metrics and report")
    derived = DerivedRun(config, extended, graph, counts, moments, decision, metrics)
    write_run(output, derived, {EXTENSION: record})
    return Extension(output, extended, found, tuple(notes))


def decision_with(decision: Decision, label: str, like: Mapping[str, float]) -> Decision:
    """Returns a decision with one more label; those of the others stay as they are.

    One threshold for all is that of the new label too. Where labels have their own, and in a
    calibration with weight and bias of each, the new label has the mean of similar labels (of
    thresholds, that of their log-odds), or of all, as its logits have their mean and spread.

    Args:
        decision: Of the old labels.
        label: The new label.
        like: Shares of similar labels, sum 1.
    """
    labels = LabelSet([*decision.labels, label])
    shares = dict(like) or {name: 1 / len(decision.labels) for name in decision.labels}
    old = decision.thresholds
    if len(set(old.values())) == 1:
        threshold, why = next(iter(old.values())), "that of all labels"
    else:
        odds = sum(
            share * float(logit(np.clip(old[name], 1e-6, 1 - 1e-6)))
            for name, share in shares.items()
        )
        threshold, why = (
            float(expit(odds)),
            "the mean of similar labels" if like else "the mean of all",
        )
    scaling = dict(decision.scaling)
    if scaling:
        weight = sum(share * scaling[name][0] for name, share in shares.items())
        scaling[label] = weight, sum(share * scaling[name][1] for name, share in shares.items())
    note = f"the threshold of {label!r} is {threshold:.3f}, {why}: no image chose it"
    return dataclasses.replace(
        decision,
        labels=labels,
        thresholds={**old, label: threshold},
        scaling=scaling,
        notes=(*decision.notes, note),
    )


def image_features(model: MultiLabelClassifier, images: Sequence[Path]) -> Tensor:
    """Pooled features ``(n, D)`` of image files.

    Raises:
        InputError: If an image cannot be decoded; the message names the file.
    """
    unknown = np.full((len(images), len(model.labels)), -1, np.float32)
    ids = [str(path.absolute()) for path in images]
    return predict_features(pooled_model(model), FileImages("/", model.labels, ids, unknown))


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
