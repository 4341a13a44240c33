"""Sums of the first or last rows of a sorted matrix.

Sums over the first ``k`` of ``L`` rows, for many ``k``, are running sums. They are computed by one
matrix product. The rows are divided into blocks of :data:`BLOCK` and laid out so that the first
rows of all blocks come first, then the second rows, and so on. A triangular matrix of ones times
this layout, as a ``(BLOCK, …)`` matrix, gives the running sums inside all blocks at once. The sums
of the preceding blocks are added afterwards.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

BLOCK = 16


@dataclass(frozen=True)
class Ranking:
    """Positions of the rows of a matrix when they are sorted and laid out in blocks.

    Attributes:
        rows: Number of rows L.
        blocks: Number of blocks.
        gather: ``(H, BLOCK · blocks)``, the row for each slot; padding uses row 0.
        slot: ``(H, L)``, the slot of each row.
    """

    rows: int
    blocks: int
    gather: Tensor
    slot: Tensor

    @classmethod
    def of(cls, order: Tensor) -> Ranking:
        """Computes the layout for the sort orders of several heads.

        Args:
            order: int64 ``(H, L)``, the row at each rank.
        """
        rows = order.shape[1]
        blocks = -(-rows // BLOCK)
        slots = _slots(torch.arange(rows, device=order.device), blocks)
        slot = torch.empty_like(order).scatter_(1, order, slots.expand_as(order))
        return cls(rows, blocks, _laid_out(order, blocks), slot)

    def lay_out(self, ranked: Tensor) -> Tensor:
        """Moves one value per rank, ``(H, L)``, into the slots; padding is zero."""
        return _laid_out(ranked, self.blocks)

    def where_first(self, count: Tensor) -> Tensor:
        """Returns where :meth:`first` finds the sum of the first ``count`` ranks (int64, 0 … L)."""
        zero = BLOCK * self.blocks  # the row of zeros
        return torch.where(count > 0, _slots(count - 1, self.blocks), zero)

    def where_last(self, start: Tensor) -> Tensor:
        """Returns where :meth:`last` finds the sum of the ranks from ``start`` (int64, 0 … L)."""
        zero = BLOCK * self.blocks
        return torch.where(start < self.rows, _slots(start, self.blocks), zero)

    def first(self, x: Tensor, where: Tensor) -> Tensor:
        """Computes sums of the first ranks.

        Args:
            x: ``(BLOCK · blocks, C)`` by slot, padding zero.
            where: ``(M,)``, from :meth:`where_first`.

        Returns:
            ``(M, C)``.
        """
        out, inside = self._buffer(x)
        triangle = x.new_ones(BLOCK, BLOCK).tril_()
        torch.mm(triangle, x.view(BLOCK, -1), out=inside.view(BLOCK, -1))
        inside[:, 1:] += inside[-1, :-1].cumsum(0)
        return out.index_select(0, where)

    def last(self, x: Tensor, where: Tensor) -> Tensor:
        """Computes sums of the last ranks.

        The sum starts from the end and is not the total minus the first ranks: that would lose
        small tails to rounding.

        Args:
            x: ``(BLOCK · blocks, C)`` by slot, padding zero.
            where: ``(M,)``, from :meth:`where_last`.

        Returns:
            ``(M, C)``.
        """
        out, inside = self._buffer(x)
        triangle = x.new_ones(BLOCK, BLOCK).triu_()
        torch.mm(triangle, x.view(BLOCK, -1), out=inside.view(BLOCK, -1))
        inside[:, :-1] += inside[0, 1:].flip(0).cumsum(0).flip(0)
        return out.index_select(0, where)

    def _buffer(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Returns a buffer for the sums with a final row of zeros, and its view by block."""
        out = x.new_empty(len(x) + 1, x.shape[1])
        out[-1] = 0
        return out, out[:-1].view(BLOCK, self.blocks, -1)


def _laid_out(ranked: Tensor, blocks: int) -> Tensor:
    """Converts one value per rank, ``(H, L)``, to ``(H, BLOCK · blocks)``, padded with zeros."""
    padded = F.pad(ranked, (0, BLOCK * blocks - ranked.shape[1]))
    return padded.unflatten(1, (blocks, BLOCK)).transpose(1, 2).flatten(1)


def _slots(ranks: Tensor, blocks: int) -> Tensor:
    return ranks % BLOCK * blocks + torch.div(ranks, BLOCK, rounding_mode="floor")


def running_sums(x: Tensor) -> Tensor:
    """Returns sums of the first ``k`` entries of rows, ``k = 0 … L``: ``(H, L) -> (H, L + 1)``."""
    return F.pad(x.cumsum(1), (1, 0))


def remaining_sums(x: Tensor) -> Tensor:
    """Returns sums of the entries from ``k``, summed from the end: ``(H, L) -> (H, L + 1)``."""
    return F.pad(x.flip(1).cumsum(1).flip(1), (0, 1))
