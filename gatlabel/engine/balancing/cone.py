"""Weights of UPGrad and DualProj: projections of gradients onto their dual cone."""

from __future__ import annotations

from gatlabel.engine.balancing.algebra import Matrix, dot, solved, with_trace_1

#: Added to the diagonal of Gramians of trace 1, as in torchjd, so that they are positive definite.
REGULARIZATION = 1e-4
_TOLERANCE = 1e-12


def upgrad_weights(gramian: Matrix) -> list[float] | None:
    """Returns the weights of UPGrad (Quinton and Rey 2024, arXiv:2406.16232, equation 4).

    The mean of the gradients, each projected onto the dual cone. Unlike in torchjd, the Gramian of
    small gradients is also scaled to trace 1; there they would have equal weights.
    """
    count, regular = len(gramian), _regular(gramian)
    weights = [0.0] * count
    for k in range(count):
        projected = _projected(regular, [1 / count if i == k else 0.0 for i in range(count)])
        if projected is None:
            return None
        weights = [old + new for old, new in zip(weights, projected, strict=True)]
    return weights


def dualproj_weights(gramian: Matrix) -> list[float] | None:
    """Returns the weights of the mean gradient, projected (Lopez-Paz and Ranzato 2017, eq. 11)."""
    return _projected(_regular(gramian), [1 / len(gramian)] * len(gramian))


def _regular(gramian: Matrix) -> list[list[float]]:
    regular = with_trace_1(gramian)
    for k, row in enumerate(regular):
        row[k] += REGULARIZATION
    return regular


def _projected(gramian: Matrix, start: list[float]) -> list[float] | None:
    r"""Returns weights of the projection of a mean of gradients onto the dual cone.

    They are the minimum of :math:`v^\top G v` with :math:`v \ge start`, found by the active-set
    method of Lawson and Hanson (1974, chapter 23).
    """
    weights, free = list(start), []  # numbers of the weights that are not at their bound
    for _ in range(10 * len(start)):
        slopes = [(dot(row, weights), k) for k, row in enumerate(gramian) if k not in free]
        slope, steepest = min(slopes, default=(0, 0))
        if slope >= -_TOLERANCE:
            return weights
        free.append(steepest)
        while True:
            bound = [0.0 if k in free else value for k, value in enumerate(start)]
            inner = [[gramian[i][j] for j in free] for i in free]
            found = solved(inner, [-dot(gramian[i], bound) for i in free])
            if found is None:
                return None
            moves = {k: new - weights[k] for k, new in zip(free, found[0], strict=True)}
            limits = {
                k: (start[k] - weights[k]) / move
                for k, move in moves.items()
                if weights[k] + move < start[k]
            }
            step = min(limits.values(), default=1.0)
            for k, move in moves.items():
                weights[k] += step * move
            if not limits:
                break
            first = min(limits, key=limits.__getitem__)  # the first to reach its bound
            weights[first] = start[first]
            free.remove(first)
    return None
