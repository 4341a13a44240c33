"""The graph-convolution layer (GCL): sums node vectors along weighted edges."""

from __future__ import annotations

import torch
from torch import Tensor

# Above this share of possible edges, a dense (L, L) product is faster than gathering rows: it reads
# each value once and runs as one matrix product instead of E scattered additions.
DENSE_SHARE = 1 / 64


def propagate(values: Tensor, weights: Tensor, edge_index: Tensor) -> Tensor:
    """Sums over in-neighbours: ``out[i, h] = Σ_{j→i} weights[(j→i), h] · values[j, h]``.

    Args:
        values: ``(L, H, C)``, one vector per node and head.
        weights: ``(E, H)``, one weight per edge and head.
        edge_index: int64 ``(2, E)``, source and target of each edge; duplicate edges are allowed.

    Returns:
        ``(L, H, C)``; zero for nodes without in-edges.
    """
    source, target = edge_index[0], edge_index[1]
    nodes, heads, _ = values.shape
    if source.numel() >= DENSE_SHARE * nodes * nodes:
        # index_put with accumulation, so that the weights of duplicate edges add up
        head = torch.arange(heads, device=weights.device)[:, None]
        matrix = weights.new_zeros(heads, nodes, nodes)
        matrix = matrix.index_put((head, target, source), weights.T, accumulate=True)
        return (matrix @ values.transpose(0, 1)).transpose(0, 1)
    messages = values[source] * weights[:, :, None]
    return values.new_zeros(values.shape).index_add(0, target, messages)
