"""Experiments: does the label graph help on these data, and which graph?

Three lines run a benchmark with all controls::

    from gatlabel.experiments import benchmark_graphs
    result = benchmark_graphs(data="scenes", graphs=["conditional", "npmi"])
    print(result.table())

The hyperparameters of every head on every graph are chosen from the same settings on images that
are not reported, and it is trained with several seeds. It is compared, over images and seeds, with
the linear head and with its own controls: no edges, random edges of the same degrees, permuted
labels, and the trained head with its edges ablated. Results are stored in a folder; an interrupted
benchmark resumes there.
:meth:`BenchmarkResult.load` reads them, for several data sets together, for one report.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gatlabel.lazy import lazy_names

if TYPE_CHECKING:
    from gatlabel.experiments.benchmarks import (
        benchmark_graphs,
        benchmark_heads,
        benchmark_methods,
    )
    from gatlabel.experiments.config import BenchmarkConfig, make_config
    from gatlabel.experiments.report import write_report
    from gatlabel.experiments.result import BenchmarkResult
    from gatlabel.experiments.runner import run_benchmark
else:
    __getattr__, __dir__ = lazy_names(__name__)

__all__ = [
    "BenchmarkConfig",
    "BenchmarkResult",
    "benchmark_graphs",
    "benchmark_heads",
    "benchmark_methods",
    "make_config",
    "run_benchmark",
    "write_report",
]
