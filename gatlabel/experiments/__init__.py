"""Experiments: does the label graph help on this data, and which one?

Three lines answer it, with every control in::

    from gatlabel.experiments import benchmark_graphs
    result = benchmark_graphs(data="scenes", graphs=["conditional", "npmi"])
    print(result.table())

Every head on every graph chooses from the same settings on images that are not reported, is run
with several seeds, and is compared, over images and seeds, with the linear head and with its own
controls: no edges, random edges of the same degrees, permuted labels, and the trained head with
its edges ablated. Results lie in a folder; an interrupted benchmark goes on where it stopped.
:meth:`BenchmarkResult.load` reads them, of several data sets together, for one report.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gatlabel.experiments.config import BenchmarkConfig, make_config
from gatlabel.experiments.report import write_report
from gatlabel.experiments.result import BenchmarkResult
from gatlabel.experiments.runner import run_benchmark

__all__ = [
    "BenchmarkConfig",
    "BenchmarkResult",
    "benchmark_graphs",
    "benchmark_heads",
    "make_config",
    "run_benchmark",
    "write_report",
]


def benchmark_graphs(*, say: Callable[[str], None] = print, **options: Any) -> BenchmarkResult:
    """Compares label graphs under one head (default: ``gat``), controls included.

    Args:
        say: Called with plain sentences about what is going on.
        **options: Of :class:`BenchmarkConfig` (``graphs``, ``heads``, ``seeds``, …) and of
            :class:`~gatlabel.training.TrainConfig` (``data``, ``root``, ``backbone``, …).

    Raises:
        InputError: If options or data are wrong, or the folder holds other results.
    """
    return run_benchmark(make_config("graphs", **options), say=say)


def benchmark_heads(*, say: Callable[[str], None] = print, **options: Any) -> BenchmarkResult:
    """Compares heads on one label graph (default: ``conditional``), controls included.

    Args:
        say: Called with plain sentences about what is going on.
        **options: As for :func:`benchmark_graphs`.

    Raises:
        InputError: If options or data are wrong, or the folder holds other results.
    """
    return run_benchmark(make_config("heads", **options), say=say)
