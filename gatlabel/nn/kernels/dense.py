"""Kernel *dense*: scores, softmax and sums as ``(H, L, L)`` arrays, for small graphs.

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


def dense_attention(
    source_scores: Tensor,
    target_scores: Tensor,
    values: Tensor,
    absent: Tensor | None,
    prior: Tensor | None,
    prior_weight: Tensor | None,
    negative_slope: float,
    dropout: float = 0.0,
) -> Tensor:
    """Attention over all pairs that are not absent.

    Args:
        source_scores: ``(H, L)``.
        target_scores: ``(H, L)``.
        values: ``(H, L, C)``.
        absent: bool ``(L, L)`` by target and source, true where there is no edge; ``None``: every
            pair is one.
        prior: ``(L, L)``.
        prior_weight: ``(H,)``, λ.
        negative_slope: Slope of the LeakyReLU below zero.
        dropout: Probability of dropping a weight after the softmax.

    Returns:
        ``(H, L, C)``; meaningless for a node without an in-edge (:func:`zero_isolated`).
    """
    scores = target_scores[:, :, None] + source_scores[:, None, :]
    scores = F.leaky_relu(scores, negative_slope)
    if prior is not None and prior_weight is not None:
        scores = scores + prior_weight[:, None, None] * prior
    if absent is not None:
        # Added, in place: masking would pass over (H, L, L) once more in the backward pass, to zero
        # gradients that the softmax has made zero already.
        scores = scores.add_(absent.to(scores.dtype) * NO_EDGE)
    return torch.bmm(F.dropout(scores.softmax(-1), dropout), values)


def zero_isolated(adjacency: Adjacency, out: Tensor) -> Tensor:
    """Zeroes ``(H, L, C)`` at the nodes without an in-edge."""
    if not adjacency.isolated:
        return out
    connected = torch.zeros_like(out[0, :, 0]).index_fill(0, adjacency.target, 1.0)
    return out * connected[:, None]
