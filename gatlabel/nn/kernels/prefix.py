"""Sums of the first or last rows of a matrix, in blocks: matrix products do most of the work."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

BLOCK = 16


def prefix_sums(x: Tensor) -> Tensor:
    """Sums of the first ``k`` rows, for ``k = 0 … L``.

    Args:
        x: ``(L, C)``.

    Returns:
        ``(L + 1, C)``; row 0 is zero.
    """
    rows = len(x)
    out, inside, blocks = _blocked(x, 1)
    torch.matmul(x.new_ones(BLOCK, BLOCK).tril_(), blocks, out=inside)
    inside[1:] += inside[:-1, -1].cumsum(0)[:, None]
    out[0] = 0
    return out[: rows + 1]


def suffix_sums(x: Tensor) -> Tensor:
    """Sums of the rows from ``k`` on, for ``k = 0 … L``.

    Added up from the end, never as the total less a prefix: that would lose the small tails.

    Args:
        x: ``(L, C)``.

    Returns:
        ``(L + 1, C)``; the last row is zero.
    """
    rows = len(x)
    out, inside, blocks = _blocked(x, 0)
    torch.matmul(x.new_ones(BLOCK, BLOCK).triu_(), blocks, out=inside)
    inside[:-1] += inside[1:, 0].flip(0).cumsum(0).flip(0)[:, None]
    out[rows:] = 0
    return out[: rows + 1]


def _blocked(x: Tensor, first: int) -> tuple[Tensor, Tensor, Tensor]:
    """Room for the sums, its rows from ``first`` on in blocks, and the padded rows in blocks."""
    rows, channels = x.shape
    count = -(-rows // BLOCK)
    out = x.new_empty(count * BLOCK + 1, channels)
    inside = out[first : first + count * BLOCK].view(count, BLOCK, channels)
    padded = F.pad(x, (0, 0, 0, count * BLOCK - rows)).view(count, BLOCK, channels)
    return out, inside, padded
