"""SPLC: absent labels with a high predicted probability are treated as present."""

from __future__ import annotations

from typing import Annotated

import torch
from torch import Tensor

from gatlabel.losses.entries import EntryLoss, mixture
from gatlabel.losses.hill import focal_margin
from gatlabel.losses.inputs import Reduction, steady, weighted
from gatlabel.losses.logarithms import log_sigmoids
from gatlabel.signatures import Range, check_ranges


class SPLCLoss(EntryLoss):
    r"""Self-paced loss correction for missing labels (Zhang et al., 2021).

    .. math::
        y\, \ell^+ + (1 - y) \begin{cases} \ell^+ & p > \tau \\ \ell^- & p \le \tau
        \end{cases}, \qquad
        \ell^+ = -(1 - p_m)^\gamma \log p_m, \quad \ell^- = -p^\gamma \log(1 - p)

    with :math:`p = \sigma(z)` and :math:`p_m = \sigma(z - m)` (arXiv 2112.07368, section 4). The
    correction begins after ``warmup`` epochs (:meth:`set_progress`), and only in training mode.
    Target 0 means *not listed*: read unknown labels as absent. A soft label mixes the two terms.
    The published code uses the sum.

    Args:
        threshold: τ, probability above which an absent label counts as present.
        warmup: Epochs before the correction begins.
        margin: m, subtracted from the logits of present labels.
        gamma: Focusing exponent.
        reduction: ``"mean"``, ``"sum"``, ``"batch_mean"`` or ``"none"``.

    Shapes:
        - logits, targets: ``(..., L)``
        - output: scalar, or ``(..., L)`` with ``"none"``

    Raises:
        InputError: If an option is out of range.

    Example:
        >>> loss = SPLCLoss(reduction="none")
        >>> logits, absent = torch.tensor([[1.0, 3.0]]), torch.zeros(1, 2)
        >>> loss(logits, absent).round(decimals=3)
        tensor([[0.7020, 2.7660]])
        >>> loss.set_progress(0.1, epoch=1)
        >>> loss(logits, absent).round(decimals=3)  # the second label counts as present
        tensor([[0.1730, 0.0020]])
    """

    def __init__(
        self,
        threshold: Annotated[float, Range(0, below=1)] = 0.6,
        warmup: Annotated[int, Range(0, 1000000)] = 1,
        margin: Annotated[float, Range(0, 1000)] = 1.0,
        gamma: Annotated[float, Range(0, 1000)] = 2.0,
        reduction: Reduction = "mean",
    ) -> None:
        super().__init__(reduction)
        check_ranges(
            SPLCLoss.__init__, threshold=threshold, warmup=warmup, margin=margin, gamma=gamma
        )
        self.threshold, self.warmup, self.margin, self.gamma = threshold, warmup, margin, gamma
        self._corrects = warmup == 0

    def set_progress(self, progress: float, epoch: int) -> None:
        """Begins the correction after ``warmup`` epochs."""
        self._corrects = epoch >= self.warmup

    def entries(self, z: Tensor, y: Tensor, known: Tensor) -> Tensor:
        """Returns the loss of each entry ``(..., L)``."""
        positive = focal_margin(z, self.margin, self.gamma)
        log_p, log_q = log_sigmoids(z)
        negative = weighted(torch.exp(self.gamma * steady(log_p, z)), log_q)
        if self._corrects and self.training:
            negative = torch.where(z.sigmoid() > self.threshold, positive, negative)
        return mixture(y, positive, negative)
