"""Hill loss: little gradient for absent labels with a high probability."""

from __future__ import annotations

from typing import Annotated

import torch
from torch import Tensor

from gatlabel.losses.entries import EntryLoss, mixture
from gatlabel.losses.inputs import Reduction, steady, weighted
from gatlabel.losses.logarithms import log_sigmoids
from gatlabel.signatures import Range, check_ranges


def focal_margin(z: Tensor, margin: float, gamma: float) -> Tensor:
    """Returns the focal loss of present labels whose logits are lowered by a margin: ``(..., L)``.

    Args:
        z: Logits ``(..., L)``.
        margin: m.
        gamma: Focusing exponent.
    """
    lowered = z - margin
    log_p, log_q = log_sigmoids(lowered)
    return weighted(torch.exp(gamma * steady(log_q, z)), log_p)


class HillLoss(EntryLoss):
    r"""Hill loss for missing labels (Zhang et al., 2021).

    .. math::
        -y\, (1 - p_m)^\gamma \log p_m + (1 - y)\, (\lambda - p)\, p^2,
        \qquad p = \sigma(z),\; p_m = \sigma(z - m)

    (arXiv 2112.07368, section 3). The negative term is a squared error with the weight λ − p: its
    gradient in z falls to 0 as p approaches 1. A label that is clearly visible but not listed is
    therefore hardly suppressed. Target 0 means *not listed*: read unknown labels as absent.
    A soft label mixes the two terms. The published code uses the sum.

    Args:
        margin: m, subtracted from the logits of present labels.
        gamma: Focusing exponent of present labels.
        peak: λ, weight of absent labels at probability 0.
        reduction: ``"mean"``, ``"sum"``, ``"batch_mean"`` or ``"none"``.

    Shapes:
        - logits, targets: ``(..., L)``
        - output: scalar, or ``(..., L)`` with ``"none"``

    Raises:
        InputError: If an option is out of range.

    Example:
        >>> absent = HillLoss(reduction="none")(torch.tensor([[-2.0, 1.0, 6.0]]), torch.zeros(1, 3))
        >>> absent  # bounded; the cross-entropy of the last is 6.0
        tensor([[0.0196, 0.4110, 0.5000]])
    """

    def __init__(
        self,
        margin: Annotated[float, Range(0, 1000)] = 1.0,
        gamma: Annotated[float, Range(0, 1000)] = 2.0,
        peak: Annotated[float, Range(1, 1000)] = 1.5,
        reduction: Reduction = "mean",
    ) -> None:
        super().__init__(reduction)
        check_ranges(HillLoss.__init__, margin=margin, gamma=gamma, peak=peak)
        self.margin, self.gamma, self.peak = margin, gamma, peak

    def entries(self, z: Tensor, y: Tensor, known: Tensor) -> Tensor:
        """Returns the loss of each entry ``(..., L)``."""
        p = torch.sigmoid(z)
        return mixture(y, focal_margin(z, self.margin, self.gamma), (self.peak - p) * p.square())
