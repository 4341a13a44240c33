"""Algebra of small matrices in Python numbers.

With a few tasks, one call into an array library takes longer than the whole computation.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt
from operator import mul

#: Rows of numbers.
Matrix = Sequence[Sequence[float]]
SINGULAR = 1e-13  # squared distance from the span of other gradients, relative to a gradient


def dot(one: Sequence[float], two: Sequence[float]) -> float:
    """Returns the inner product."""
    return sum(map(mul, one, two))


def with_trace_1(gramian: Matrix) -> list[list[float]]:
    """Returns the Gramian with trace 1."""
    trace = sum(row[k] for k, row in enumerate(gramian))
    return divided(gramian, [sqrt(trace)] * len(gramian))


def divided(gramian: Matrix, norms: Sequence[float]) -> list[list[float]]:
    """Returns the Gramian of gradients of which each is divided by its number."""
    return [
        [value / (a * b) for value, b in zip(row, norms, strict=True)]
        for row, a in zip(gramian, norms, strict=True)
    ]


def solved(
    matrix: Matrix, *columns: Sequence[float], singular: float = SINGULAR
) -> list[list[float]] | None:
    """Returns the solution for each column by Gauss-Jordan elimination.

    It is ``None`` unless the matrix is positive definite, with a margin of ``singular``.
    """
    rows = [[*row, *right] for row, right in zip(matrix, zip(*columns, strict=True), strict=True)]
    for k, own in enumerate(rows):
        pivot = own[k]
        if pivot <= singular * matrix[k][k]:
            return None
        rows[k] = own = [value / pivot for value in own]
        for i, row in enumerate(rows):
            if i != k:
                rows[i] = [value - row[k] * other for value, other in zip(row, own, strict=True)]
    return [[row[len(rows) + c] for row in rows] for c in range(len(columns))]
