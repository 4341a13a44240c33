"""Tasks: what a model learns from the features of an image.

A :class:`Task` has a name, an output space, a head, a loss, metrics, and a decision; a
:class:`~gatlabel.model.Model` has one or several. Images that are not labelled for a task are
*absent* there: -1 in labels, classes and sequences, NaN in values.

    >>> import torch
    >>> from gatlabel.nn import LinearHead
    >>> from gatlabel.tasks import TASKS
    >>> task = TASKS["multilabel"]("things", ["cat", "dog"], LinearHead(8, labels=["cat", "dog"]))
    >>> features, targets = torch.randn(2, 8), torch.tensor([[1.0, 0.0], [-1.0, -1.0]])
    >>> outputs, (loss,) = task.losses(features, targets)
    >>> outputs.shape
    torch.Size([2, 2])
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gatlabel.lazy import lazy_names

if TYPE_CHECKING:
    from gatlabel.tasks.kinds import TASKS
    from gatlabel.tasks.multiclass import MultiClassTask
    from gatlabel.tasks.multilabel import MultiLabelTask
    from gatlabel.tasks.regression import RegressionTask
    from gatlabel.tasks.sequence import SequenceTask
    from gatlabel.tasks.task import Loss, Task
else:
    __getattr__, __dir__ = lazy_names(__name__)

__all__ = [
    "TASKS",
    "Loss",
    "MultiClassTask",
    "MultiLabelTask",
    "RegressionTask",
    "SequenceTask",
    "Task",
]
