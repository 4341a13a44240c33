"""Jobs in processes and on a cluster: all are run, failures are named, and no process remains."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest
from joblib import parallel_config

from gatlabel.errors import InputError
from gatlabel.experiments.jobs import RunJob, default_workers, do_jobs
from gatlabel.experiments.methods import Method
from gatlabel.experiments.outcome import Condition
from tests.conftest import ROOT


@dataclass(frozen=True)
class Square:
    """A job that fails for one number."""

    number: int
    fails: int = -1

    def __call__(self, offset: int) -> int:
        if self.number == self.fails:
            raise ValueError("no square")
        return self.number**2 + offset


def results_of(jobs: list[Square], workers: int) -> dict[int, int]:
    found = {}
    do_jobs(1, jobs, workers, lambda job, result: found.update({job.number: result}))
    return found


SQUARES = [Square(k) for k in range(7)]


def test_every_job_is_done_in_order_in_this_process() -> None:
    assert list(results_of(SQUARES, 1).items()) == [(k, k**2 + 1) for k in range(7)]
    assert results_of([], 2) == {}


@pytest.mark.parametrize("backend", ["threading", "multiprocessing"])
def test_backends_with_and_without_results_as_they_come(backend: str) -> None:
    with parallel_config(backend=backend):
        assert results_of(SQUARES, 2) == {k: k**2 + 1 for k in range(7)}


class Refusing:
    """A backend on which nothing can be trained."""

    def run(self, *_: object) -> None:
        raise InputError("an image cannot be read")


def test_a_failing_job_names_its_method_and_seed() -> None:
    job = RunJob(Method("gat", "npmi"), Condition(0.5), {}, 3, False)
    message = r"gat · npmi, 50% of the images, seed 3: an image cannot be read"
    with pytest.raises(InputError, match=message):
        do_jobs(Refusing(), [job], 1, lambda *_: None)
    with pytest.raises(ValueError, match="no square") as error:
        results_of([Square(3, fails=3)], 1)
    assert "Square(number=3, fails=3)" in error.value.__notes__[0]


SCRIPT = """
import os, signal, time
# a shell that runs the tests in the background has this signal ignored, children included
signal.signal(signal.SIGINT, signal.default_int_handler)
from gatlabel.experiments.jobs import do_jobs

class Job:
    def __call__(self, backend):
        open(os.path.join(backend, str(os.getpid())), "w").close()
        time.sleep({seconds})
        return os.getpid()

found = []
do_jobs({folder}, [Job() for _ in range(4)], 2, lambda job, pid: found.append(pid))
assert len(found) == 4 and os.getpid() not in found
print("done")
"""


def script(folder: Path, seconds: str) -> list[str]:
    """A script without a guard of ``__main__``, whose jobs leave the ids of their processes."""
    path, ids = folder / "script.py", folder / "ids"
    ids.mkdir()
    path.write_text(SCRIPT.replace("{folder}", repr(str(ids))).replace("{seconds}", seconds))
    return [sys.executable, str(path)]


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    stat = Path(f"/proc/{pid}/stat")
    return not stat.is_file() or stat.read_text().rpartition(")")[2].split()[0] != "Z"


@pytest.mark.slow
def test_a_script_needs_no_guard(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    words = script(tmp_path, "0")
    done = subprocess.run(words, capture_output=True, text=True, env=environment, timeout=300)
    assert done.stdout.split() == ["done"], done.stderr


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_processes_end_with_their_caller(how: signal.Signals, tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(script(tmp_path, "600"), env=environment, stderr=subprocess.DEVNULL)
    until = time.monotonic() + 240
    workers: list[int] = []
    while len(workers) < 2 and time.monotonic() < until:
        time.sleep(0.2)
        workers = [int(path.name) for path in (tmp_path / "ids").iterdir()]
    time.sleep(1)
    process.send_signal(how)
    process.wait(60)
    while any(map(is_alive, workers)) and time.monotonic() < until:
        time.sleep(0.2)
    assert len(workers) == 2
    assert not any(map(is_alive, workers))


@pytest.mark.slow
def test_a_dask_cluster_takes_the_jobs(tmp_path: Path) -> None:
    distributed = pytest.importorskip("distributed")
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, dashboard_address=None, processes=True
        ) as cluster,
        distributed.Client(cluster),
        parallel_config(backend="dask"),
    ):
        assert default_workers() >= 2
        assert results_of(SQUARES, 2) == {k: k**2 + 1 for k in range(7)}
        with pytest.raises(ValueError, match="no square"):
            results_of([*SQUARES, Square(9, fails=9)], 2)
