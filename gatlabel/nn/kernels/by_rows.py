"""Attention over all pairs of nodes, in blocks of rows: bounded memory for scores of any size."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn import functional as F

from gatlabel.nn.kernels.dense import empty_by_node

# Number of scores in a block of rows.
BLOCK = 1 << 19


def forward(s: Tensor, t: Tensor, values: Tensor, slope: float) -> Tensor:
    """Computes ``out[h, i] = Σ_j softmax_j(LeakyReLU(t[h, i] + s[h, j])) values[h, j]``.

    Args:
        s: ``(H, L)``.
        t: ``(H, L)``.
        values: ``(H, L, C)``.
        slope: Slope of the LeakyReLU below zero.

    Returns:
        ``(H, L, C)``, laid out node by node in memory.
    """
    out = empty_by_node(values)
    for rows in _blocks(s):
        scores = F.leaky_relu(_raw(s, t, rows), slope)
        out[:, rows] = torch.bmm(scores.softmax(-1), values)
    return out


def backward(
    s: Tensor, t: Tensor, values: Tensor, grad: Tensor, slope: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Returns the gradients of ``s``, ``t`` and ``values``, given that of the output."""
    d_s, d_t, d_v = torch.zeros_like(s), torch.empty_like(t), empty_by_node(values).zero_()
    for rows in _blocks(s):
        raw = _raw(s, t, rows)
        weights = F.leaky_relu(raw, slope).softmax(-1)  # (H, rows, L)
        own = grad[:, rows]
        d_v += torch.bmm(weights.transpose(1, 2), own)
        d_weights = torch.bmm(own, values.transpose(1, 2))
        d_scores = weights * (d_weights - (weights * d_weights).sum(-1, keepdim=True))
        d_raw = torch.where(raw > 0, d_scores, slope * d_scores)
        d_s += d_raw.sum(1)
        d_t[:, rows] = d_raw.sum(2)
    return d_s, d_t, d_v


def _blocks(s: Tensor) -> Iterator[slice]:
    heads, nodes = s.shape
    step = max(1, BLOCK // (heads * nodes))
    return (slice(row, min(nodes, row + step)) for row in range(0, nodes, step))


def _raw(s: Tensor, t: Tensor, rows: slice) -> Tensor:
    """Returns the scores ``(H, rows, L)`` before the LeakyReLU."""
    return t[:, rows, None] + s[:, None, :]
