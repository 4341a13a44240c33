"""Mean and covariance of features, from which classifiers of new labels are computed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Self

import torch
from torch import Tensor

from gatlabel.errors import InputError
from gatlabel.files import atomic_path
from gatlabel.saving import read_tensors

#: Maximum number of directions to store.
MOST_DIRECTIONS = 512


@dataclass(frozen=True, eq=False)
class Moments:
    """Mean and covariance ``S`` of features, with ``S`` as its leading eigenvectors.

    Attributes:
        mean: float64 ``(D,)``.
        basis: float64 ``(r, D)``, orthonormal rows: the directions of largest variance.
        variance: float64 ``(r,)``, the variances along them; other variances are taken as 0.
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
            most: Maximum number of directions.

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

    def save(self, path: Path) -> None:
        """Writes the moments to a safetensors file, in float32."""
        from safetensors.torch import save_file

        parts = {"mean": self.mean, "basis": self.basis, "variance": self.variance}
        tensors = {name: part.float().contiguous() for name, part in parts.items()}
        tensors["images"] = torch.tensor(self.images)
        with atomic_path(path) as temporary:
            save_file(tensors, temporary)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Reads a file written by :meth:`save`.

        Raises:
            InputError: If the file is missing or damaged, or contains other tensors.
        """
        found = read_tensors(path, "moments of features")
        if set(found) != {"mean", "basis", "variance", "images"}:
            raise InputError(f"{path} contains {sorted(found)}: not moments of features")
        mean, basis, variance = (found[n].double() for n in ("mean", "basis", "variance"))
        fit = mean.ndim == 1 and basis.shape == (len(variance), len(mean)) and variance.ndim == 1
        finite = all(bool(part.isfinite().all()) for part in (mean, basis, variance))
        if not fit or not finite or bool((variance < 0).any()) or found["images"].numel() != 1:
            raise InputError(f"{path} is damaged: the shapes of the moments do not match")
        return cls(mean, basis, variance, int(found["images"]))

    @property
    def mean_square(self) -> float:
        """The mean variance of a feature, the unit of penalties."""
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
