"""Metrics as text: means over seeds, and differences with their intervals."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from gatlabel.experiments.comparisons import Comparison
from gatlabel.experiments.statistics import Difference

NOTHING = "–"


def points(value: float | None) -> str:
    """Returns a difference in points of mAP with its sign, ``+1.2``, or ``–`` for none."""
    if value is None or math.isnan(value):
        return NOTHING
    return f"{round(100 * value, 1) + 0.0:+.1f}".replace("-", "−")  # no minus zero


def mean_and_deviation(values: Sequence[float]) -> str:
    """Returns ``25.8 ± 0.2``, in points; the deviation is the sample's over seeds."""
    mean = float(np.mean(values)) if values else math.nan
    if math.isnan(mean):
        return NOTHING
    spread = f" ± {100 * np.std(values, ddof=1):.1f}" if len(values) > 1 else ""
    return f"{100 * mean:.1f}{spread}"


def stated(comparison: Comparison) -> str:
    """Returns ``+1.2 points (95 % interval +0.3 to +2.1)``, or ``+1.2 points (no interval)``."""
    d = comparison.difference
    if d.low is None:
        return f"{points(d.value)} points (no interval)"
    return f"{points(d.value)} points (95 % interval {points(d.low)} to {points(d.high)})"


def with_ends(d: Difference) -> str:
    """Returns ``+0.5 [−0.1, +1.1]``, or ``+0.5 [–]`` if there is no interval."""
    ends = NOTHING if d.low is None else f"{points(d.low)}, {points(d.high)}"
    return f"{points(d.value)} [{ends}]"


def interval(comparison: Comparison) -> str:
    """Returns :func:`with_ends`, with a star if the difference is significant."""
    star = " *" if comparison.better or comparison.worse else ""
    return with_ends(comparison.difference) + star
