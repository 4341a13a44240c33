"""Evidence of the known labels of an image about its unknown ones, along the edges of the graph."""

from __future__ import annotations

import torch
from torch import Tensor

from gatlabel.graph import LabelGraph

STEPS = 30  # Newton's method needs about five
TOLERANCE = 1e-6


def neighbour_weights(
    values: Tensor,
    targets: Tensor,
    known: Tensor,
    rates: Tensor,
    graph: LabelGraph,
    *,
    shrinkage: float = 1.0,
    neighbours: int = 16,
) -> tuple[Tensor, Tensor]:
    r"""Fits how much each in-neighbour shifts the log-odds of a label.

    One logistic regression per label i over the images n in which it is known:

    .. math:: \operatorname{logit} P(y_{ni} = 1) = \operatorname{logit} \pi_i + b_i
              + \sum_{j \to i} w_{ij} v_{nj},

    with a normal prior of variance ``1 / shrinkage`` on every w and b. This is the
    pseudo-likelihood of an Ising model restricted to the graph (Besag 1975; Ravikumar, Wainwright
    and Lafferty 2010, with an l2 penalty instead of l1). Pairs that are seldom known together get
    little weight.

    Args:
        values: v, ``(N, L)``: target minus rate where known, 0 where unknown.
        targets: y, ``(N, L)``, used where known; soft targets count fractionally.
        known: bool ``(N, L)``.
        rates: The label frequencies pi, ``(L,)``, inside (0, 1).
        graph: The label graph; the weights of its edges are not used.
        shrinkage: Above 0.
        neighbours: Maximum number of in-neighbours per label; those with the largest score
            statistic (the slope of the likelihood at 0 over its standard error) are used.

    Returns:
        Edges int64 ``(2, E')``, row 0 sources, row 1 targets, and their weights float32 ``(E',)``.
    """
    sources, targets_of = graph.edge_index[:, graph.edge_index[0] != graph.edge_index[1]]
    base = torch.logit(rates.double())
    edges, weights = [torch.zeros(2, 0, dtype=torch.int64)], [torch.zeros(0)]
    for label in targets_of.unique().tolist():
        near = sources[targets_of == label]
        rows = known[:, label]
        inputs = values[rows][:, near].double()  # (n, K)
        wanted = targets[rows, label].double()
        if len(near) > neighbours:
            size = inputs.square().sum(0).sqrt().clamp(min=1e-12)
            score = ((wanted - rates[label]) @ inputs / size).abs()
            best = score.argsort(descending=True, stable=True)[:neighbours]
            near, inputs = near[best], inputs[:, best]
        fitted = _logistic(inputs, wanted, base[label], shrinkage)
        edges.append(torch.stack([near, torch.full_like(near, label)]))
        weights.append(fitted.float())
    return torch.cat(edges, 1), torch.cat(weights)


def neighbour_evidence(values: Tensor, edges: Tensor, weights: Tensor) -> Tensor:
    """Sums the evidence of the neighbours: ``g[n, i] = Σ_{j -> i} w_ij v[n, j]``, in log-odds.

    Args:
        values: ``(N, L)``, 0 where a neighbour is unknown and contributes nothing.
        edges: int64 ``(2, E)``, row 0 sources, row 1 targets.
        weights: ``(E,)``.

    Returns:
        ``(N, L)``.
    """
    labels = values.shape[1]
    matrix = torch.sparse_coo_tensor(
        edges.flip(0), weights, (labels, labels), check_invariants=True
    )
    return torch.sparse.mm(matrix, values.T).T.contiguous()


def _logistic(inputs: Tensor, targets: Tensor, base: Tensor, shrinkage: float) -> Tensor:
    """Fits a ridge logistic regression by Newton's method; returns the K slopes, without b."""
    design = torch.cat([inputs, torch.ones(len(inputs), 1, dtype=inputs.dtype)], 1)
    weight = torch.zeros(design.shape[1], dtype=inputs.dtype)
    penalty = shrinkage * torch.eye(len(weight), dtype=inputs.dtype)
    for _ in range(STEPS):
        chance = torch.sigmoid(base + design @ weight)
        slope = design.T @ (targets - chance) - shrinkage * weight
        curvature = design.T @ (design * (chance * (1 - chance))[:, None]) + penalty
        step: Tensor = torch.linalg.solve(curvature, slope)
        # the curvature of the likelihood decreases on both sides, so long steps may overshoot
        step = step * (2.0 / step.abs().max().clamp(min=2.0))
        weight = weight + step
        if float(step.abs().max()) < TOLERANCE:
            break
    return weight[:-1]
