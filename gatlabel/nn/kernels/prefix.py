"""Sums of the first or last rows of a matrix, in the order of a sort.

A sum over the first ``k`` of ``L`` rows, for many ``k``, is a running sum. Here it is one matrix
product: the rows are taken in blocks of :data:`BLOCK`, and laid out so that the first rows of all
blocks come first, then the second ones, and so on. A triangle of ones times that, as a
``(BLOCK, …)`` matrix, gives the running sums inside all blocks at once; the sums of the blocks
before are added after.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

BLOCK = 16


@dataclass(frozen=True)
class Ranking:
    """Where the rows of a matrix go when they are sorted and laid out in blocks.

    Attributes:
        rows: Number of rows L.
        blocks: Number of blocks.
        gather: ``(H, BLOCK · blocks)``, the row that each slot takes; padding takes row 0.
        slot: ``(H, L)``, the slot of each row.
    """

    rows: int
    blocks: int
    gather: Tensor
    slot: Tensor

    @classmethod
    def of(cls, order: Tensor) -> Ranking:
        """Makes the layout of the sorts of several heads.

        Args:
            order: int64 ``(H, L)``, the row at each rank.
        """
        rows = order.shape[1]
        blocks = -(-rows // BLOCK)
        slots = _slots(torch.arange(rows, device=order.device), blocks)
        slot = torch.empty_like(order).scatter_(1, order, slots.expand_as(order))
        return cls(rows, blocks, _laid_out(order, blocks), slot)

    def lay_out(self, ranked: Tensor) -> Tensor:
        """Brings one value a rank, ``(H, L)``, into the slots; padding is zero."""
        return _laid_out(ranked, self.blocks)

    def where_first(self, count: Tensor) -> Tensor:
        """Where :meth:`first` finds the sum of the first ``count`` ranks (int64, in 0 … L)."""
        zero = BLOCK * self.blocks  # the row of zeros
        return torch.where(count > 0, _slots(count - 1, self.blocks), zero)

    def where_last(self, start: Tensor) -> Tensor:
        """Where :meth:`last` finds the sum of the ranks from ``start`` on (int64, in 0 … L)."""
        zero = BLOCK * self.blocks
        return torch.where(start < self.rows, _slots(start, self.blocks), zero)

    def first(self, x: Tensor, where: Tensor) -> Tensor:
        """Sums of the first ranks.

        Args:
            x: ``(BLOCK · blocks, C)`` by slot, padding zero.
            where: ``(M,)``, from :meth:`where_first`.

        Returns:
            ``(M, C)``.
        """
        out, inside = self._room(x)
        triangle = x.new_ones(BLOCK, BLOCK).tril_()
        torch.mm(triangle, x.view(BLOCK, -1), out=inside.view(BLOCK, -1))
        inside[:, 1:] += inside[-1, :-1].cumsum(0)
        return out.index_select(0, where)

    def last(self, x: Tensor, where: Tensor) -> Tensor:
        """Sums of the last ranks.

        Added up from the end, never as the total less the first: that would lose small tails.

        Args:
            x: ``(BLOCK · blocks, C)`` by slot, padding zero.
            where: ``(M,)``, from :meth:`where_last`.

        Returns:
            ``(M, C)``.
        """
        out, inside = self._room(x)
        triangle = x.new_ones(BLOCK, BLOCK).triu_()
        torch.mm(triangle, x.view(BLOCK, -1), out=inside.view(BLOCK, -1))
        inside[:, :-1] += inside[0, 1:].flip(0).cumsum(0).flip(0)
        return out.index_select(0, where)

    def _room(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Room for the sums with a row of zeros at the end, and its part by place and block."""
        out = x.new_empty(len(x) + 1, x.shape[1])
        out[-1] = 0
        return out, out[:-1].view(BLOCK, self.blocks, -1)


def _laid_out(ranked: Tensor, blocks: int) -> Tensor:
    """One value a rank ``(H, L)`` -> ``(H, BLOCK · blocks)``, padded with zero."""
    padded = F.pad(ranked, (0, BLOCK * blocks - ranked.shape[1]))
    return padded.unflatten(1, (blocks, BLOCK)).transpose(1, 2).flatten(1)


def _slots(ranks: Tensor, blocks: int) -> Tensor:
    return ranks % BLOCK * blocks + torch.div(ranks, BLOCK, rounding_mode="floor")


def running_sums(x: Tensor) -> Tensor:
    """Sums of the first ``k`` entries of rows, for ``k = 0 … L``: ``(H, L) -> (H, L + 1)``."""
    return F.pad(x.cumsum(1), (1, 0))


def remaining_sums(x: Tensor) -> Tensor:
    """Sums of the entries from ``k`` on, added up from the end: ``(H, L) -> (H, L + 1)``."""
    return F.pad(x.flip(1).cumsum(1).flip(1), (0, 1))
