"""The files of a run folder, with which a run can be used, read or repeated."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from gatlabel.csv_files import write_curves
from gatlabel.decisions.decision import FILE as DECISIONS
from gatlabel.errors import InputError
from gatlabel.files import write_errors, write_json
from gatlabel.graph import Cooccurrence, LabelGraph
from gatlabel.training.config import TrainConfig
from gatlabel.training.recipes import read_config
from gatlabel.training.run_swap import NEW, swap

#: Records of a model that was made from another run without training: by a label, or by answers.
EXTENSION, ANSWERS = "extension.json", "answers.json"


class RunFinishedError(InputError):
    """The run to resume is already finished."""


class Record(Protocol):
    """What a run of any kind records: its options, its choices."""

    def save(self, path: Path) -> None:
        """Writes the record."""


class RunFolder:
    """The paths of the files in a run folder.

    A run writes to a folder from :func:`~gatlabel.training.run_opening.new_run` or
    :func:`~gatlabel.training.run_opening.unfinished_run`, which hold the lock. It starts with
    :meth:`begin` and ends with :meth:`finish`.

    Args:
        path: The folder.
        target: Final path of the run, if it is written to another folder first.

    Attributes:
        is_own: Whether files in the folder are those of the run that this process trains, and not
            of an unfinished one that it is to replace.
    """

    def __init__(self, path: Path, target: Path | None = None) -> None:
        self.path = path
        self.target = target or path
        self.is_own = False
        self.config = path / "config.yaml"
        self.choices = path / "choices.json"
        self.labels = path / "labels.json"
        self.counts = path / "counts.json"
        self.graph = path / "graph.json"
        self.metrics = path / "metrics.json"
        self.curves = path / "metrics.csv"
        self.out_of_fold = path / "out_of_fold.npz"
        self.moments = path / "moments.safetensors"
        self.decisions = path / DECISIONS
        self.report = path / "report.html"
        self.checkpoints = path / "checkpoints"
        self.last = self.checkpoints / "last.ckpt"
        self.previous = self.checkpoints / "previous.ckpt"
        self.best = self.checkpoints / "best.ckpt"

    @classmethod
    def beside(cls, target: Path) -> RunFolder:
        """Returns the temporary folder of a run that is to replace the one in ``target``."""
        return cls(target / NEW, target)

    @property
    def replaces(self) -> bool:
        """Whether the run is to replace another one when it is finished."""
        return self.path != self.target

    @property
    def has_begun(self) -> bool:
        """Whether the inputs of the run have been written."""
        return self.config.is_file()

    @property
    def finished(self) -> bool:
        """Whether the run is complete; the report is written last."""
        model = (self.path / "model.json", self.path / "model.safetensors")
        return all(path.is_file() for path in (self.config, *model, self.metrics, self.report))

    @property
    def derived(self) -> bool:
        """Whether the model was made from another run without training."""
        model = self.path / "model.json"
        return model.is_file() and any((self.path / n).is_file() for n in (EXTENSION, ANSWERS))

    def begin(
        self,
        config: Record,
        counts: Cooccurrence | None = None,
        graph: LabelGraph | None = None,
        choices: Record | None = None,
    ) -> None:
        """Writes the inputs of the run. The options are written last and mark the run as started.

        Args:
            config: The options.
            counts: Label counts of a run with one task.
            graph: Its label graph.
            choices: What it has chosen by measurements.

        Raises:
            InputError: If a file cannot be written; all are removed then.
        """
        if self.replaces:
            self.discard()
        self.is_own = True
        try:
            with write_errors(self.path, "the run folder "):
                self.checkpoints.mkdir(parents=True, exist_ok=True)
            if counts is not None and graph is not None:
                write_json(self.labels, list(counts.names))
                counts.save(self.counts)
                graph.save(self.graph)
            if choices is not None:
                choices.save(self.choices)
            config.save(self.config)
        except BaseException:
            self._undo_begin()
            raise

    def _undo_begin(self) -> None:
        if self.config.exists():  # of a run that started again without a checkpoint
            return
        with suppress(OSError):
            for path in (self.labels, self.counts, self.graph, self.choices):
                path.unlink(missing_ok=True)
            self.checkpoints.rmdir()
            if self.replaces:
                self.path.rmdir()

    def discard(self) -> None:
        """Removes an unfinished run that was to replace another."""
        assert self.replaces
        with write_errors(self.path, "the run folder "):
            self.config.unlink(missing_ok=True)  # first, so that the run counts as not started
            if self.path.is_dir():
                shutil.rmtree(self.path)

    def finish(self) -> None:
        """Moves a complete run to its final place, if it replaces another.

        Raises:
            InputError: If a file cannot be moved; ``--resume`` then continues.
        """
        self.require()
        if self.replaces:
            swap(self.target)

    def require(self) -> None:
        """Checks that the folder was not removed since the run started.

        Raises:
            InputError: If it was removed.
        """
        if not self.has_begun:
            raise InputError(
                f"the run folder {self.path} was removed during the run: {self.config.name} is "
                "missing; nothing more is written"
            )

    def read_config(self) -> TrainConfig:
        """Reads the options of the run.

        Raises:
            InputError: If this is not a run folder.
        """
        self.require_config()
        return read_config(self.config)

    def require_config(self) -> None:
        """Checks that this is a run folder.

        Raises:
            InputError: If it is not.
        """
        if not self.path.is_dir():
            raise InputError(f"there is no run folder {self.path}")
        if not self.config.is_file():
            raise InputError(f"{self.path} is not a run folder: it has no config.yaml")

    def write_curves(self, rows: Sequence[Mapping[str, float]]) -> None:
        """Writes ``metrics.csv``: one row per epoch."""
        self.require()
        write_curves(self.curves, rows, make_folder=False)

    def epochs(self) -> int:
        """Returns the number of epochs in ``metrics.csv``."""
        try:
            with self.curves.open(newline="") as file:
                return sum(1 for _ in csv.DictReader(file))
        except (OSError, UnicodeDecodeError, csv.Error):
            return 0
