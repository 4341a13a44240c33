"""Thresholds by trying all of them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.floating]
Targets = NDArray[np.integer]


def missed_share(p: Values, y: Targets, threshold: float) -> Values:
    """The share of each image's present labels below a threshold; 0 if it has none."""
    present = y == 1
    missed = (present & (p < threshold)).sum(1)
    return np.where(present.any(1), missed / np.maximum(present.sum(1), 1), 0.0)


def conformal(p: Values, y: Targets, alpha: float) -> float:
    """The largest threshold in [0, 1] with ``(n R + 1) / (n + 1) <= alpha``, or 0."""
    kept = (y >= 0).any(1)
    p, y = p[kept], y[kept]

    def allowed(threshold: float) -> bool:
        return missed_share(p, y, threshold).sum() + 1 <= alpha * (len(p) + 1) + 1e-9

    tried = [t for t in {*p.flatten().tolist(), 0.0, 1.0} if allowed(t)]
    return max(tried, default=0.0)


def best_f1(p: Values, y: Targets) -> float:
    """The largest F1 of one label over all thresholds; ``y`` has no unknown entries."""
    found = [0.0]
    for threshold in {*p.tolist(), 0.0}:
        chosen = p >= threshold
        hits = (chosen & (y == 1)).sum()
        found.append(2 * hits / max(1, chosen.sum() + (y == 1).sum()))
    return max(found)


def f1_at(p: Values, y: Targets, threshold: float) -> float:
    """F1 of one label at a threshold."""
    chosen = p >= threshold
    return float(2 * (chosen & (y == 1)).sum() / max(1, chosen.sum() + (y == 1).sum()))
