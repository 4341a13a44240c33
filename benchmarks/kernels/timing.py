"""Times and peak memory of interleaved contenders."""

from __future__ import annotations

import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Times:
    """Seconds of one contender's runs."""

    runs: tuple[float, ...]

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
            "runs": len(self.runs),
        }


def interleaved(
    contenders: Mapping[str, Callable[[], object]], repeats: int, warm_up: bool = True
) -> dict[str, Times]:
    """Runs the contenders in turn, so that what disturbs the machine disturbs them alike."""
    if warm_up:
        for run in contenders.values():
            run()
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(repeats):
        for name, run in contenders.items():
            start = time.perf_counter()
            run()
            seconds[name].append(time.perf_counter() - start)
    return {name: Times(tuple(runs)) for name, runs in seconds.items()}


def resident_bytes() -> int:
    """Bytes of memory this process holds now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()


def peak_bytes(contender: str, labels: int) -> int:
    """Peak memory above parameters and inputs, measured in a process of its own."""
    script = Path(__file__).parent.parent / "attention.py"
    command = [sys.executable, str(script), "--peak", contender, str(labels)]
    answer = subprocess.run(command, check=True, capture_output=True, text=True)
    return int(answer.stdout.split()[-1])


def print_peak(run: Callable[[], object]) -> None:
    """The other side of :func:`peak_bytes`: everything the run needs is already in memory."""
    before = resident_bytes()
    run()
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - before)
