"""Training of several tasks on one encoder: from options to a run folder.

>>> from gatlabel.multitask import MultiTaskConfig, train_tasks
>>> config = MultiTaskConfig(data={"name": "csv", "root": "photos"},
...     tasks=[{"name": "things", "kind": "multilabel", "column": "labels"}],
...     encoder={"backbone": "shufflenet_v2_x0_5", "weights": "none"}, images={"size": 32},
...     run={"epochs": 1, "output": "tasks", "progress": False})
>>> result = train_tasks(config)
>>> list(result.model.tasks)
['things']
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gatlabel.lazy import lazy_names

if TYPE_CHECKING:
    from gatlabel.multitask.config import MultiTaskConfig, TaskOptions
    from gatlabel.multitask.redeciding import decide_tasks
    from gatlabel.multitask.run import MultiTaskResult, resume_tasks, train_tasks
    from gatlabel.multitask.saved_runs import evaluate_run, open_tasks
else:
    __getattr__, __dir__ = lazy_names(__name__)

__all__ = [
    "MultiTaskConfig",
    "MultiTaskResult",
    "TaskOptions",
    "decide_tasks",
    "evaluate_run",
    "open_tasks",
    "resume_tasks",
    "train_tasks",
]
