"""The files of a run folder: everything needed to use, read or repeat the run."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from gatlabel.csv_files import write_curves
from gatlabel.decisions.decision import FILE as DECISIONS
from gatlabel.errors import InputError
from gatlabel.files import write_errors, write_json
from gatlabel.graph import Cooccurrence, LabelGraph
from gatlabel.training.config import TrainConfig
from gatlabel.training.recipes import read_config
from gatlabel.training.run_swap import NEW, swap

#: What says of which run a model was made without training: by a label, or by answers.
EXTENSION, ANSWERS = "extension.json", "answers.json"


class RunFinishedError(InputError):
    """A run is to be resumed that is finished already; the message says so."""


class RunFolder:
    """A run folder, by the names of its files.

    A run writes to one that :func:`~gatlabel.training.run_opening.new_run` or
    :func:`~gatlabel.training.run_opening.unfinished_run` gives it, which hold the lock. It begins
    with :meth:`begin` and ends with :meth:`finish`.

    Args:
        path: The folder.
        target: Where the run is to be when it is finished, if it grows in another place.
    """

    def __init__(self, path: Path, target: Path | None = None) -> None:
        self.path = path
        self.target = target or path
        self.config = path / "config.yaml"
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
        """The folder in which a run grows that is to replace the one in ``target``."""
        return cls(target / NEW, target)

    @property
    def replaces(self) -> bool:
        """Whether the run grows beside another, which it replaces when it is finished."""
        return self.path != self.target

    @property
    def has_begun(self) -> bool:
        """Whether its inputs are there."""
        return self.config.is_file()

    @property
    def finished(self) -> bool:
        """Whether all that a run leaves is there; the report is what it writes last."""
        model = (self.path / "model.json", self.path / "model.safetensors")
        return all(path.is_file() for path in (self.config, *model, self.metrics, self.report))

    @property
    def derived(self) -> bool:
        """Whether its model was made of another run's, without training."""
        model = self.path / "model.json"
        return model.is_file() and any((self.path / n).is_file() for n in (EXTENSION, ANSWERS))

    def begin(self, config: TrainConfig, counts: Cooccurrence, graph: LabelGraph) -> None:
        """Writes the inputs of the run, its options last: with them, the run has begun.

        Raises:
            InputError: If a file cannot be written; none is left then.
        """
        if self.replaces:
            self.discard()
        try:
            with write_errors(self.path, "the run folder "):
                self.checkpoints.mkdir(parents=True, exist_ok=True)
            write_json(self.labels, list(counts.names))
            counts.save(self.counts)
            graph.save(self.graph)
            config.save(self.config)
        except BaseException:
            self._undo_begin()
            raise

    def _undo_begin(self) -> None:
        if self.config.exists():  # of a run that was to start from its beginning again
            return
        with suppress(OSError):
            for path in (self.labels, self.counts, self.graph):
                path.unlink(missing_ok=True)
            self.checkpoints.rmdir()
            if self.replaces:
                self.path.rmdir()

    def discard(self) -> None:
        """Removes an unfinished run that grows beside another."""
        assert self.replaces
        with write_errors(self.path, "the run folder "):
            self.config.unlink(missing_ok=True)  # first: without it, no run has begun
            if self.path.is_dir():
                shutil.rmtree(self.path)

    def finish(self) -> None:
        """Brings a run that is complete to its place, where it replaces another.

        Raises:
            InputError: If a file cannot be moved; ``--resume`` goes on with the moving.
        """
        self.require()
        if self.replaces:
            swap(self.target)

    def require(self) -> None:
        """Makes sure that the folder was not removed since the run began.

        Raises:
            InputError: If it was.
        """
        if not self.has_begun:
            raise InputError(
                f"the run folder {self.path} was removed while the run went on: "
                f"{self.config.name} is gone; nothing more is written"
            )

    def read_config(self) -> TrainConfig:
        """Reads the options of the run.

        Raises:
            InputError: If this is no run folder.
        """
        self.require_config()
        return read_config(self.config)

    def require_config(self) -> None:
        """Makes sure that this is a run folder.

        Raises:
            InputError: If it is not.
        """
        if not self.config.is_file():
            raise InputError(f"{self.path} is no run folder: it has no config.yaml")

    def write_curves(self, rows: Sequence[Mapping[str, float]]) -> None:
        """Writes ``metrics.csv``: one row per epoch."""
        self.require()
        write_curves(self.curves, rows, make_folder=False)

    def epochs(self) -> int:
        """Returns how many epochs have a row in ``metrics.csv``."""
        try:
            with self.curves.open(newline="") as file:
                return sum(1 for _ in csv.DictReader(file))
        except (OSError, UnicodeDecodeError, csv.Error):
            return 0
