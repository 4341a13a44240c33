"""The benchmarks, as functions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gatlabel.experiments.config import make_config
from gatlabel.experiments.result import BenchmarkResult
from gatlabel.experiments.runner import run_benchmark


def benchmark_graphs(*, log: Callable[[str], None] = print, **options: Any) -> BenchmarkResult:
    """Compares label graphs under one head (default: ``gat``), including controls.

    Args:
        log: Called with progress messages.
        **options: Options of :class:`BenchmarkConfig` (``graphs``, ``heads``, ``seeds``, …) and of
            :class:`~gatlabel.training.TrainConfig` (``data``, ``root``, ``backbone``, …).

    Raises:
        InputError: If options or data are wrong, or the folder contains other results.
    """
    return run_benchmark(make_config("graphs", **options), log=log)


def benchmark_heads(*, log: Callable[[str], None] = print, **options: Any) -> BenchmarkResult:
    """Compares heads on one label graph (default: ``conditional``), including controls.

    Args:
        log: Called with progress messages.
        **options: As for :func:`benchmark_graphs`.

    Raises:
        InputError: If options or data are wrong, or the folder contains other results.
    """
    return run_benchmark(make_config("heads", **options), log=log)


def benchmark_methods(*, log: Callable[[str], None] = print, **options: Any) -> BenchmarkResult:
    """Compares classical methods with the linear and the graph-attention head on frozen features.

    Args:
        log: Called with progress messages.
        **options: As for :func:`benchmark_graphs`; ``methods`` lists the classical ones.

    Raises:
        InputError: If options or data are wrong, or the folder contains other results.
    """
    return run_benchmark(make_config("methods", **options), log=log)
