"""Kernel *dense*: scores, softmax and sums as ``(H, L, L)`` arrays, for small or dense graphs.

``A_h = softmax(LeakyReLU(t_h(i) + s_h(j)) + λ_h prior(i,j))`` over the sources ``j`` that send to
``i``, ``out_h = A_h V_h``. Time ``O(H L² C)``, memory ``O(H L²)``; few large operators.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from gatlabel.nn.kernels.adjacency import Adjacency

# The score where there is no edge. Finite, so that a row without any edge stays finite too.
NO_EDGE = -1e30


def dense_weights(
    adjacency: Adjacency,
    source_scores: Tensor,
    target_scores: Tensor,
    prior: Tensor | None,
    prior_weight: Tensor | None,
    negative_slope: float,
) -> Tensor:
    """Attention weights of every pair.

    Args:
        adjacency: A simple graph: no edge stands twice.
        source_scores: ``(H, L)``.
        target_scores: ``(H, L)``.
        prior: ``(E,)``, one value an edge in sorted order.
        prior_weight: ``(H,)``, λ.
        negative_slope: Slope of the LeakyReLU below zero.

    Returns:
        ``(H, L, L)`` by target and source; rows of nodes without an in-edge are meaningless.
    """
    scores = target_scores[:, :, None] + source_scores[:, None, :]
    scores = F.leaky_relu(scores, negative_slope)
    if prior is not None and prior_weight is not None:
        scores = scores + prior_weight[:, None, None] * adjacency.matrix(prior)
    if not adjacency.complete:
        # Added, in place: masking would pass over (H, L, L) once more in the backward pass, to zero
        # gradients that the softmax has made zero already.
        penalty = torch.zeros_like(scores[0]).masked_fill(adjacency.no_edge(), NO_EDGE)
        scores = scores.add_(penalty)
    return scores.softmax(-1)


def dense_sum(adjacency: Adjacency, weights: Tensor, values: Tensor) -> Tensor:
    """``out[h, i] = Σ_j weights[h, i, j] · values[h, j]``, zero for a node without an in-edge.

    Args:
        adjacency: The graph.
        weights: ``(H, L, L)`` by target and source.
        values: ``(H, L, C)``.
    """
    out = torch.bmm(weights, values)
    if not adjacency.isolated:
        return out
    connected = torch.zeros_like(out[0, :, 0]).index_fill(0, adjacency.target, 1.0)
    return out * connected[:, None]
