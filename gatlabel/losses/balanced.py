"""Distribution-balanced loss for long-tailed label frequencies."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import torch
from torch import Tensor

from gatlabel.errors import InputError
from gatlabel.losses.entries import EntryLoss, mixture
from gatlabel.losses.inputs import Reduction
from gatlabel.losses.logarithms import log_sigmoids
from gatlabel.signatures import Range, check_ranges
from gatlabel.values import shown


class DistributionBalancedLoss(EntryLoss):
    r"""Distribution-balanced loss for long-tailed labels (Wu et al., ECCV 2020).

    .. math::
        r_i \left[ -y_i (1 - p_i)^\gamma \log p_i
        - \tfrac{1}{\lambda} (1 - y_i)\, n_i^\gamma \log(1 - n_i) \right], \quad
        p_i = \sigma(z_i - v_i),\; n_i = \sigma(\lambda (z_i - v_i))

    (arXiv 2007.09654, equations 4 to 9). With class-balanced sampling, an image with several labels
    is drawn for each of them. :math:`r_i = \alpha + \sigma(\beta (\rho_i - \mu))` corrects for this
    by the share :math:`\rho_i = f_i^{-1} / \sum_j y_j f_j^{-1}` of label i in the sampling of the
    image, where f are the label frequencies. λ makes negatives easier to satisfy, and
    :math:`v_i = \kappa \log(1 / f_i - 1)` is the prior bias. Soft labels mix the two terms and
    enter ρ unchanged.

    Args:
        rates: Frequency f of each label, L numbers in [0, 1], or one for all.
        scale: λ, above 1 for weaker negatives.
        prior: κ, weight of the prior bias.
        gamma: Focusing exponent; 0 is the loss without focus.
        floor: α, minimum weight of an entry.
        slope: β, steepness of the weight as a function of ρ.
        centre: μ, the ρ at the midpoint of the weight.
        reduction: ``"mean"``, ``"sum"``, ``"batch_mean"`` or ``"none"``.

    Shapes:
        - logits, targets: ``(..., L)``
        - output: scalar, or ``(..., L)`` with ``"none"``

    Raises:
        InputError: If an option is out of range, or the rates are not frequencies.

    Example:
        >>> loss = DistributionBalancedLoss([0.5, 0.01], reduction="none")
        >>> loss(torch.zeros(1, 2), torch.tensor([[1.0, 1.0]]))  # the rare label has more weight
        tensor([[0.0418, 0.2781]])
    """

    bias: Tensor
    inverse: Tensor

    def __init__(
        self,
        rates: Tensor | Sequence[float] | float,
        scale: Annotated[float, Range(0.01, 1000)] = 2.0,
        prior: Annotated[float, Range(0, 1000)] = 0.05,
        gamma: Annotated[float, Range(0, 1000)] = 2.0,
        floor: Annotated[float, Range(0, 1000)] = 0.1,
        slope: Annotated[float, Range(0, 1000)] = 10.0,
        centre: Annotated[float, Range(0, 1)] = 0.2,
        reduction: Reduction = "mean",
    ) -> None:
        super().__init__(reduction)
        check_ranges(
            DistributionBalancedLoss.__init__,
            **{"scale": scale, "prior": prior, "gamma": gamma},
            **{"floor": floor, "slope": slope, "centre": centre},
        )
        found = torch.as_tensor(rates, dtype=torch.float32)
        if found.ndim > 1 or not found.numel() or not bool(((found >= 0) & (found <= 1)).all()):
            raise InputError(f"rates={shown(rates)}: give the frequency of each label, 0 to 1")
        found = found.clamp(1e-6, 1 - 1e-6)  # a label that is never or always present
        self.constant("inverse", 1 / found)
        self.constant("bias", prior * torch.log(1 / found - 1))
        self.scale, self.prior, self.gamma = scale, prior, gamma
        self.floor, self.slope, self.centre = floor, slope, centre

    def entries(self, z: Tensor, y: Tensor, known: Tensor) -> Tensor:
        """Returns the loss of each entry ``(..., L)``."""
        if self.inverse.ndim and len(self.inverse) != z.shape[-1]:
            raise InputError(
                f"the loss has the rates of {len(self.inverse)} labels for logits {tuple(z.shape)}"
            )
        inverse, bias = self.inverse.to(z), self.bias.to(z)
        total = (y * inverse).sum(-1, keepdim=True)
        # an image without labels: ρ is the largest, and so is the weight
        share = torch.where(total > 0, inverse / total.clamp(min=1e-6), torch.inf)
        weight = self.floor + torch.sigmoid(self.slope * (share - self.centre))
        log_p, log_q = log_sigmoids(z - bias)
        log_n, log_m = log_sigmoids(self.scale * (z - bias))
        positive = -torch.exp(self.gamma * log_q) * log_p
        negative = -torch.exp(self.gamma * log_n) * log_m / self.scale
        return weight * mixture(y, positive, negative)
