"""Kernel *dense*: scores, softmax and sums as ``(H, L, L)`` arrays, for small graphs.

``A_h = softmax(LeakyReLU(t_h(i) + s_h(j)) + λ_h prior(i,j))`` over the sources ``j`` that send to
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
    """Attention over all pairs that are not absent.

    Args:
        source_scores: ``(H, L)``.
        target_scores: ``(H, L)``.
        values: ``(H, L, C)``.
        absent: bool ``(L, L)`` by target and source, true where there is no edge; ``None``: every
            pair is one.
        alone: int64 ``(K,)``, the targets that are absent from every pair, if there are any.
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
        # Unseen by autograd: the softmax makes the gradients of what is cut off zero by itself, and
        # a mask's backward pass would go over (H, L, L) once more to do so again.
        with torch.no_grad():
            scores.clamp_(max=highest_scores(absent, scores.dtype))
            if alone is not None:  # finite, so that gradients of zero stay zero
                scores.index_fill_(1, alone, 0.0)
    return torch.bmm(F.dropout(scores.softmax(-1), dropout), values)


def highest_scores(absent: Tensor, dtype: torch.dtype) -> Tensor:
    """The bound ``(R, L)`` of scores that masks them: ``-inf`` where no edge is, ``inf`` else.

    Args:
        absent: bool ``(R, L)``, rows of targets.
        dtype: Of the scores.
    """
    return (absent.to(dtype) - 0.5).mul_(-math.inf)  # by numbers: a mask is slow to fill with


def without_nan(source_scores: Tensor) -> Tensor:
    """Puts infinity for the NaN of a source: both make a softmax NaN, but NaN cannot be masked.

    That of a target concerns its own row only. Unseen by autograd: no gradient would change.
    """
    scores = source_scores.clone()
    with torch.no_grad():
        return scores.nan_to_num_(math.inf, math.inf, -math.inf)


def zero_isolated(adjacency: Adjacency, out: Tensor) -> Tensor:
    """Zeroes ``(H, L, C)`` at the nodes without an in-edge, whatever stands there."""
    return out.index_fill(1, adjacency.alone, 0.0) if adjacency.isolated else out


def room_by_node(values: Tensor) -> Tensor:
    """Memory, not filled, for a result with the shape of the values, laid out node by node.

    Args:
        values: ``(H, L, C)``.

    Returns:
        ``(H, L, C)``; ``result.transpose(0, 1).flatten(1)``, ``(L, H C)``, is a view of it, so
        joining the heads copies nothing.
    """
    heads, nodes, channels = values.shape
    return values.new_empty(nodes, heads, channels).transpose(0, 1)
