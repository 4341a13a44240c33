"""LL-R and LL-Ct: absent entries of largest loss are ignored, or treated as present."""

from __future__ import annotations

import math
from typing import Annotated

import torch
from torch import Tensor

from gatlabel.losses.entries import EntryLoss, mixture
from gatlabel.losses.inputs import Reduction
from gatlabel.losses.logarithms import log_sigmoids
from gatlabel.signatures import Range, check_ranges


class _LargeLoss(EntryLoss):
    """Cross-entropy that treats the absent entries of largest loss in a batch differently."""

    whole_batch = True

    def __init__(self, rate: float, reduction: Reduction) -> None:
        super().__init__(reduction)
        check_ranges(LLRLoss.__init__, rate=rate)
        self.rate, self._share = rate, 0.0

    def set_progress(self, progress: float, epoch: int) -> None:
        """Raises the share of entries regarded as wrong by ``rate`` per epoch."""
        self._share = min(self.rate * epoch, 1.0)

    def suspects(self, loss: Tensor, y: Tensor, known: Tensor) -> Tensor:
        """Marks the absent entries of largest loss: bool ``(..., L)``.

        Their number is the share of the *known* entries of the batch, rounded up. Ties go to the
        first entries. No value is copied from the device.
        """
        absent = (known & (y < 0.5)).flatten()
        if not len(absent):
            return absent.view(y.shape)
        values = torch.where(absent, loss.detach().flatten(), -torch.inf)
        # a product such as 0.002 * 1000 may lie just above the whole number
        most = (self._share * known.sum().double() - 1e-9).ceil()
        bound = math.ceil(self._share * len(values))  # of most, known without asking the device
        largest = values.topk(min(bound, len(values))).values
        least = largest.gather(0, (most.long() - 1).clamp(min=0)[None])
        above, tied = values > least, absent & (values == least)
        first = tied & (tied.cumsum(0) <= most - above.sum())
        return ((above | first) & (most > 0)).view(y.shape)

    def entries(self, z: Tensor, y: Tensor, known: Tensor) -> Tensor:
        """Returns the loss of each entry ``(..., L)``."""
        positive, negative = (-each for each in log_sigmoids(z))
        loss = mixture(y, positive, negative)
        if not self.training or not self._share:
            return loss
        suspects = self.suspects(loss, y, known)
        return self.treated(suspects, loss, y, positive, negative)

    def treated(
        self, suspects: Tensor, loss: Tensor, y: Tensor, positive: Tensor, negative: Tensor
    ) -> Tensor:
        """Returns the loss of each entry ``(..., L)``, of which some are regarded as wrong."""
        raise NotImplementedError


class LLRLoss(_LargeLoss):
    r"""Large-loss rejection, LL-R (Kim et al., CVPR 2022).

    Binary cross-entropy in which the :math:`k = \lceil s\,K \rceil` absent entries of largest
    loss in a batch are left out; K is the number of known entries (arXiv 2206.03740, section 4).
    The share s is 0 in the first epoch and grows by ``rate`` per epoch (:meth:`set_progress`).
    In evaluation mode nothing is left out. Target 0 means *not listed*: read unknown labels as
    absent. Soft labels below 0.5 count as absent. The selection depends on the whole batch.

    Args:
        rate: Increase of the share s per epoch (Δ of the paper).
        reduction: ``"mean"``, ``"sum"``, ``"batch_mean"`` or ``"none"``.

    Shapes:
        - logits, targets: ``(..., L)``
        - output: scalar, or ``(..., L)`` with ``"none"``

    Raises:
        InputError: If an option is out of range.

    Example:
        >>> loss = LLRLoss(rate=0.25, reduction="none")
        >>> loss.set_progress(0.1, epoch=1)  # leaves out one of these four entries
        >>> loss(torch.tensor([[2.0, 3.0, -1.0, 1.0]]), torch.tensor([[1.0, 0.0, 0.0, 0.0]]))
        tensor([[0.1269, 0.0000, 0.3133, 1.3133]])
    """

    def __init__(
        self, rate: Annotated[float, Range(0, 1)] = 0.002, reduction: Reduction = "mean"
    ) -> None:
        super().__init__(rate, reduction)

    def treated(
        self, suspects: Tensor, loss: Tensor, y: Tensor, positive: Tensor, negative: Tensor
    ) -> Tensor:
        """Returns a loss of 0 for these entries."""
        return torch.where(suspects, 0.0, loss)


class LLCtLoss(_LargeLoss):
    r"""Large-loss correction, LL-Ct (Kim et al., CVPR 2022).

    Like :class:`LLRLoss`, but entries of large loss are treated as present in this step (arXiv
    2206.03740, section 4): their target is :math:`1 - y`.

    Args:
        rate: Increase of the share of corrected entries per epoch (Δ of the paper).
        reduction: ``"mean"``, ``"sum"``, ``"batch_mean"`` or ``"none"``.

    Shapes:
        - logits, targets: ``(..., L)``
        - output: scalar, or ``(..., L)`` with ``"none"``

    Raises:
        InputError: If an option is out of range.

    Example:
        >>> loss = LLCtLoss(rate=0.25, reduction="none")
        >>> loss.set_progress(0.1, epoch=1)  # corrects one of these four entries
        >>> loss(torch.tensor([[2.0, 3.0, -1.0, 1.0]]), torch.tensor([[1.0, 0.0, 0.0, 0.0]]))
        tensor([[0.1269, 0.0486, 0.3133, 1.3133]])
    """

    def __init__(
        self, rate: Annotated[float, Range(0, 1)] = 0.002, reduction: Reduction = "mean"
    ) -> None:
        super().__init__(rate, reduction)

    def treated(
        self, suspects: Tensor, loss: Tensor, y: Tensor, positive: Tensor, negative: Tensor
    ) -> Tensor:
        """Returns the loss of the opposite target for these entries."""
        return mixture(torch.where(suspects, 1 - y, y), positive, negative)
