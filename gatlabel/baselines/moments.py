"""Mean and covariance of features: what a classifier of a new label needs to know of old images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from gatlabel.errors import InputError

#: Directions that are kept; a covariance of few images has no more.
MOST_DIRECTIONS = 512


@dataclass(frozen=True, eq=False)
class Moments:
    """Mean and covariance ``S`` of features, by the eigenvectors of ``S``.

    Attributes:
        mean: float64 ``(D,)``.
        basis: float64 ``(r, D)``, orthonormal rows: the directions of largest variance.
        variance: float64 ``(r,)``, the variances along them; the others count as 0.
        images: Number of images.
    """

    mean: Tensor
    basis: Tensor
    variance: Tensor
    images: int

    @classmethod
    def of(cls, features: Tensor, most: int = MOST_DIRECTIONS) -> Self:
        """Measures the moments of features ``(N, D)``.

        Args:
            features: The features.
            most: Directions to keep.

        Raises:
            InputError: If there are fewer than two images, or a value is not finite.
        """
        if features.ndim != 2 or len(features) < 2:
            raise InputError(
                f"moments need features (N, D) of two images or more, got {tuple(features.shape)}"
            )
        if not features.isfinite().all():
            raise InputError("moments need finite features, some are not")
        x = features.double()
        mean = x.mean(0)
        x = x - mean
        count, width = x.shape
        if count <= width:
            value, vector = torch.linalg.eigh(x @ x.T / count)
        else:
            value, vector = torch.linalg.eigh(x.T @ x / count)
        kept = value > 1e-10 * value.max().clamp(min=torch.finfo(x.dtype).tiny)
        kept &= torch.arange(len(value)) >= len(value) - most
        value, vector = value[kept], vector[:, kept]
        basis = vector.T if count > width else (vector / (count * value).sqrt()).T @ x
        return cls(mean, basis, value, count)

    @property
    def mean_square(self) -> float:
        """Mean variance of a feature: the unit of penalties."""
        return max(float(self.variance.sum()) / len(self.mean), torch.finfo(torch.float64).tiny)

    def solve(self, right: Tensor, penalty: Tensor | float) -> Tensor:
        """Returns ``(S + λ I)⁻¹ right``.

        Args:
            right: ``(M, D)``.
            penalty: λ > 0, one number or ``(M,)``.
        """
        each = torch.as_tensor(penalty, dtype=torch.float64).expand(len(right))[:, None]
        right = right.double()
        inside = right @ self.basis.T  # (M, r)
        shrunk = inside / (self.variance + each) - inside / each
        return right / each + shrunk @ self.basis
