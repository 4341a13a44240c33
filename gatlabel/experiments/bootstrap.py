"""mAP of every run over resamples of the pictures: spread over processes, kept in the folder."""

from __future__ import annotations

import contextlib
import functools
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gatlabel.array_reading import read_npz
from gatlabel.errors import InputError
from gatlabel.experiments.contenders import Contender
from gatlabel.experiments.outcome import Setting
from gatlabel.experiments.resampling import (
    BLOCK,
    Weights,
    map_of_blocks,
    resample_weights,
    weight_blocks,
)
from gatlabel.experiments.store import RunKey, Store
from gatlabel.experiments.workers import work
from gatlabel.files import atomic_path
from gatlabel.metrics import mean_average_precision

Array = NDArray[np.float64]
Scores = Callable[[Contender, Setting, int], NDArray[np.float32]]

WORTH = 30_000_000_000  # cells N L R; half a minute on one core, a process takes seconds to start
KEPT_WEIGHTS = 100_000_000  # bytes of weights that a process keeps from run to run
VERSION = "2"  # of the way of computing: with another, what was kept is computed again


@dataclass(frozen=True)
class Resampled:
    """mAP of one run.

    Attributes:
        value: On the pictures as they are; NaN where no label has a positive and a known absence.
        maps: float64 ``(R,)``: in every resample of the pictures.
    """

    value: float
    maps: Array


class Bootstrap:
    """Resamples the pictures and computes the mAP of runs; goes to every process once.

    Args:
        targets: Of the reported pictures ``(N, L)``.
        scores: Gives the logits ``(N, L)`` of a run; can be pickled where processes are to work.
        resamples: R.
        seed: The same seed gives the same resamples for all runs.
    """

    def __init__(
        self, targets: NDArray[np.float32], scores: Scores, resamples: int, seed: int = 0
    ) -> None:
        self.targets, self.scores, self.resamples, self.seed = targets, scores, resamples, seed
        self._weights: list[Weights] = []

    @property
    def cells(self) -> int:
        """N L R, which a run takes time by."""
        return self.targets.size * self.resamples

    def measure(self, key: RunKey) -> Resampled:
        """Computes the mAP of one run.

        Raises:
            InputError: If its scores cannot be read.
        """
        logits = self.scores(*key)
        value = mean_average_precision(logits, self.targets).value
        # whole blocks, so that R resamples are the first R of any more, to the last bit
        drawn = -(-self.resamples // BLOCK) * BLOCK
        blocks = self._weights or weight_blocks(len(self.targets), drawn, self.seed)
        if not self._weights and 4 * len(self.targets) * drawn <= KEPT_WEIGHTS:
            blocks = self._weights = list(blocks)
        return Resampled(value, map_of_blocks(logits, self.targets, blocks)[: self.resamples])


@dataclass(frozen=True)
class ResampleJob:
    """One run to be resampled."""

    key: RunKey

    def __call__(self, bootstrap: Bootstrap) -> Resampled:
        """Computes its mAP."""
        return bootstrap.measure(self.key)


class Kept:
    """What was resampled before, in the folder ``resampled`` of a benchmark, a file a run.

    A file counts only as long as all that it follows from is the same: the file of scores, the
    targets, and the resamples.

    Args:
        store: The folder.
        targets: Of the reported pictures ``(N, L)``.
        seed: Of the resamples.
    """

    def __init__(self, store: Store, targets: NDArray[np.float32], seed: int = 0) -> None:
        self._store = store
        # the first resample stands for all: should NumPy draw others one day, none are mixed
        first = resample_weights(len(targets), 1, seed)
        about = f"{VERSION} {seed} {targets.shape} {targets.dtype}".encode()
        self._base = hashlib.sha256(about + targets.tobytes() + first.tobytes())

    def path(self, key: RunKey) -> Path:
        """Where the file of a run lies."""
        return self._store.folder / "resampled" / self._store.scores_path(key).name

    def read(self, key: RunKey, resamples: int) -> Resampled | None:
        """Reads what was kept of a run; ``None`` if it is not there or of no use."""
        try:
            content = read_npz(self.path(key), "file of resamples")
            value, maps, source = (content[name] for name in ("value", "maps", "source"))
        except (InputError, KeyError):
            return None
        if value.ndim or maps.ndim != 1 or {value.dtype, maps.dtype} != {np.dtype(np.float64)}:
            return None
        if len(maps) < resamples or str(source) != self._source(key):
            return None
        return Resampled(float(value), maps[:resamples])

    def write(self, key: RunKey, found: Resampled) -> None:
        """Keeps what was found; in a folder that cannot be written to, nothing is kept."""
        with (
            contextlib.suppress(InputError, OSError),
            atomic_path(self.path(key)) as temporary,
        ):
            np.savez(temporary, value=found.value, maps=found.maps, source=self._source(key))

    def _source(self, key: RunKey) -> str:
        """A digest of all that the result follows from; empty without a file of scores."""
        digest = self._base.copy()
        try:
            with self._store.scores_path(key).open("rb") as file:
                for part in iter(functools.partial(file.read, 1 << 20), b""):
                    digest.update(part)
        except OSError:
            return ""
        return digest.hexdigest()


def resample_runs(
    bootstrap: Bootstrap,
    keys: Sequence[RunKey],
    kept: Kept | None = None,
    workers: int = 1,
    advance: Callable[[int], None] = lambda count: None,
) -> dict[RunKey, Resampled]:
    """Resamples all runs, or those that are not kept from before.

    Args:
        bootstrap: Targets, scores, resamples.
        keys: The runs.
        kept: Where results are kept; ``None`` keeps none.
        workers: Number of processes, which start only if there is enough to do.
        advance: Called with 1 whenever a run is done.

    Raises:
        InputError: If the scores of a run cannot be read.
    """
    found: dict[RunKey, Resampled] = {}

    def done(key: RunKey, result: Resampled) -> None:
        found[key] = result
        advance(1)

    for key in keys:
        old = kept.read(key, bootstrap.resamples) if kept else None
        if old:
            done(key, old)

    def keep(job: ResampleJob, result: Resampled) -> None:
        if kept:
            kept.write(job.key, result)
        done(job.key, result)

    jobs = [ResampleJob(key) for key in keys if key not in found]
    enough = len(jobs) * bootstrap.cells >= WORTH
    work(bootstrap, jobs, workers if enough else 1, keep)
    return found
