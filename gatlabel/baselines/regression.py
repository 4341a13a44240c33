"""Ridge regression for all penalties at once, with leave-one-out predictions of each fit."""

from __future__ import annotations

import torch
from torch import Tensor

LABELS_AT_ONCE = 256
ALL = slice(None)


class Regression:
    """Ridge regression for all penalties, from a single decomposition ``X = √N U √w Vᵀ``.

    :func:`~gatlabel.baselines.ridge.ridge_start` has the formulas.

    Args:
        x: Features ``(N, D)``, float64; centred internally.
        t: Centred targets ``(N, L)``.
    """

    def __init__(self, x: Tensor, t: Tensor) -> None:
        self.mean = x.mean(0)
        x = x - self.mean
        self.n, width = x.shape
        self.mean_square = x.square().mean().clamp(min=torch.finfo(x.dtype).tiny)
        if self.n <= width:
            w, u = torch.linalg.eigh(x @ x.T / self.n)
        else:
            w, v = torch.linalg.eigh(x.T @ x / self.n)
            u = x @ v / (self.n * w.clamp(min=torch.finfo(x.dtype).tiny)).sqrt()
        kept = w > 1e-10 * w.max()  # the rest are rounding errors
        self.w, self.u = w[kept], u[:, kept]
        self.t, self.ut, self.ux = t, self.u.T @ t, self.u.T @ x
        self.squares = self.u.square()

    def weight(self, penalty: float) -> Tensor:
        """Returns ``W_λ``, ``(L, D)``."""
        return self.ut.T / (self.n * (self.w + penalty)) @ self.ux

    def held_out(self, penalty: float, rows: slice = ALL, labels: slice = ALL) -> Tensor:
        """Returns the leave-one-out predictions ``ŷ``, ``(rows, labels)``."""
        shrunk = self.w / (self.w + penalty)
        h = (self.squares[rows] @ shrunk + 1 / self.n)[:, None]
        fitted = self.u[rows] @ (shrunk[:, None] * self.ut[:, labels])
        return (fitted - h * self.t[rows, labels]) / (1 - h).clamp(min=1e-6)

    def blocks(self) -> list[tuple[slice, slice]]:
        """Returns blocks of ``(N, L)`` to process at a time: some labels of all images."""
        return [(ALL, labels) for labels in _slices(self.t.shape[1], LABELS_AT_ONCE)]

    def error(self, penalty: float, deviation: Tensor, known: Tensor, judged: Tensor) -> float:
        """Returns the mean squared error of ``ŷ``, averaged over the labels in ``judged``."""
        squares = deviation.new_zeros(deviation.shape[1])
        for rows, labels in self.blocks():
            off = deviation[rows, labels] - self.held_out(penalty, rows, labels)
            squares[labels] += (off.square() * known[rows, labels]).sum(0)
        return float((squares / known.sum(0).clamp(min=1))[judged].sum())


class SharedRegression(Regression):
    """Ridge regression for weights ``C V``; in the basis of ``C Cᵀ`` labels are independent.

    Args:
        x: As :class:`Regression`.
        t: As :class:`Regression`.
        sharing: The mixing matrix C ``(L, L)``.
    """

    def __init__(self, x: Tensor, t: Tensor, sharing: Tensor) -> None:
        shares, self.turn = torch.linalg.eigh(sharing @ sharing.T)
        self.shares = shares.clamp(min=1e-9 * float(shares.max()))
        super().__init__(x, t @ self.turn)

    def _shrunk(self, penalty: float) -> Tensor:
        return self.w[:, None] / (self.w[:, None] + penalty / self.shares)  # (r, L)

    def weight(self, penalty: float) -> Tensor:
        """Returns ``W_λ``, ``(L, D)``."""
        factor = self._shrunk(penalty) / (self.n * self.w[:, None])
        return self.turn @ ((factor * self.ut).T @ self.ux)

    def held_out(self, penalty: float, rows: slice = ALL, labels: slice = ALL) -> Tensor:
        """Returns ``ŷ``, ``(rows, labels)``; those of one label are computed from all labels."""
        shrunk = self._shrunk(penalty)
        h = self.squares[rows] @ shrunk + 1 / self.n
        turned = (self.u[rows] @ (shrunk * self.ut) - h * self.t[rows]) / (1 - h).clamp(min=1e-6)
        return turned @ self.turn.T[:, labels]

    def blocks(self) -> list[tuple[slice, slice]]:
        """Returns blocks of ``(N, L)`` to process at a time: all labels of some images."""
        size = max(1, self.n * LABELS_AT_ONCE // self.t.shape[1])
        return [(rows, ALL) for rows in _slices(self.n, size)]


def _slices(count: int, size: int) -> list[slice]:
    return [slice(first, first + size) for first in range(0, count, size)]


def neighbour_spread(spread: Tensor, sharing: Tensor, usable: Tensor) -> Tensor:
    """Returns the mean spread of similar labels, weighted by their contributions, or its own."""
    weight = sharing.abs() * usable * (1 - torch.eye(len(spread), dtype=sharing.dtype))
    total = weight.sum(1)
    return torch.where(total > 0, weight @ spread / total.clamp(min=1e-30), spread)
