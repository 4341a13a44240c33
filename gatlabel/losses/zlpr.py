"""ZLPR: a ranking loss per image, with present labels above zero and absent ones below."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from gatlabel.losses.entries import shown_options
from gatlabel.losses.inputs import Reduction, check_reduction, reduce_loss, split_unknown


class ZLPRLoss(nn.Module):
    r"""Zero-bounded log-sum-exp and pairwise rank loss (Su et al., 2022).

    .. math::
        \log\Big(1 + \sum_i (1 - y_i)\, e^{z_i}\Big)
        + \log\Big(1 + \sum_i y_i\, e^{-z_i}\Big)

    per image (arXiv 2208.02955, equations 3 and 9). It ranks present labels above 0 and absent
    ones below: decide by z > 0. There is no balance of positives and negatives to tune, but σ(z) is
    not the probability of a label: calibrate before using any other threshold. Unknown labels are
    left out of both sums. Soft labels weight the exponentials.

    Args:
        reduction: ``"mean"`` over images with a known label, ``"sum"``, ``"batch_mean"`` over all
            images, or ``"none"``: one value per image, since there is no loss per label.

    Shapes:
        - logits, targets: ``(..., L)``
        - output: scalar, or ``(...,)`` with ``"none"``

    Raises:
        InputError: If there is no such reduction.

    Example:
        >>> logits = torch.tensor([[2.0, -1.0, -3.0]])
        >>> ZLPRLoss()(logits, torch.tensor([[1.0, 0.0, -1.0]]))  # log(1 + e⁻²) + log(1 + e⁻¹)
        tensor(0.4402)
    """

    whole_batch = True

    def __init__(self, reduction: Reduction = "mean") -> None:
        super().__init__()
        check_reduction(reduction)
        self.reduction = reduction

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Returns the loss of logits ``(..., L)`` against targets ``(..., L)``."""
        z, y, known = split_unknown(logits, targets)
        zero = z.new_zeros((*z.shape[:-1], 1))
        absent = torch.where(known & (y != 1), z + log_weight(1 - y), -torch.inf)
        present = torch.where(known & (y != 0), log_weight(y) - z, -torch.inf)
        loss = torch.cat([absent, zero], -1).logsumexp(-1)
        loss = loss + torch.cat([present, zero], -1).logsumexp(-1)
        return reduce_loss(loss[..., None], known.any(-1, keepdim=True), self.reduction).squeeze(-1)

    def extra_repr(self) -> str:
        """Shows the options."""
        return shown_options(self)


def log_weight(weight: Tensor) -> Tensor:
    """Returns log of a weight in [0, 1]; a finite placeholder at 0, where the term is left out."""
    return torch.log(torch.where(weight == 0, 1.0, weight).clamp(max=1))
