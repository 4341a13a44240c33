"""Weights of MGDA and CAGrad, which are minima over weights at least 0 of sum 1."""

from __future__ import annotations

from math import inf, sqrt

from gatlabel.engine.balancing.algebra import Matrix, dot, solved, with_trace_1

C, NORM = 0.5, 1e-4  # CAGrad's radius; the norm below which tasks are at a Pareto optimum
STEPS, SMALLEST_STEP = 100, 1e-3  # of MGDA
_TOLERANCE = 1e-12


def mgda_weights(gramian: Matrix) -> list[float]:
    """Returns the weights of MGDA: the shortest mean (Sener and Koltun 2018, algorithm 2).

    Frank and Wolfe's method, which stops as in torchjd, before it has converged.
    """
    weights = [1 / len(gramian)] * len(gramian)
    products = [sum(row) / len(gramian) for row in gramian]  # of the mean and each gradient
    for _ in range(STEPS):
        best = products.index(min(products))
        row = gramian[best]
        toward, square, own = products[best], dot(weights, products), row[best]
        if own <= toward or square <= toward:
            step = float(own <= toward)
        else:
            step = (square - toward) / (square + own - 2 * toward)
        weights = [(1 - step) * weight for weight in weights]
        weights[best] += step
        products = [(1 - step) * a + step * b for a, b in zip(products, row, strict=True)]
        if step < SMALLEST_STEP:
            break
    return weights


def cagrad_weights(gramian: Matrix) -> list[float] | None:
    r"""Returns the weights of CAGrad (Liu et al., NeurIPS 2021, arXiv:2110.14048, equation 5).

    .. math:: \min_{w \in \Delta} w^\top G u + c \|u\|_G \|w\|_G, \qquad u = 1 / K
    """
    count, scaled = len(gramian), with_trace_1(gramian)
    linear = [sum(row) / count for row in scaled]
    radius = C * sqrt(max(sum(linear) / count, 0))
    weights = _on_simplex(scaled, linear, radius)
    if weights is None:
        return None
    norm = sqrt(max(dot(weights, [dot(row, weights) for row in scaled]), 0))
    return [1 / count + radius / norm * w if norm >= NORM else 0.0 for w in weights]


def _on_simplex(gramian: Matrix, linear: list[float], radius: float) -> list[float] | None:
    r"""Returns the minimum of :math:`l^\top w + r \|w\|_G` over weights at least 0 of sum 1.

    On the set of tasks with a positive weight it is the root of a quadratic equation. An active-set
    method, from one task on, finds the set.
    """
    count = len(gramian)
    costs = [linear[k] + radius * sqrt(row[k]) for k, row in enumerate(gramian)]
    active, weights = [costs.index(min(costs))], [1.0]
    for _ in range(10 * count):
        inner = [[gramian[i][j] for j in active] for i in active]
        found = _on_face(inner, [linear[i] for i in active], radius, weights)
        if found is None:
            return None
        move, bounded = found
        limits = [-w / m if m < 0 else inf for w, m in zip(weights, move, strict=True)]
        step = min([*limits, 1.0] if bounded else limits)
        if step == inf:
            return None
        weights = [w + step * m for w, m in zip(weights, move, strict=True)]
        if step in limits:  # up to the first weight that becomes 0
            first = limits.index(step)
            del active[first], weights[first]
            continue
        norm = sqrt(max(dot(weights, [dot(row, weights) for row in inner]), 0))
        if norm == 0:
            return None
        products = [dot([row[j] for j in active], weights) for row in gramian]
        slope = [a + radius * b / norm for a, b in zip(linear, products, strict=True)]
        level = dot([slope[i] for i in active], weights)
        others = [(slope[k] - level, k) for k in range(count) if k not in active]
        slack, worst = min(others, default=(0, 0))
        if slack >= -_TOLERANCE:
            found_weights = dict(zip(active, weights, strict=True))
            return [found_weights.get(k, 0.0) for k in range(count)]
        active.append(worst)
        weights.append(0.0)
    return None


def _on_face(
    gramian: Matrix, linear: list[float], radius: float, weights: list[float]
) -> tuple[list[float], bool] | None:
    """Returns the way to the minimum over the weights of the active tasks, of sum 1.

    Where there is no minimum, it is a direction of descent, and the second value is false.
    """
    found = solved(gramian, [1.0] * len(gramian), linear)
    if found is None:
        return None
    ones, slope = found
    a, b = sum(ones), sum(slope)
    inside = b**2 - a * (dot(linear, slope) - radius**2)
    pairs = zip(ones, slope, strict=True)
    if inside <= 0:
        return [b / a * one - own for one, own in pairs], False
    root = sqrt(inside)
    best = [((b + root) / a * one - own) / root for one, own in pairs]
    return [new - old for new, old in zip(best, weights, strict=True)], True
