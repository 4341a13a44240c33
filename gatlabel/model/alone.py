"""One task of a model as a separate classifier that shares its weights."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn

from gatlabel.batch import IMAGE
from gatlabel.encoders import Encoder
from gatlabel.errors import InputError
from gatlabel.model.classifier import MultiLabelClassifier
from gatlabel.model.multi_task import Model
from gatlabel.nn import Head
from gatlabel.nn.heads.rows import RowsHead

#: Kinds of tasks with one logit per label or class.
KINDS = ("multilabel", "multiclass")


class BranchPool(nn.Module):
    """Pooling, and the adapter between the shared features and one head.

    Args:
        pool: The pooling of the model.
        adapter: The adapters of all heads.
        branch: Position of the head.
    """

    def __init__(
        self, pool: nn.Module, adapter: Callable[[Tensor], tuple[Tensor, ...]], branch: int
    ) -> None:
        super().__init__()
        self.pool, self.adapter, self.branch = pool, adapter, branch

    def forward(self, maps: Tensor | tuple[Tensor, ...]) -> Tensor:
        """Feature maps -> features ``(B, D)``."""
        return self.adapter(self.pool(maps))[self.branch]


def alone(model: Model, name: str) -> MultiLabelClassifier:
    """Returns a classifier with the encoder and the head of one task.

    It uses the modules of the model, so changes affect both. A task of a shared graph gets all
    labels of that graph, since their edges lead to its own labels.

    Args:
        model: The model, with one encoder of images.
        name: A multi-label or multi-class task.

    Raises:
        InputError: If there is no such task, or the model takes other inputs.
    """
    task = model.tasks[name]
    if task.kind not in KINDS:
        raise InputError(
            f"task {name!r}: kind={task.kind}: has no logit per label, only {' and '.join(KINDS)}"
        )
    member = isinstance(task.head, RowsHead)
    head = model.shared.head if member and model.shared is not None else task.head
    graph = model.shared.graph if member and model.shared is not None else None
    encoder = model.encoders.get(IMAGE)
    if len(model.encoders) > 1 or not isinstance(encoder, Encoder) or not isinstance(head, Head):
        raise InputError(f"task {name!r}: only for models with one encoder of images")
    found = MultiLabelClassifier(
        encoder,
        head,
        list(task.outputs if graph is None else graph.labels),
        pooling=model.pooling_name,
        graph=graph or getattr(task, "graph", None),
        resize="squash" if model.preprocessing is None else model.preprocessing.resize,
        image_size=model.image_size,
    )
    if not head.needs_map:
        found.pool = model.pools[0]
        if model.adapter_name != "none":
            branch = model.branches.index(None if member else name)
            found.pool = BranchPool(model.pools[0], model.adapter, branch)
    return found.train(model.training)
