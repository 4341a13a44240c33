"""Exact weights of CAGrad and FairGrad for a few tasks, without a general solver.

Both return ``None`` for a Gramian that is nearly singular, as where gradients are parallel; torchjd
then computes the weights.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float64]
C, NORM = 0.5, 1e-4  # CAGrad's radius; the norm below which tasks are at a Pareto optimum
SINGULAR = 1e-13  # smallest eigenvalue, relative to the gradients
_STEPS, _TOLERANCE = 100, 1e-12


def cagrad_weights(gramian: Matrix) -> Matrix | None:
    r"""Returns the weights of CAGrad (Liu et al., NeurIPS 2021, arXiv:2110.14048, equation 5).

    .. math:: \min_{w \in \Delta} w^\top G u + c \|u\|_G \|w\|_G, \qquad u = 1 / K

    On the set of tasks with a positive weight the minimum is the root of a quadratic equation. An
    active-set method, from one task on, finds the set.

    Args:
        gramian: G ``(K, K)``.
    """
    count = len(gramian)
    scaled = gramian / np.trace(gramian)
    if np.linalg.eigvalsh(scaled)[0] < SINGULAR:
        return None
    linear = scaled.mean(1)
    radius = C * np.sqrt(linear.mean())
    best = (linear + radius * np.sqrt(np.diag(scaled))).argmin()
    weights = np.eye(count)[best]
    active = weights > 0
    for _ in range(10 * count):
        move, bounded = _on_face(scaled, linear, radius, active, weights)
        shrinks = active & (move < 0)
        limits = np.where(shrinks, weights / np.where(shrinks, -move, 1), np.inf)
        if not bounded or limits.min() < 1:  # up to the first weight that becomes 0
            weights = weights + limits.min() * move
            active[limits.argmin()] = False
            weights[~active] = 0
            continue
        weights = weights + move
        norm = np.sqrt(weights @ scaled @ weights)
        slope = linear + radius * scaled @ weights / norm
        slack = slope - slope @ weights
        if slack[~active].min(initial=0) >= -_TOLERANCE:
            return 1 / count + radius / norm * weights if norm >= NORM else np.zeros(count)
        active[np.where(active, 0, slack).argmin()] = True
    return None


def _on_face(
    gramian: Matrix, linear: Matrix, radius: float, active: NDArray[np.bool_], weights: Matrix
) -> tuple[Matrix, bool]:
    """Returns the way to the minimum over the weights of the active tasks, of sum 1.

    Where there is no minimum, it is a direction of descent, and the second value is false.
    """
    inner = gramian[np.ix_(active, active)]
    ones, slope = np.linalg.solve(inner, np.stack([np.ones(len(inner)), linear[active]], 1)).T
    a, b = ones.sum(), slope.sum()
    inside = b**2 - a * (linear[active] @ slope - radius**2)
    way = np.zeros(len(gramian))
    if inside <= 0:
        way[active] = b / a * ones - slope
        return way, False
    level = (b + np.sqrt(inside)) / a
    way[active] = (level * ones - slope) / np.sqrt(inside) - weights[active]
    return way, True


def fairgrad_weights(gramian: Matrix) -> Matrix | None:
    r"""Returns the weights of FairGrad with α = 1 (Ban and Ji, 2024, arXiv:2402.15638).

    The solution of :math:`G w = 1 / w` minimises :math:`\tfrac{1}{2} w^\top G w - \sum_k \log w_k`,
    which is convex: damped Newton steps converge from any start.

    Args:
        gramian: G ``(K, K)``.
    """
    size = np.sqrt(np.diag(gramian))
    scaled = gramian / np.outer(size, size)  # the weights of gradients of norm 1
    if np.linalg.eigvalsh(scaled)[0] < SINGULAR:
        return None
    weights = np.ones(len(gramian))
    for _ in range(_STEPS):
        slope = scaled @ weights - 1 / weights
        step = np.linalg.solve(scaled + np.diag(weights**-2), slope)
        decrement = np.sqrt(slope @ step)
        if decrement < _TOLERANCE:
            return weights / size
        weights = weights - step / (1 + decrement if decrement > 0.25 else 1)
    return weights / size if decrement < 1e-6 else None


#: By method.
SOLVERS: dict[str, Callable[[Matrix], Matrix | None]] = {
    "cagrad": cagrad_weights,
    "fairgrad": fairgrad_weights,
}
