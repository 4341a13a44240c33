"""Softmax and sums over edges in any order by gather and scatter, which run on any device."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def scatter_softmax(scores: Tensor, targets: Tensor, nodes: int) -> Tensor:
    """Computes the softmax of edge scores over the in-edges of each node, edges in any order.

    ``α(i,j) = exp(e(i,j) − m_i) / Σ_k exp(e(i,k) − m_i)`` with ``m_i`` the largest score of ``i``.

    Args:
        scores: ``(E, H)``, any real values.
        targets: int64 ``(E,)``, the target node of each edge.
        nodes: Number of nodes L.

    Returns:
        ``(E, H)``, in [0, 1], summing to 1 over the in-edges of every node with in-edges.
    """
    index = targets[:, None].expand_as(scores)
    with torch.no_grad():  # the shift cancels, so it needs no gradient
        highest = scores.new_full((nodes, scores.shape[1]), -math.inf)
        highest = highest.scatter_reduce(0, index, scores, "amax")
    exponentials = (scores - highest[targets]).exp()
    totals = exponentials.new_zeros(nodes, scores.shape[1]).index_add(0, targets, exponentials)
    return exponentials / totals[targets]


def scatter_sum(weights: Tensor, values: Tensor, source: Tensor, target: Tensor) -> Tensor:
    """Computes ``out[h, i] = Σ_{j→i} weights[(j→i), h] · values[h, j]``.

    Args:
        weights: ``(E, H)``.
        values: ``(H, L, C)``.
        source: int64 ``(E,)``.
        target: int64 ``(E,)``.

    Returns:
        ``(H, L, C)``; zero for nodes without in-edges.
    """
    messages = values[:, source] * weights.T[:, :, None]  # (H, E, C)
    return torch.zeros_like(values).index_add(1, target, messages)
