"""The labels of several tasks in one graph: their counts, the graph and the head over it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import reduce

import torch
from torch import Tensor
from torch.nn import functional as F

from gatlabel.graph import Cooccurrence
from gatlabel.graph.spec import GraphSpec
from gatlabel.labels import UNKNOWN, LabelSet
from gatlabel.losses.classes import UNKNOWN_CLASS
from gatlabel.model.head_file import build_head
from gatlabel.model.shared_graph import SharedGraph
from gatlabel.multitask.parts import BLOCK, Known, Part
from gatlabel.multitask.shared_options import SharedOptions
from gatlabel.nn import HEADS
from gatlabel.targets import Targets


def build_shared(
    options: SharedOptions, parts: Sequence[Part], width: int, seed: int
) -> SharedGraph | None:
    """Builds the graph over the labels of several tasks, and its head.

    Args:
        options: Which tasks, which graph and which head.
        parts: The data sets; labels are counted in training images.
        width: Feature width D.
        seed: Seed of random edges.

    Returns:
        Graph and head, or ``None`` if each task has its own.

    Raises:
        InputError: If the graph cannot be built, or the head is for one task only.
    """
    if options.tasks is None:
        return None
    counts = count_union(options.tasks, parts)
    graph = GraphSpec.parse(options.graph).build(counts, seed)
    arguments = options.head.arguments()
    head = build_head(HEADS[options.head.name], width, counts.labels, graph, arguments)
    if graph.base_rates is not None:
        head.init_bias(graph.base_rates)
    return SharedGraph(head, graph)


def count_union(tasks: Sequence[str], parts: Sequence[Part]) -> Cooccurrence:
    """Counts the labels of several tasks together in the training images.

    In an image that is not labelled for a task, the labels of that task are unknown. So a pair of
    labels of two tasks is counted in images that are labelled for both.

    Args:
        tasks: Names of the tasks.
        parts: The data sets.
    """
    of = {name: part.outputs[name] for name in tasks for part in parts if name in part.outputs}
    labels = LabelSet(dict.fromkeys(label for name in tasks for label in of[name]))
    found = [
        Cooccurrence.from_targets(block, labels)
        for part in parts
        for block in _blocks(part, tasks, labels, "train")
    ]
    return reduce(Cooccurrence.merge, found)


def union_of(part: Part, tasks: Sequence[str], labels: LabelSet, split: str) -> Tensor:
    """Returns the targets of all labels for the images of a data set: ``(N, U)``.

    Args:
        part: The data set, with one or more of the tasks.
        tasks: Names of the tasks.
        labels: The U labels of their graph.
        split: The split.
    """
    return torch.cat(list(_blocks(part, tasks, labels, split)))


def _blocks(part: Part, tasks: Sequence[str], labels: LabelSet, split: str) -> Iterator[Tensor]:
    """Yields them block by block of images; nothing for a data set without these tasks."""
    own = {name: part.targets[split][name] for name in tasks if name in part.outputs}
    places = {name: torch.as_tensor(labels.positions(part.outputs[name])) for name in own}
    images = len(next(iter(own.values()))) if own else 0
    for start in range(0, images, BLOCK):
        rows = range(start, min(start + BLOCK, images))
        targets = {name: _rows(its, rows, len(places[name])) for name, its in own.items()}
        yield union(targets, places, len(labels))


def _rows(own: Known, rows: range, classes: int) -> Tensor:
    """Returns multi-label targets ``(B, L)``; a class is the only label that is present."""
    if isinstance(own, Targets):
        return own.rows(list(rows))
    chosen = own[rows.start : rows.stop]
    found = F.one_hot(chosen.clamp(min=0), classes).float()
    return found.where((chosen != UNKNOWN_CLASS)[:, None], float(UNKNOWN))


def union(targets: Mapping[str, Tensor], places: Mapping[str, Tensor], width: int) -> Tensor:
    """Joins the targets of several tasks in the labels of their graph.

    Args:
        targets: By task ``(B, L_k)``, -1 for unknown.
        places: By task, positions ``(L_k,)`` of its labels in the graph.
        width: Number of labels U of the graph.

    Returns:
        ``(B, U)``; -1 if unknown in all tasks, and the mean if two tasks have different targets.
    """
    rows = len(next(iter(targets.values())))
    total, count = torch.zeros(rows, width), torch.zeros(rows, width)
    for name, own in targets.items():
        known = own != UNKNOWN
        total.index_add_(1, places[name], own.where(known, 0.0))
        count.index_add_(1, places[name], known.float())
    return (total / count.clamp(min=1)).where(count > 0, float(UNKNOWN))
