"""The files of a run folder: everything needed to use, read or repeat the run."""

from __future__ import annotations

import csv
import itertools
import shutil
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from gatlabel.errors import InputError
from gatlabel.files import atomic_path, write_json
from gatlabel.graph import Cooccurrence, LabelGraph
from gatlabel.training.config import TrainConfig, read_options


class RunFolder:
    """A run folder, by the names of its files.

    Args:
        path: The folder.
    """

    def __init__(self, path: Path) -> None:
        self._place(path)

    def _place(self, path: Path) -> None:
        self.path = path
        self.config = path / "config.yaml"
        self.labels = path / "labels.json"
        self.counts = path / "counts.json"
        self.graph = path / "graph.json"
        self.metrics = path / "metrics.json"
        self.curves = path / "metrics.csv"
        self.report = path / "report.html"
        self.checkpoints = path / "checkpoints"
        self.last = self.checkpoints / "last.ckpt"
        self.best = self.checkpoints / "best.ckpt"

    @classmethod
    def choose(cls, config: TrainConfig) -> RunFolder:
        """Picks the folder of a new run, without making it.

        Raises:
            InputError: If it exists, is not empty, and ``overwrite`` is off.
        """
        if config.output is None:
            stamp = time.strftime("%Y%m%d-%H%M%S")
            return cls(Path("runs") / f"{stamp}-{config.data}-{config.head}-{config.seed}")
        path = config.output
        if path.exists() and not path.is_dir():
            raise InputError(f"the output {path} is a file: give a folder")
        if path.is_dir() and any(path.iterdir()):
            if not config.overwrite:
                raise InputError(
                    f"the run folder {path} is not empty: give another output, overwrite it with "
                    "--overwrite, or go on with it with --resume"
                )
            if not (path / "config.yaml").exists():
                raise InputError(f"{path} is no run folder: --overwrite leaves it alone")
        return cls(path)

    def begin(self, config: TrainConfig, counts: Cooccurrence, graph: LabelGraph) -> None:
        """Makes the folder, without what an earlier run left in it, and writes its inputs.

        A folder that ``output`` does not name gets a number if a run of the same second has it.
        """
        self._make(named=config.output is not None)
        shutil.rmtree(self.checkpoints, ignore_errors=True)
        for path in (self.metrics, self.curves, self.report, self.path / "model.safetensors"):
            path.unlink(missing_ok=True)
        config.save(self.config)
        write_json(self.labels, list(counts.names))
        counts.save(self.counts)
        graph.save(self.graph)

    def _make(self, named: bool) -> None:
        first = self.path
        for number in itertools.count(2):
            try:
                self.path.mkdir(parents=True, exist_ok=named)
                return
            except OSError as error:
                if named or not isinstance(error, FileExistsError):
                    raise InputError(
                        f"cannot make the run folder {self.path}: {error.strerror}"
                    ) from error
            self._place(first.with_name(f"{first.name}-{number}"))

    def read_config(self) -> TrainConfig:
        """Reads the options of the run.

        Raises:
            InputError: If this is no run folder.
        """
        if not self.config.is_file():
            raise InputError(f"{self.path} is no run folder: it has no config.yaml")
        from gatlabel.training.options import config_from

        return config_from(read_options(self.config))

    def write_curves(self, rows: Sequence[Mapping[str, float]]) -> None:
        """Writes ``metrics.csv``: a row an epoch."""
        columns = list(dict.fromkeys(name for row in rows for name in row))
        with atomic_path(self.curves) as temporary, temporary.open("w", newline="") as file:
            writer = csv.DictWriter(file, columns, restval="")
            writer.writeheader()
            writer.writerows(rows)
