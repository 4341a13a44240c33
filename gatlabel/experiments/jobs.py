"""Training runs as jobs, executed here or distributed by joblib over processes or a cluster."""

from __future__ import annotations

import os
import signal
import threading
import time
import warnings
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from joblib import Parallel, delayed, effective_n_jobs

from gatlabel.errors import InputError
from gatlabel.experiments.methods import Method
from gatlabel.experiments.outcome import Backend, Condition, Outcome
from gatlabel.memory import keep_freed_memory
from gatlabel.printing import show_warning
from gatlabel.training.data import usable_cores


@dataclass(frozen=True)
class Job:
    """One training run of a method.

    Attributes:
        method: The method.
        condition: The training images and targets.
        options: Options of the optimiser.
        seed: The seed.
    """

    method: Method
    condition: Condition
    options: dict[str, float]
    seed: int

    def __str__(self) -> str:
        """Returns the name of the run, for errors."""
        parts = (self.method.title, self.condition.title, f"seed {self.seed}")
        return ", ".join(part for part in parts if part)


@dataclass(frozen=True)
class TuneJob(Job):
    """One trial with one tuning seed.

    Attributes:
        trial: Number of the trial.
    """

    trial: int

    def __call__(self, backend: Backend) -> float:
        """Trains and returns the mAP on the tuning split."""
        return backend.tune(self.method, self.condition, self.options, self.seed)


@dataclass(frozen=True)
class RunJob(Job):
    """One reported run.

    Attributes:
        ablate: Whether the trained head is also scored without its edges.
    """

    ablate: bool

    def __call__(self, backend: Backend) -> list[Outcome]:
        """Trains and scores the reported split."""
        return backend.run(self.method, self.condition, self.options, self.seed, self.ablate)


AnyJob = TypeVar("AnyJob", bound=Callable[[Any], Any])


def default_workers() -> int:
    """Returns the workers of the cluster set by ``joblib.parallel_config``, or the core count."""
    return max(usable_cores(), effective_n_jobs(None))


def do_jobs(
    backend: Any, jobs: Sequence[AnyJob], workers: int, done: Callable[[AnyJob, Any], None]
) -> None:
    """Runs all jobs and passes on each result when it is complete.

    By default joblib starts local processes, which need no ``if __name__ == "__main__"`` in the
    caller's script. Inside ``joblib.parallel_config(backend="dask")`` or ``"ray"`` the jobs run on
    that cluster, whose workers must have access to the same files.

    Args:
        backend: Argument of the jobs; sent along with each.
        jobs: The jobs, in order.
        workers: Number of parallel jobs; 1 uses this process.
        done: Called with each result, in this process.

    Raises:
        InputError: If a job raises it; the message names the job. Jobs that have not started are
            dropped, and processes are ended.
    """
    count = max(1, min(workers, len(jobs)))
    # batches of one, so that each result is stored at once
    options: dict[str, Any] = {"n_jobs": count, "batch_size": 1, "max_nbytes": None}
    rounds = [range(len(jobs))]
    try:
        parallel = Parallel(**options, return_as="generator_unordered")
    except ValueError:  # backends on multiprocessing, Ray's too, return all results at the end
        parallel = Parallel(**options)
        rounds = [range(k, min(k + count, len(jobs))) for k in range(0, len(jobs), count)]
    for numbers in rounds:
        results = parallel(delayed(_do)(k, jobs[k], backend, os.getpid()) for k in numbers)
        try:
            for number, result in results:
                done(jobs[number], result)
        finally:
            if isinstance(results, Generator):  # closed early, it ends the workers
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")  # about dropped results
                    results.close()


def _do(number: int, job: Callable[[Any], Any], backend: Any, caller: int) -> tuple[int, Any]:
    if os.getpid() != caller:
        _set_up_worker(caller)
    try:
        return number, job(backend)
    except InputError as error:
        raise InputError(f"{job}: {error}") from error
    except Exception as error:
        error.add_note(f"in the run {job}")
        raise


def _set_up_worker(caller: int) -> None:
    import torch

    torch.set_num_threads(1)
    keep_freed_memory()
    warnings.showwarning = show_warning
    # workers of a cluster run jobs in other threads and end by themselves
    ours = os.getppid() == caller and threading.current_thread() is threading.main_thread()
    if ours and not any(thread.name == _WATCH for thread in threading.enumerate()):
        signal.signal(
            signal.SIGINT, signal.SIG_IGN
        )  # the caller is interrupted too, and ends this process
        threading.Thread(target=_end_with, args=(caller,), name=_WATCH, daemon=True).start()


_WATCH = "gatlabel-watch"


def _end_with(caller: int) -> None:
    """Ends this process if its caller was killed without ending it."""
    while os.getppid() == caller:
        time.sleep(1)
    os._exit(1)
