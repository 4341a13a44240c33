"""Weights of combined gradients from their Gramian.

Gramians have K rows of K numbers and a positive diagonal. Where a solver returns ``None``, because
gradients are nearly parallel, torchjd computes the weights.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import inf, sqrt

import torch

from gatlabel.engine.balancing.algebra import Matrix, divided, dot, solved
from gatlabel.engine.balancing.cone import dualproj_weights, upgrad_weights
from gatlabel.engine.balancing.simplex import cagrad_weights, mgda_weights

SMALL = 1e-8  # added to denominators, as in torchjd
PARALLEL = 1e-5  # squared sine of an angle that rounding in float32 would change
PRECISION = 2.0**-23  # smallest eigenvalue, relative to the largest, in float32
_STEPS, _TOLERANCE = 100, 1e-12


def surgery_weights(
    gramian: Matrix, orders: Sequence[Sequence[int]], targets: list[list[float]], decay: float
) -> list[float]:
    r"""Returns the weights of GradVac (Wang et al., ICLR 2021, equations 2 and 3), or PCGrad.

    To gradient i, one gradient j after another is added so that their cosine similarity is at least
    the target. The targets follow the similarities. PCGrad (Yu et al., NeurIPS 2020, algorithm 1)
    has targets that remain 0.

    Args:
        gramian: G ``(K, K)``.
        orders: For each gradient, all K numbers in the order in which others are added.
        targets: Target similarities ``(K, K)``, which are updated in place.
        decay: Rate β of the update; 0 for PCGrad.
    """
    norms = [sqrt(row[k]) for k, row in enumerate(gramian)]
    unit = divided(gramian, norms)
    weights = [1.0] * len(gramian)
    for i, order in enumerate(orders):
        products, square = unit[i], 1.0  # of gradient i, of norm 1 before the first is added
        for j in order:
            if j == i:
                continue
            norm, target = sqrt(max(square, 0)), targets[i][j]
            cosine = products[j] / (norm + SMALL)
            if cosine < target:
                root = sqrt(max(1 - target**2, 0))
                added = norm * (target * sqrt(max(1 - cosine**2, 0)) - cosine * root)
                added /= root + SMALL
                weights[j] += added * norms[i] / norms[j]
                square += 2 * added * products[j] + added**2
                products = [a + added * b for a, b in zip(products, unit[j], strict=True)]
            targets[i][j] += decay * (cosine - target)
    return weights


def aligned_weights(gramian: Matrix) -> list[float]:
    """Returns the weights of Aligned-MTL (Senushkin et al., CVPR 2023, algorithm 1).

    The mean of the principal components, all scaled to the norm of the smallest.
    """
    values, vectors = (
        x.tolist() for x in torch.linalg.eigh(torch.tensor(gramian, dtype=torch.float64))
    )
    columns = zip(values, zip(*vectors, strict=True), strict=True)
    least = values[-1] * len(gramian) * PRECISION
    kept = [(value, column) for value, column in columns if value > least]
    smallest = kept[0][0]
    factors = [sqrt(smallest / value) * sum(column) / len(column) for value, column in kept]
    rows = zip(*(column for _, column in kept), strict=True)
    return [dot(row, factors) for row in rows]


def imtlg_weights(gramian: Matrix) -> list[float] | None:
    """Returns the weights of IMTL-G (Liu et al., ICLR 2021, equation 6).

    The combined gradient has the same projection on all gradients; the sum of the weights is 1.
    """
    found = solved(gramian, [sqrt(row[k]) for k, row in enumerate(gramian)], singular=PARALLEL)
    total = 0.0 if found is None else sum(found[0])
    return None if found is None or not total else [value / total for value in found[0]]


def fairgrad_weights(gramian: Matrix) -> list[float] | None:
    r"""Returns the weights of FairGrad with α = 1 (Ban and Ji, 2024, arXiv:2402.15638).

    The solution of :math:`G w = 1 / w` minimises :math:`\tfrac{1}{2} w^\top G w - \sum_k \log w_k`,
    which is convex: damped Newton steps converge from any start.
    """
    norms = [sqrt(row[k]) for k, row in enumerate(gramian)]
    unit = divided(gramian, norms)  # of gradients of norm 1
    weights = [1.0] * len(unit)
    decrement = inf
    for _ in range(_STEPS):
        slope = [dot(row, weights) - 1 / w for row, w in zip(unit, weights, strict=True)]
        curvature = [list(row) for row in unit]
        for k, w in enumerate(weights):
            curvature[k][k] += w**-2
        found = solved(curvature, slope)
        if found is None:
            return None
        decrement = sqrt(max(dot(slope, found[0]), 0))
        if decrement < _TOLERANCE:
            break
        rate = 1 / (1 + decrement) if decrement > 0.25 else 1.0
        weights = [w - rate * step for w, step in zip(weights, found[0], strict=True)]
    if decrement >= 1e-6:
        return None
    return [w / norm for w, norm in zip(weights, norms, strict=True)]


#: By method; PCGrad and GradVac also need orders and targets.
SOLVERS: dict[str, Callable[[Matrix], list[float] | None]] = {
    "upgrad": upgrad_weights,
    "dualproj": dualproj_weights,
    "aligned": aligned_weights,
    "imtlg": imtlg_weights,
    "mgda": mgda_weights,
    "cagrad": cagrad_weights,
    "fairgrad": fairgrad_weights,
}
