"""GR loss: models the probability that a label listed as absent is present."""

from __future__ import annotations

from typing import Annotated

import torch
from torch import Tensor

from gatlabel.losses.entries import EntryLoss, mixture
from gatlabel.losses.inputs import Reduction
from gatlabel.losses.logarithms import expm1, log_sigmoids
from gatlabel.signatures import Range, check_ranges

# of the belief K = sigmoid(w p + b) and the weight V = exp(-(p - mean)² / (2 deviation²)):
# from the first epoch to the last (the published defaults)
SLOPE, OFFSET, MEAN, DEVIATION = (0.0, 2.0), (-2.0, -2.0), (0.5, 0.8), (2.0, 0.5)


class GRLoss(EntryLoss):
    r"""Generalised robust loss for single positive labels (Chen et al., NeurIPS 2024).

    .. math::
        -y \log p + (1 - y)\, V(p) \left[ K(p)\, \frac{1 - p^{q_2}}{q_2}
        + (1 - K(p))\, \frac{1 - (1 - p)^{q_3}}{q_3} \right]

    with :math:`p = \sigma(z)`, the estimated probability :math:`K = \sigma(w p + b)` that an absent
    label is present, and the weight :math:`V = \exp(-(p - \mu)^2 / 2 s^2)`, both without gradient.
    During training w goes from 0 to 2, b stays at −2, μ goes from 0.5 to 0.8 and s from 2 to 0.5
    (:meth:`set_progress`). The terms in q interpolate between cross-entropy (q → 0) and the
    absolute error (q = 1). Target 0 means *not listed*: read unknown labels as absent. A soft label
    mixes the two terms.

    Args:
        q_present: q2, the exponent of the term in which the absent label is present.
        q_absent: q3, the exponent of the term in which it is absent.
        reduction: ``"mean"``, ``"sum"``, ``"batch_mean"`` or ``"none"``.

    Shapes:
        - logits, targets: ``(..., L)``
        - output: scalar, or ``(..., L)`` with ``"none"``

    Raises:
        InputError: If an option is out of range.

    Example:
        >>> loss, logits = GRLoss(reduction="sum"), torch.tensor([[3.0]], requires_grad=True)
        >>> for progress in (0.0, 1.0):
        ...     loss.set_progress(progress, epoch=0)
        ...     slope, = torch.autograd.grad(loss(logits, torch.zeros(1, 1)), logits)
        ...     print(f"{slope.item():.3f}")  # the gradient of a likely present label vanishes
        0.033
        0.001
    """

    def __init__(
        self,
        q_present: Annotated[float, Range(0.001, 1)] = 0.01,
        q_absent: Annotated[float, Range(0.001, 1)] = 1.0,
        reduction: Reduction = "mean",
    ) -> None:
        super().__init__(reduction)
        check_ranges(GRLoss.__init__, q_present=q_present, q_absent=q_absent)
        self.q_present, self.q_absent = q_present, q_absent
        self._progress = 0.0

    def set_progress(self, progress: float, epoch: int) -> None:
        """Interpolates the parameters of K and V from their initial to their final values."""
        self._progress = progress

    def entries(self, z: Tensor, y: Tensor, known: Tensor) -> Tensor:
        """Returns the loss of each entry ``(..., L)``."""
        slope, offset, mean, deviation = (
            first + self._progress * (last - first)
            for first, last in (SLOPE, OFFSET, MEAN, DEVIATION)
        )
        p = z.detach().sigmoid()
        belief = torch.sigmoid(slope * p + offset)
        weight = torch.exp(-((p - mean) / deviation).square() / 2)
        log_p, log_q = log_sigmoids(z)
        # (1 - p^q) / q computed from log p, accurate for small q
        present = -expm1(self.q_present * log_p) / self.q_present
        if self.q_absent == 1:  # the absolute error
            absent = torch.sigmoid(z)
        else:
            absent = -expm1(self.q_absent * log_q) / self.q_absent
        return mixture(y, -log_p, weight * (belief * present + (1 - belief) * absent))
