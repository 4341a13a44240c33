"""Targets for classical methods: hard labels, and the images for which each label is known."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gatlabel.errors import InputError
from gatlabel.labels import UNKNOWN
from gatlabel.targets import Targets


@dataclass(frozen=True)
class KnownTargets:
    """The known targets of N images and L labels.

    Attributes:
        present: bool ``(N, L)``: known to be present; soft targets count from 0.5.
        known: bool ``(N, L)``.
        rates: float64 ``(L,)`` in (0, 1): smoothed share of positives among known targets; for a
            label without known targets, the share over all labels.
        usable: bool ``(L,)``: the label has positives and negatives.
    """

    present: Tensor
    known: Tensor
    rates: Tensor
    usable: Tensor

    @classmethod
    def of(cls, targets: Tensor) -> KnownTargets:
        """Computes them from targets ``(N, L)`` in [0, 1], -1 for unknown."""
        known = targets != UNKNOWN
        present = (targets >= 0.5) & known
        count, positives = known.sum(0).double(), present.sum(0).double()
        overall = (positives.sum() + 0.5) / (count.sum() + 1)
        rates = torch.where(count > 0, (positives + 0.5) / (count + 1), overall)
        return cls(present, known, rates, (positives > 0) & (positives < count))

    def patterns(self, usable: bool = True) -> list[Tensor]:
        """Groups labels that are known for the same images: int64 positions per group.

        Args:
            usable: Whether labels without positives or negatives are left out.
        """
        places = self.usable.nonzero()[:, 0] if usable else torch.arange(self.known.shape[1])
        if not len(places):
            return []
        _, group = torch.unique(self.known[:, places], dim=1, return_inverse=True)
        return [places[group == number] for number in range(int(group.max()) + 1)]


def checked(features: Any, targets: Any) -> tuple[Tensor, Tensor]:
    """Checks the features and targets of a fit.

    Args:
        features: ``(N, D)``.
        targets: ``(N, L)`` in [0, 1], -1 for unknown.

    Returns:
        Features in their floating-point type, and targets float32.

    Raises:
        InputError: If shapes do not fit, a dimension is 0, or a value is not finite.
    """
    x = checked_features(features)
    y = Targets.of(torch.as_tensor(np.asarray(targets))).to_dense()
    if len(x) != len(y) or not len(x) or not x.shape[1] or not y.shape[1]:
        raise InputError(
            f"{tuple(x.shape)} features for {tuple(y.shape)} targets: expected (N, D) and (N, L) "
            "with N, D and L above 0"
        )
    return x, y


def checked_features(features: Any) -> Tensor:
    """Checks features ``(N, D)``.

    Raises:
        InputError: If they are not a matrix, or a value is not finite.
    """
    found = features if isinstance(features, Tensor) else torch.as_tensor(np.asarray(features))
    if found.ndim != 2:
        raise InputError(f"features: expected (N, D), got {tuple(found.shape)}")
    found = found.detach().cpu()
    found = found if found.is_floating_point() else found.float()
    if not bool(found.isfinite().all()):
        row = int((~found.isfinite()).any(1).nonzero()[0, 0])
        raise InputError(f"features: row {row} contains NaN or infinity")
    return found
