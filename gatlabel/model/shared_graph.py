"""One label graph, and one head over it, for the labels of several tasks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from gatlabel.errors import InputError
from gatlabel.graph import LabelGraph
from gatlabel.nn import AuxiliaryLosses, Head
from gatlabel.nn.heads.rows import RowsHead
from gatlabel.tasks import Task

#: Kinds of tasks whose outputs are one logit per label.
KINDS = ("multilabel", "multiclass")


class SharedGraph(nn.Module):
    """A head over a label graph that holds the labels of several tasks.

    The classifiers of a task are its rows of the head's node embeddings, which the edges mix with
    those of the other tasks. A label that two tasks have, by name, is one node.

    Args:
        head: From features to the logits of all U labels of the graph.
        graph: The label graph.

    Raises:
        InputError: If the labels of head and graph differ, or the head has further losses.

    Shapes:
        features as the head takes them -> logits ``(B, U)``.
    """

    def __init__(self, head: Head, graph: LabelGraph) -> None:
        super().__init__()
        if isinstance(head, AuxiliaryLosses):
            raise InputError(
                f"head={head.kind}: not for a graph of several tasks: its messages are learned "
                "from the targets of one task"
            )
        if head.labels != graph.labels:
            raise InputError("the head and the graph of several tasks have different labels")
        self.head = head
        self.graph = graph

    def forward(self, features: Tensor) -> Tensor:
        """Features -> logits ``(B, U)``."""
        logits: Tensor = self.head(features)
        return logits

    def rows(self, labels: Sequence[str]) -> RowsHead:
        """Makes the head of a task with some of the labels.

        Raises:
            InputError: If one is not in the graph.
        """
        return RowsHead(self.graph.labels, labels)

    @property
    def config(self) -> dict[str, Any]:
        """Primitives that, with the graph, restore it."""
        return {"head": {"kind": self.head.kind, **self.head.config}}


def require_members(shared: SharedGraph | None, tasks: Mapping[str, Task]) -> None:
    """Makes sure that tasks match the graph of their labels.

    Raises:
        InputError: If there is a graph without a task, a task without the graph, or one of a kind
            that has no logit per label.
    """
    members = {name: task for name, task in tasks.items() if isinstance(task.head, RowsHead)}
    if shared is None and members:
        raise InputError(
            f"the task {next(iter(members))!r} is part of a shared graph: give shared=…"
        )
    if shared is not None and not members:
        raise InputError("shared=…: no task has its labels in the graph; make heads with .rows()")
    for name, task in members.items():
        if task.kind not in KINDS:
            raise InputError(
                f"task {name!r}: kind={task.kind}: its outputs are no labels of a graph, only "
                f"those of {' and '.join(KINDS)}"
            )
        assert isinstance(task.head, RowsHead)
        assert shared is not None
        if task.head.whole != shared.graph.labels:
            raise InputError(f"the task {name!r} is part of another graph than the model's")
