"""The kinds of tasks by name."""

from gatlabel.tasks.multiclass import MultiClassTask
from gatlabel.tasks.multilabel import MultiLabelTask
from gatlabel.tasks.regression import RegressionTask
from gatlabel.tasks.sequence import SequenceTask
from gatlabel.tasks.task import Task

TASKS: dict[str, type[Task]] = {
    "multilabel": MultiLabelTask,
    "multiclass": MultiClassTask,
    "regression": RegressionTask,
    "sequence": SequenceTask,
}
