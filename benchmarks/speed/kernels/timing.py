"""Times and peak memory of interleaved methods."""

from __future__ import annotations

import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

SCRIPT = Path(__file__).parent.parent / "attention.py"


@dataclass(frozen=True)
class Times:
    """Seconds of processor time of one method's runs, and of the clock.

    With one thread the two agree on an idle machine; on a busy one the clock also counts the
    waiting for a processor, which says nothing of the method.
    """

    runs: tuple[float, ...]
    clock: tuple[float, ...]

    @property
    def median(self) -> float:
        """The middle one."""
        return statistics.median(self.runs)

    def summary(self) -> dict[str, float | int]:
        """What the result file says of them."""
        return {
            "median_s": self.median,
            "min_s": min(self.runs),
            "max_s": max(self.runs),
            "clock_median_s": statistics.median(self.clock),
            "runs": len(self.runs),
        }


def interleaved(methods: Mapping[str, Callable[[], object]], repeats: int) -> dict[str, Times]:
    """Runs the methods in turn, so that what disturbs the machine disturbs them alike."""
    for run in methods.values():
        run()
    seconds: dict[str, list[tuple[float, float]]] = {name: [] for name in methods}
    for _ in range(repeats):
        for name, run in methods.items():
            seconds[name].append(one_run(run))
    return {name: Times(*zip(*runs, strict=True)) for name, runs in seconds.items()}


def one_run(run: Callable[[], object]) -> tuple[float, float]:
    """Seconds of processor time and of the clock."""
    start, clock = time.process_time(), time.perf_counter()
    run()
    return time.process_time() - start, time.perf_counter() - clock


def apart(methods: Mapping[str, str], labels: int, repeats: int) -> dict[str, Times]:
    """As :func:`interleaved`, each method (by its name) in a process of its own."""
    return served({role: (SCRIPT, name, labels) for role, name in methods.items()}, repeats)


def served(commands: Mapping[str, Sequence[object]], repeats: int) -> dict[str, Times]:
    """As :func:`interleaved`, each method in a process of its own.

    In one process they share a memory allocator, and what gigabytes of a peer's temporaries do to
    it slows the other down by up to a half, or saves it the return of its own.

    Args:
        commands: By method a script, and what it takes after ``--serve``; it then
            calls :func:`serve`.
        repeats: Rounds, after two to warm up.
    """
    with ExitStack() as stack:
        workers = {}
        for role, (script, *words) in commands.items():
            command = [sys.executable, str(script), "--serve", *map(str, words)]
            worker = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            )
            stack.callback(worker.kill)
            workers[role] = stack.enter_context(worker)
        seconds = {role: [] for role in workers}
        for turn in range(repeats + 2):  # two to warm up
            for role, worker in workers.items():
                worker.stdin.write("go\n")
                worker.stdin.flush()
                processor, clock = map(float, worker.stdout.readline().split())
                if turn >= 2:
                    seconds[role].append((processor, clock))
        for worker in workers.values():
            worker.stdin.close()
    return {role: Times(*zip(*runs, strict=True)) for role, runs in seconds.items()}


def serve(run: Callable[[], object]) -> None:
    """The other side of :func:`served`: one run for every line that comes in."""
    for _ in sys.stdin:
        print(*one_run(run), flush=True)


def resident_bytes() -> int:
    """Bytes of memory this process holds now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()


def highest_bytes() -> int:
    """Bytes of memory this process held at most.

    Not getrusage's figure: a process inherits that from the one that started it.
    """
    status = Path("/proc/self/status").read_text().splitlines()
    line = next(line for line in status if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024


def peak_bytes(method: str, labels: int) -> int:
    """Peak memory above parameters and inputs, measured in a process of its own."""
    command = [sys.executable, str(SCRIPT), "--peak", method, str(labels)]
    answer = subprocess.run(command, check=True, capture_output=True, text=True)
    return int(answer.stdout.split()[-1])


def print_peak(run: Callable[[], object]) -> None:
    """The other side of :func:`peak_bytes`: everything the run needs is already in memory."""
    before = resident_bytes()
    run()
    print(highest_bytes() - before)
