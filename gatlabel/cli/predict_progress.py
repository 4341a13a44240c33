"""Progress of a stream of predictions, on standard error."""

from __future__ import annotations

import time

from gatlabel.deploy.prediction import Prediction
from gatlabel.deploy.task_prediction import TaskPrediction
from gatlabel.printing import note, put

_EVERY_LINE, _EVERY_UPDATE = 10.0, 0.5  # seconds


class StreamProgress:
    """Counts predictions, and shows the count: in place on a terminal, otherwise as new lines.

    Args:
        shown: Whether anything is shown.
        in_place: Whether standard error is a terminal on which no results are printed.

    Attributes:
        images: Number of predictions.
        failed: Number of predictions with an error.
        first_error: The first error, if any.
    """

    def __init__(self, *, shown: bool, in_place: bool) -> None:
        self.images = self.failed = 0
        self.first_error: str | None = None
        self._shown, self._in_place = shown, in_place
        self._start = time.monotonic()
        self._next = self._start + self._every

    @property
    def _every(self) -> float:
        return _EVERY_UPDATE if self._in_place else _EVERY_LINE

    def count(self, prediction: Prediction | TaskPrediction) -> None:
        """Counts a prediction."""
        self.images += 1
        if not prediction.ok:
            self.failed += 1
            self.first_error = self.first_error or prediction.error
        if self._shown and time.monotonic() >= self._next:
            self._next = time.monotonic() + self._every
            self._show(f"{self} so far", "")

    def end(self) -> None:
        """Shows the final count, unless there was only one image."""
        if self._shown and self.images > 1:
            self._show(str(self), "\n")

    def _show(self, text: str, end: str) -> None:
        if not self._in_place:
            note(text)
        else:
            put(f"\r{text:<78}{end}", "stderr")

    def __str__(self) -> str:
        seconds = time.monotonic() - self._start
        rate = self.images / max(seconds, 1e-9)
        images = "1 image" if self.images == 1 else f"{self.images:,} images"
        failed = f", {self.failed:,} could not be read" if self.failed else ""
        return f"{images} in {seconds:.1f} s ({rate:,.0f} per second){failed}"
