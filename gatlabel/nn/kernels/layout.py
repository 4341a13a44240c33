"""How results lie in memory: node by node, so that to join the heads copies nothing."""

from __future__ import annotations

from torch import Tensor


def room_by_node(values: Tensor) -> Tensor:
    """Room, not filled, for a result with the shape of the values.

    Args:
        values: ``(H, L, C)``.

    Returns:
        ``(H, L, C)``; ``result.transpose(0, 1).flatten(1)``, ``(L, H C)``, is a view of it.
    """
    heads, nodes, channels = values.shape
    return values.new_empty(nodes, heads, channels).transpose(0, 1)
