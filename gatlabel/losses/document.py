"""The two losses of the seed document, as printed and in well-posed forms."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from gatlabel.errors import unknown_choice
from gatlabel.losses.entries import EntryLoss, mixture
from gatlabel.losses.inputs import Reduction, weighted
from gatlabel.losses.logarithms import log_sigmoids

Form = Literal["printed", "well_posed"]
FORMS = {"printed": "the document's formula", "well_posed": "the one to minimise"}


def _checked(form: str, reduction: Reduction | None, printed: Reduction) -> Reduction:
    if form not in FORMS:
        raise unknown_choice("form", form, FORMS)
    return reduction or (printed if form == "printed" else "mean")


class CELoss(EntryLoss):
    r"""The cross-entropy of the seed document, section 3 (4): printed, or well-posed.

    With :math:`p = \sigma(z)` and N images, ``form="printed"`` is

    .. math:: \frac{1}{N} \sum_i \sum_c (1 - p_{ic})\, q_{ic} \log p_{ic}

    without a minus sign, as in the document. It is a *score*: at most 0, and 0 if every present
    label has p = 1. It is not a loss: **minimising it drives the present labels to p = 0**, without
    bound, and absent labels (q = 0) contribute nothing for any p. With the opposite sign, its
    minimum predicts every label as present.

    ``form="well_posed"`` is what training offers:

    .. math:: -|q - p|\, [\, q \log p + (1 - q) \log(1 - p)\, ]

    For q of 0 and 1 this is the printed formula with the opposite sign, plus the same term for
    absent labels: focal loss with γ = 1. It is at least 0, and for soft labels too it is 0 only at
    p = q (quality focal loss, Li et al., NeurIPS 2020, arXiv 2006.04388, equation 2).

    Args:
        form: printed, or well_posed.
        reduction: ``"mean"`` over known entries, ``"sum"``, ``"batch_mean"`` (1/N) or ``"none"``;
            by default that of the form: ``"batch_mean"`` as printed, else ``"mean"``.

    Shapes:
        - logits, targets: ``(..., L)``; targets in [0, 1], or -1 for unknown
        - output: scalar, or ``(..., L)`` with ``"none"``

    Raises:
        InputError: If there is no such form or reduction.

    Example:
        Gradient descent on the printed form drives the present label, the first, to 0:

        >>> def descend(loss, targets, steps=500):
        ...     logits = torch.zeros_like(targets, requires_grad=True)
        ...     optimizer = torch.optim.SGD([logits], lr=1.0)
        ...     for _ in range(steps):
        ...         optimizer.zero_grad()
        ...         loss(logits, targets).backward()
        ...         optimizer.step()
        ...     return logits.detach().sigmoid().round(decimals=2)
        >>> targets = torch.tensor([[1.0, 0.0]])
        >>> descend(CELoss(), targets)
        tensor([[0.0000, 0.5000]])
        >>> descend(CELoss(form="well_posed"), targets)
        tensor([[0.9700, 0.0300]])

        The printed form ignores false positives:

        >>> sure, targets = torch.tensor([[4.6, 4.6, 4.6]]), torch.tensor([[1.0, 0.0, 1.0]])
        >>> right = torch.tensor([[4.6, -4.6, 4.6]])
        >>> CELoss()(sure, targets) == CELoss()(right, targets)
        tensor(True)
    """

    def __init__(self, form: Form = "printed", reduction: Reduction | None = None) -> None:
        super().__init__(_checked(form, reduction, "batch_mean"))
        self.form: Form = form

    def entries(self, z: Tensor, y: Tensor, known: Tensor) -> Tensor:
        """Returns the loss of each entry ``(..., L)``."""
        log_p, log_q = log_sigmoids(z)
        if self.form == "printed":
            return -weighted(y * z.neg().sigmoid(), log_p)
        return (y - z.sigmoid()).abs() * mixture(y, -log_p, -log_q)


class SNLLLoss(EntryLoss):
    r"""The soft negative log-likelihood of the seed document, section 4 (2) (a).

    With :math:`p_i = \operatorname{softmax}(z_i)` over the labels of an image,
    ``form="printed"`` is the plain sum

    .. math:: \sum_i \sum_j -\sigma(z_{ij})\, (\log p_{ij} + \log(1 - p_{ij}))

    It contains no target: the model's own sigmoid takes the place of the soft label. **Minimising
    it drives all logits to −∞**, whatever the images show, since that makes every weight 0.
    Targets only mark which entries are known; unknown ones are also left out of the softmax. If
    only one label is known, p is 1 and the formula infinite: such an image contributes nothing.

    ``form="well_posed"`` is the intended form, with the soft label y in [0, 1] and
    :math:`p = \sigma(z)`: binary cross-entropy, which is what training offers.

    .. math:: -y \log p - (1 - y) \log(1 - p)

    Args:
        form: printed, or well_posed.
        reduction: ``"mean"`` over known entries, ``"sum"``, ``"batch_mean"`` or ``"none"``; by
            default that of the form: ``"sum"`` as printed, else ``"mean"``.

    Shapes:
        - logits, targets: ``(..., L)``; targets in [0, 1], or -1 for unknown
        - output: scalar, or ``(..., L)`` with ``"none"``

    Raises:
        InputError: If there is no such form or reduction.

    Example:
        Gradient descent on the printed form drives all labels to 0, including the present one:

        >>> def descend(loss, targets, steps):
        ...     logits = torch.zeros_like(targets, requires_grad=True)
        ...     optimizer = torch.optim.SGD([logits], lr=1.0)
        ...     for _ in range(steps):
        ...         optimizer.zero_grad()
        ...         value = loss(logits, targets)
        ...         value.backward()
        ...         optimizer.step()
        ...     return logits.detach().sigmoid().round(decimals=2), round(value.item(), 2)
        >>> targets = torch.tensor([[1.0, 0.0, 0.0]])
        >>> descend(SNLLLoss(), targets, steps=1)
        (tensor([[0.4100, 0.4100, 0.4100]]), 2.26)
        >>> descend(SNLLLoss(), targets, steps=1000)
        (tensor([[0., 0., 0.]]), 0.0)
        >>> descend(SNLLLoss(form="well_posed"), targets, steps=1000)
        (tensor([[1., 0., 0.]]), 0.0)
    """

    def __init__(self, form: Form = "printed", reduction: Reduction | None = None) -> None:
        super().__init__(_checked(form, reduction, "sum"))
        self.form: Form = form

    def entries(self, z: Tensor, y: Tensor, known: Tensor) -> Tensor:
        """Returns the loss of each entry ``(..., L)``."""
        if self.form == "well_posed":
            log_p, log_q = log_sigmoids(z)
            return mixture(y, -log_p, -log_q)
        # the softmax needs at least one term, and the logarithm of the others at least two
        enough = known.sum(-1, keepdim=True) > 1
        masked = torch.where(enough, torch.where(known, z, -torch.inf), 0.0)
        log_p = masked.log_softmax(-1)
        value = -z.sigmoid() * (log_p + _log_others(masked, log_p))
        return torch.where(enough & known, value, 0.0)


def _log_others(z: Tensor, log_p: Tensor) -> Tensor:
    """Returns log(1 - p) of a softmax ``(..., L)``, also where p rounds to 1."""
    if z.shape[-1] < 2:
        return torch.zeros_like(z)
    largest = torch.zeros_like(z, dtype=torch.bool).scatter(-1, z.argmax(-1, keepdim=True), True)
    # all but the largest have p <= 1/2
    others = torch.log1p(-torch.where(largest, -1.0, log_p).exp())
    rest = torch.where(largest, -torch.inf, log_p).logsumexp(-1, keepdim=True)
    return torch.where(largest, rest, others)
