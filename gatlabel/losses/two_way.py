"""Two-way loss: labels are ranked within each image, and images within each label."""

from __future__ import annotations

from typing import Annotated

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gatlabel.errors import InputError
from gatlabel.losses.entries import shown_options
from gatlabel.losses.inputs import Reduction, check_reduction, split_unknown
from gatlabel.losses.zlpr import log_weight
from gatlabel.signatures import Range, check_ranges


class TwoWayLoss(nn.Module):
    r"""Two-way multi-label loss (Kobayashi, CVPR 2023).

    .. math::
        \operatorname{softplus}\Big( T_n \log \sum_{i} (1 - y_i)\, e^{z_i / T_n}
        + T_p \log \sum_{i} y_i\, e^{-z_i / T_p} \Big)

    once over the labels of each image, averaged over images with a present label, plus once over
    the images of each label, averaged over labels with a positive image. So the loss of a label
    depends on the whole batch: use large batches. σ(z) is not a probability, and the logits have no
    natural threshold: choose thresholds on validation data. Unknown entries are left out of both
    sums. Soft labels weight the exponentials.

    Args:
        positive_temperature: T_p, of present labels.
        negative_temperature: T_n, of absent labels.
        reduction: ``"mean"`` or ``"sum"`` over images, and over labels.

    Shapes:
        - logits, targets: ``(..., L)``
        - output: scalar

    Raises:
        InputError: If an option is out of range, or the reduction would need one value per entry.

    Example:
        >>> logits, targets = torch.tensor([[2.0, -1.0], [0.0, 1.0]]), torch.eye(2)
        >>> TwoWayLoss()(logits, targets)
        tensor(0.3079)
    """

    whole_batch = True

    def __init__(
        self,
        positive_temperature: Annotated[float, Range(0.01, 1000)] = 4.0,
        negative_temperature: Annotated[float, Range(0.01, 1000)] = 1.0,
        reduction: Reduction = "mean",
    ) -> None:
        super().__init__()
        check_reduction(reduction)
        if reduction not in ("mean", "sum"):
            raise InputError(
                f"reduction={reduction}: the two-way loss has no value per entry; use mean or sum"
            )
        check_ranges(
            TwoWayLoss.__init__,
            positive_temperature=positive_temperature,
            negative_temperature=negative_temperature,
        )
        self.positive_temperature = positive_temperature
        self.negative_temperature = negative_temperature
        self.reduction = reduction

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Returns the loss of logits ``(..., L)`` against targets ``(..., L)``."""
        z, y, known = split_unknown(logits, targets)
        z, y, known = (part.reshape(-1, part.shape[-1]) for part in (z, y, known))
        terms = self._terms(z, y, known)
        return self._one_way(*terms, 1) + self._one_way(*terms, 0)

    def _terms(self, z: Tensor, y: Tensor, known: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Returns exponents of absent labels ``(N, L)`` with their mask, and of present ones."""
        absent, present = known & (y != 1), known & (y != 0)
        negatives = z / self.negative_temperature + log_weight(1 - y)
        positives = -z / self.positive_temperature + log_weight(y)
        negatives = torch.where(absent, negatives, -torch.inf)
        positives = torch.where(present, positives, -torch.inf)
        return negatives, absent, positives, present

    def _one_way(
        self, negatives: Tensor, absent: Tensor, positives: Tensor, present: Tensor, axis: int
    ) -> Tensor:
        """Ranks along an axis of ``(N, L)``; what has no positive is left out."""
        above = self.negative_temperature * _log_sum_exp(negatives, absent, axis)
        below = self.positive_temperature * _log_sum_exp(positives, present, axis)
        counted = present.any(axis)
        # without a negative the sum is empty, and the loss is 0
        loss = torch.where(counted & absent.any(axis), F.softplus(above + below), 0.0)
        return loss.sum() / (counted.sum().clamp(min=1) if self.reduction == "mean" else 1)

    def extra_repr(self) -> str:
        """Shows the options."""
        return shown_options(self)


def _log_sum_exp(values: Tensor, mask: Tensor, axis: int) -> Tensor:
    """Log-sum-exp along an axis, -inf outside the mask; arbitrary where the mask is empty."""
    some = mask.any(axis, keepdim=True)
    return torch.where(some, values, 0.0).logsumexp(axis)
