"""Predictions as text, record by record: a table, CSV, JSON lines or one JSON array."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from gatlabel.csv_files import guarded
from gatlabel.deploy.prediction import Prediction
from gatlabel.deploy.task_prediction import TaskPrediction
from gatlabel.printing import clean, json_text

_WIDEST = 60  # maximum width to which names are padded
_FIXED = ("source", "labels", "error")


class Lines(Protocol):
    """A text format of a stream of predictions; every part ends with a line break, except JSON."""

    def head(self) -> str:
        """Returns the text before the first record."""
        ...

    def record(self, prediction: Prediction) -> str:
        """Returns the text of one prediction."""
        ...

    def tail(self) -> str:
        """Returns the text after the last record, also after an interruption."""
        ...


class TableLines:
    """One line per image for a terminal: the labels with their probabilities, then the next best.

    Args:
        labels: The L label names.
        ascii_only: Not used: characters that the terminal lacks are escaped on writing.
    """

    def __init__(self, labels: Sequence[str], ascii_only: bool = False) -> None:
        self._width = len(_FIXED[0])

    def head(self) -> str:
        """Returns an empty text: there is no heading."""
        return ""

    def record(self, prediction: Prediction) -> str:
        """Returns one line."""
        source = clean(prediction.source)
        self._width = max(self._width, min(len(source), _WIDEST))
        if prediction.error is not None:
            return f"{source:<{self._width}}  error: {clean(prediction.error)}\n"
        present = [f"{n} {prediction.probabilities[n]:.2f}" for n in prediction.labels]
        best = prediction.top(len(present) + 2)
        others = [f"{n} {p:.2f}" for n, p in best if n not in prediction.labels]
        line = f"{source:<{self._width}}  {', '.join(present) or 'no label'}"
        return clean(f"{line}  (next: {', '.join(others)})" if others else line) + "\n"

    def tail(self) -> str:
        """Returns nothing."""
        return ""


class CsvLines:
    """Columns ``source``, ``labels`` (separated by ``|``), ``error``, and one per label.

    Probabilities have six significant digits. Text cells are cleaned and guarded as in all CSV
    files of the package; see :mod:`gatlabel.csv_files`.

    Args:
        labels: The L label names.
        ascii_only: Not used.
    """

    def __init__(self, labels: Sequence[str], ascii_only: bool = False) -> None:
        self._labels = labels

    def head(self) -> str:
        """Returns the column names."""
        names = (f"{name} (label)" if name in _FIXED else name for name in self._labels)
        return csv_row([*_FIXED, *names])

    def record(self, prediction: Prediction) -> str:
        """Returns one row."""
        of = prediction.probabilities
        values = [f"{of[name]:.6g}" if of else "" for name in self._labels]
        return csv_row(
            [prediction.source, "|".join(prediction.labels), prediction.error or "", *values]
        )

    def tail(self) -> str:
        """Returns nothing."""
        return ""


def csv_row(cells: Sequence[str]) -> str:
    """Returns a CSV row of cleaned and guarded cells."""
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\n").writerow(guarded(clean(cell)) for cell in cells)
    return buffer.getvalue()


class JsonLines:
    """One JSON object per line: ``to_dict()`` of the prediction.

    Args:
        labels: Not used: every record names its labels.
        ascii_only: Whether to escape non-ASCII characters.
    """

    def __init__(self, labels: Sequence[str], ascii_only: bool = False) -> None:
        self._options: dict[str, Any] = {"indent": None, "ascii_only": ascii_only}

    def head(self) -> str:
        """Returns nothing."""
        return ""

    def record(self, prediction: Prediction | TaskPrediction) -> str:
        """Returns one line."""
        return json_text(prediction.to_dict(), **self._options) + "\n"

    def tail(self) -> str:
        """Returns nothing."""
        return ""


class JsonArray(JsonLines):
    """The same objects as one JSON array, which is closed even if the command is interrupted."""

    def __init__(self, labels: Sequence[str], ascii_only: bool = False) -> None:
        super().__init__(labels, ascii_only)
        self._between = "["

    def record(self, prediction: Prediction | TaskPrediction) -> str:
        """Returns an element, preceded by the separator."""
        text = self._between + "\n" + super().record(prediction).rstrip("\n")
        self._between = ","
        return text

    def tail(self) -> str:
        """Returns the end of the array."""
        return "[]\n" if self._between == "[" else "\n]\n"


FORMATS: dict[str, Callable[[Sequence[str], bool], Lines]] = {
    "table": TableLines,
    "csv": CsvLines,
    "jsonl": JsonLines,
    "json": JsonArray,
}
