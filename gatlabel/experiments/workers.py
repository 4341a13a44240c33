"""Runs spread over processes, one thread each, that end with their parent whatever ends it."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from gatlabel.experiments.contenders import Contender
from gatlabel.experiments.outcome import Backend, Outcome, Setting
from gatlabel.printing import show_warning
from gatlabel.training.data import usable_cores as usable_cores


@dataclass(frozen=True)
class TuneJob:
    """One trial with one tuning seed."""

    who: Contender
    where: Setting
    options: dict[str, float]
    seed: int
    trial: int

    def __call__(self, backend: Backend) -> float:
        """Trains, and returns the mAP on the tuning split."""
        return backend.tune(self.who, self.where, self.options, self.seed)


@dataclass(frozen=True)
class RunJob:
    """One reported run."""

    who: Contender
    where: Setting
    options: dict[str, float]
    seed: int
    cut: bool

    def __call__(self, backend: Backend) -> list[Outcome]:
        """Trains, and scores the reported split."""
        return backend.run(self.who, self.where, self.options, self.seed, self.cut)


Job = TuneJob | RunJob
JobResult = float | list[Outcome]

# any job: called with what all jobs share
AnyJob = TypeVar("AnyJob", bound=Callable[[Any], Any])
Result = TypeVar("Result")


def work(
    backend: Any, jobs: Sequence[AnyJob], workers: int, done: Callable[[AnyJob, Result], None]
) -> None:
    """Does all jobs, in this process or in several, and hands over each result as it comes.

    Args:
        backend: What jobs are called with; sent to every process once.
        jobs: In the order to begin them.
        workers: Number of processes; 1 works here.
        done: Called in this process.

    Raises:
        InputError: What a job raises; jobs that have not begun are dropped.
    """
    if workers == 1 or len(jobs) <= 1:
        for job in jobs:
            done(job, job(backend))
        return
    context = multiprocessing.get_context("spawn")  # a fork of threads that torch runs may hang
    others = set(multiprocessing.active_children())
    pool = ProcessPoolExecutor(
        min(workers, len(jobs)), mp_context=context, initializer=_begin, initargs=(backend,)
    )
    waiting = list(reversed(jobs))
    running: dict[Future[Any], AnyJob] = {}
    try:
        while waiting or running:
            # a few ahead, not all: finished results take memory until they are written
            while waiting and len(running) < 2 * workers:
                job = waiting.pop()
                with _no_main_module():
                    running[pool.submit(_do, job)] = job
            finished, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in finished:
                done(running.pop(future), future.result())
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)
        for process in set(multiprocessing.active_children()) - others:
            process.terminate()
        raise
    pool.shutdown()


_backend: Any = None


def _begin(backend: Any) -> None:
    global _backend
    import torch

    _backend = backend
    torch.set_num_threads(1)
    warnings.showwarning = show_warning
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent is interrupted too, and ends us
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _do(job: Callable[[Any], Result]) -> Result:
    assert _backend is not None
    return job(_backend)


@contextmanager
def _no_main_module() -> Iterator[None]:
    """Keeps new processes from running the caller's script again.

    Nothing that is sent to them is defined there, and a script of three lines has no
    ``if __name__ == "__main__"``.
    """
    main = sys.modules["__main__"]
    kept = {name: getattr(main, name, None) for name in ("__file__", "__spec__")}
    main.__spec__ = None
    had_file = hasattr(main, "__file__")
    if had_file:
        del main.__file__
    try:
        yield
    finally:
        main.__spec__ = kept["__spec__"]
        if had_file:
            main.__file__ = kept["__file__"]
