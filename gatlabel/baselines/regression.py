"""Ridge regression for all penalties at once, with leave-one-out predictions of each fit."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence

import torch
from torch import Tensor

LABELS_AT_ONCE = 256
ALL = slice(None)
#: Some images: a slice, or the positions ``(k, g)`` of k groups of g images.
Rows = slice | Tensor


class Regression:
    """Ridge regression for all penalties, from a single decomposition ``X = √N U √w Vᵀ``.

    :func:`~gatlabel.baselines.ridge.ridge_start` has the formulas.

    Args:
        x: Features ``(N, D)``, float64; centred internally.
        t: Centred targets ``(N, L)``.
        groups: The group of each image, N values: images of one group are left out together. With
            fewer than two groups, and by default, each image is left out alone.
    """

    def __init__(self, x: Tensor, t: Tensor, groups: Sequence[Hashable] | None = None) -> None:
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
        rows = max(1, self.n * LABELS_AT_ONCE // max(t.shape[1], 1))
        self.groups = [] if groups is None else _by_size(groups, rows)

    def weight(self, penalty: float) -> Tensor:
        """Returns ``W_λ``, ``(L, D)``."""
        return self.ut.T / (self.n * (self.w + penalty)) @ self.ux

    def held_out(self, penalty: float) -> Tensor:
        """Returns the leave-one-out predictions ``ŷ``, ``(N, L)``."""
        return self._assembled(lambda rows: self.predicted(penalty, rows))

    def predicted(self, penalty: float, rows: Rows = ALL, labels: slice = ALL) -> Tensor:
        """Returns ``ŷ`` of some images and labels: ``(n, labels)``, or ``(k, g, labels)``."""
        shrunk = self.w / (self.w + penalty)
        hat = self._hat(shrunk, rows, 1 / self.n)
        fitted = self.u[rows] @ (shrunk[:, None] * self.ut[:, labels])
        return _solve(hat, fitted - _times(hat, self.t[rows, labels]))

    def sensitivity(self, penalty: float, scores: Tensor) -> Tensor:
        """Returns the derivative of ``ŷ`` by log prior variance, ``(N, L)``.

        Args:
            penalty: λ.
            scores: ``ŷ (N, L)``, from :meth:`held_out`.
        """
        shrunk = self.w / (self.w + penalty)
        moved = shrunk * penalty / (self.w + penalty)

        def change(rows: Rows) -> Tensor:
            hat, change = self._hat(shrunk, rows, 1 / self.n), self._hat(moved, rows)
            fitted = self.u[rows] @ (moved[:, None] * self.ut)
            return _solve(hat, fitted - _times(change, self.t[rows] - scores[rows]))

        return self._assembled(change)

    def _hat(self, shrunk: Tensor, rows: Rows, mean: float = 0.0) -> Tensor:
        """Returns blocks of the hat matrix: its diagonal ``(n, 1)``, or ``(k, g, g)``."""
        if isinstance(rows, slice):
            return (self.squares[rows] @ shrunk + mean)[:, None]
        u = self.u[rows]
        return (u * shrunk) @ u.mT + mean

    def _assembled(self, of_rows: Callable[[Rows], Tensor]) -> Tensor:
        """Returns what a function gives for some images, of all images: ``(N, L)``."""
        if not self.groups:
            return of_rows(ALL)
        found = torch.empty_like(self.t)
        for rows in self.groups:
            found[rows] = of_rows(rows)
        return found

    def blocks(self) -> list[tuple[Rows, slice]]:
        """Returns blocks of ``(N, L)`` to process at a time: some labels of all images."""
        if self.groups:
            return [(rows, ALL) for rows in self.groups]
        return [(ALL, labels) for labels in _slices(self.t.shape[1], LABELS_AT_ONCE)]

    def error(self, penalty: float, deviation: Tensor, known: Tensor, judged: Tensor) -> float:
        """Returns the mean squared error of ``ŷ``, averaged over the labels in ``judged``."""
        squares = deviation.new_zeros(deviation.shape[1])
        for rows, labels in self.blocks():
            off = deviation[rows, labels] - self.predicted(penalty, rows, labels)
            squares[labels] += (off.square() * known[rows, labels]).flatten(0, -2).sum(0)
        return float((squares / known.sum(0).clamp(min=1))[judged].sum())


class SharedRegression(Regression):
    """Ridge regression for weights ``C V``; in the basis of ``C Cᵀ`` labels are independent.

    Args:
        x: As :class:`Regression`.
        t: As :class:`Regression`.
        sharing: The mixing matrix C ``(L, L)``.
        groups: As :class:`Regression`.
    """

    def __init__(
        self,
        x: Tensor,
        t: Tensor,
        sharing: Tensor,
        groups: Sequence[Hashable] | None = None,
    ) -> None:
        shares, self.turn = torch.linalg.eigh(sharing @ sharing.T)
        self.shares = shares.clamp(min=1e-9 * float(shares.max()))
        super().__init__(x, t @ self.turn, groups)

    def _shrunk(self, penalty: float) -> Tensor:
        return self.w[:, None] / (self.w[:, None] + penalty / self.shares)  # (r, L)

    def weight(self, penalty: float) -> Tensor:
        """Returns ``W_λ``, ``(L, D)``."""
        factor = self._shrunk(penalty) / (self.n * self.w[:, None])
        return self.turn @ ((factor * self.ut).T @ self.ux)

    def predicted(self, penalty: float, rows: Rows = ALL, labels: slice = ALL) -> Tensor:
        """Returns ``ŷ``, ``(..., labels)``; those of one label are computed from all labels."""
        shrunk = self._shrunk(penalty)
        fitted, t = self.u[rows] @ (shrunk * self.ut), self.t[rows]
        if isinstance(rows, slice):
            h = self.squares[rows] @ shrunk + 1 / self.n
            turned = _solve(h, fitted - h * t)
        else:
            turned = torch.empty_like(fitted)
            for label in range(t.shape[-1]):  # each has a hat matrix of its own
                hat, one = self._hat(shrunk[:, label], rows, 1 / self.n), slice(label, label + 1)
                turned[..., one] = _solve(hat, fitted[..., one] - hat @ t[..., one])
        return turned @ self.turn.T[:, labels]

    def blocks(self) -> list[tuple[Rows, slice]]:
        """Returns blocks of ``(N, L)`` to process at a time: all labels of some images."""
        if self.groups:
            return super().blocks()
        size = max(1, self.n * LABELS_AT_ONCE // self.t.shape[1])
        return [(rows, ALL) for rows in _slices(self.n, size)]


def _times(hat: Tensor, values: Tensor) -> Tensor:
    return hat * values if values.ndim == 2 else hat @ values


def _solve(hat: Tensor, values: Tensor) -> Tensor:
    """Returns ``(I − hat)⁻¹ values`` for a diagonal ``(n, 1)`` or blocks ``(k, g, g)``."""
    if values.ndim == 2:
        return values / (1 - hat).clamp(min=1e-6)
    eye = torch.eye(hat.shape[-1], dtype=hat.dtype, device=hat.device)
    return torch.linalg.solve(eye - hat, values)


def _slices(count: int, size: int) -> list[slice]:
    return [slice(first, first + size) for first in range(0, count, size)]


def _by_size(groups: Sequence[Hashable], rows: int) -> list[Tensor]:
    """Returns positions ``(k, g)`` of the images of k groups of g images, about ``rows`` each."""
    members: dict[Hashable, list[int]] = {}
    for row, group in enumerate(groups):
        members.setdefault(group, []).append(row)
    sizes: dict[int, list[list[int]]] = {}
    for own in members.values():
        sizes.setdefault(len(own), []).append(own)
    if len(members) < 2 or len(members) == len(groups):
        return []
    return [
        torch.tensor(alike[part])
        for size, alike in sorted(sizes.items())
        for part in _slices(len(alike), max(1, rows // size))
    ]


def neighbour_spread(spread: Tensor, sharing: Tensor, usable: Tensor) -> Tensor:
    """Returns the mean spread of similar labels, weighted by their contributions, or its own."""
    weight = sharing.abs() * usable * (1 - torch.eye(len(spread), dtype=sharing.dtype))
    total = weight.sum(1)
    return torch.where(total > 0, weight @ spread / total.clamp(min=1e-30), spread)


def group_numbers(groups: Sequence[Hashable] | None, images: int) -> Tensor:
    """Returns the number of each image's group, ``(N,)``; without groups that of the image."""
    if groups is None or len(set(groups)) < 2:
        return torch.arange(images)
    numbers: dict[Hashable, int] = {}
    return torch.tensor([numbers.setdefault(group, len(numbers)) for group in groups])
