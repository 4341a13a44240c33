"""Predictions of several tasks as text, record by record; JSON is the same as for one task."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from gatlabel.cli.prediction_lines import JsonArray, JsonLines, csv_row
from gatlabel.deploy.task_prediction import TaskPrediction
from gatlabel.printing import clean


class TaskTableLines:
    """One line per image for a terminal: ``task: answer``.

    Args:
        tasks: Names of the tasks.
        ascii_only: Not used.
    """

    def __init__(self, tasks: Sequence[str], ascii_only: bool = False) -> None:
        self._tasks = tasks

    def head(self) -> str:
        """Returns nothing."""
        return ""

    def record(self, prediction: TaskPrediction) -> str:
        """Returns one line."""
        source = clean(prediction.source)
        if prediction.error is not None:
            return f"{source}  error: {clean(prediction.error)}\n"
        answers = (f"{name}: {text or '–'}" for name, text in prediction.texts().items())
        return f"{source}  {clean('; '.join(answers))}\n"

    def tail(self) -> str:
        """Returns nothing."""
        return ""


class TaskCsvLines(TaskTableLines):
    """Columns ``source``, one per task, and ``error``."""

    def head(self) -> str:
        """Returns the names of the columns."""
        return csv_row(["source", *self._tasks, "error"])

    def record(self, prediction: TaskPrediction) -> str:
        """Returns one row."""
        texts = prediction.texts()
        answers = [texts.get(name, "") for name in self._tasks]
        return csv_row([prediction.source, *answers, prediction.error or ""])


Lines = TaskTableLines | JsonLines
TASK_FORMATS: dict[str, Callable[[Sequence[str], bool], Lines]] = {
    "table": TaskTableLines,
    "csv": TaskCsvLines,
    "jsonl": JsonLines,
    "json": JsonArray,
}
