"""Kernel *dense*: scores, softmax and sums as ``(H, L, L)`` arrays, for small graphs.

``A_h = softmax(LeakyReLU(t_h(i) + s_h(j)) + λ_h prior(i,j))`` over the in-neighbours ``j`` of
``i``, ``out_h = A_h V_h``. Time ``O(H L² C)``, memory ``O(H L²)``; few large operators.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from gatlabel.nn.kernels.adjacency import Adjacency


def dense_attention(
    source_scores: Tensor,
    target_scores: Tensor,
    values: Tensor,
    absent: Tensor | None,
    alone: Tensor | None,
    prior: Tensor | None,
    prior_weight: Tensor | None,
    negative_slope: float,
    dropout: float = 0.0,
) -> Tensor:
    """Computes attention over all pairs with an edge.

    Args:
        source_scores: ``(H, L)``.
        target_scores: ``(H, L)``.
        values: ``(H, L, C)``.
        absent: bool ``(L, L)`` by target and source, true where there is no edge; ``None`` means
            that every pair has an edge.
        alone: int64 ``(K,)``, targets without in-edges, if any.
        prior: ``(L, L)``.
        prior_weight: ``(H,)``, λ.
        negative_slope: Slope of the LeakyReLU below zero.
        dropout: Probability of dropping a weight after the softmax.

    Returns:
        ``(H, L, C)``; meaningless for a node without an in-edge (:func:`zero_isolated`).
    """
    if absent is not None:
        source_scores = without_nan(source_scores)
    scores = target_scores[:, :, None] + source_scores[:, None, :]
    scores = F.leaky_relu(scores, negative_slope)
    if prior is not None and prior_weight is not None:
        scores = scores + prior_weight[:, None, None] * prior
    if absent is not None:
        # Outside autograd: the softmax already makes the gradients of masked scores zero, and the
        # backward pass of a mask would process (H, L, L) once more.
        with torch.no_grad():
            scores.clamp_(max=highest_scores(absent, scores.dtype))
            if alone is not None:  # finite, so that gradients of zero stay zero
                scores.index_fill_(1, alone, 0.0)
    return torch.bmm(F.dropout(scores.softmax(-1), dropout), values)


def highest_scores(absent: Tensor, dtype: torch.dtype) -> Tensor:
    """Returns upper bounds ``(R, L)`` that mask scores: ``-inf`` without an edge, else ``inf``.

    Args:
        absent: bool ``(R, L)``, rows of targets.
        dtype: Dtype of the scores.
    """
    return (absent.to(dtype) - 0.5).mul_(-math.inf)  # arithmetic is faster than masked_fill


def without_nan(source_scores: Tensor) -> Tensor:
    """Replaces NaN in source scores by infinity: both make a softmax NaN, but NaN is not maskable.

    A NaN in target scores affects its own row only. Outside autograd: no gradient would change.
    """
    scores = source_scores.clone()
    with torch.no_grad():
        return scores.nan_to_num_(math.inf, math.inf, -math.inf)


def zero_isolated(adjacency: Adjacency, out: Tensor) -> Tensor:
    """Sets ``(H, L, C)`` to zero at the nodes without in-edges."""
    return out.index_fill(1, adjacency.alone, 0.0) if adjacency.isolated else out


def empty_by_node(values: Tensor) -> Tensor:
    """Returns uninitialised memory with the shape of the values, laid out node by node.

    Args:
        values: ``(H, L, C)``.

    Returns:
        ``(H, L, C)``. ``result.transpose(0, 1).flatten(1)``, ``(L, H C)``, is a view of it, so
        joining the heads needs no copy.
    """
    heads, nodes, channels = values.shape
    return values.new_empty(nodes, heads, channels).transpose(0, 1)
