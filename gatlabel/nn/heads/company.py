"""Sight and company: what the other labels of a picture say of a label that may not be seen."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F


def in_company(sight: Tensor, company: Tensor, usual: Tensor, unseen: float) -> Tensor:
    r"""Log-odds of labels by sight, after what is known of their company.

    A label is there if it is seen, or if it is not seen and its company brings it along: a noisy
    or (Pearl, *Probabilistic Reasoning in Intelligent Systems*, 1988, section 4.3.2) of sight with
    odds :math:`\mathrm{e}^{z}` and company with chance :math:`a = ρ\,σ(e)`, whose odds are
    :math:`(\mathrm{e}^{z} + a) / (1 - a)`. Sight has learned how often a label goes unseen in
    *usual* company, :math:`a_0 = ρ\,σ(d)`, so what company adds is the change from there:

    .. math:: z + \log\frac{\mathrm{e}^{z} + a}{\mathrm{e}^{z} + a_0} + \log\frac{1 - a_0}{1 - a}

    What is plainly seen stays as it is; what is not seen moves by almost ``e - d``, as in a naive
    Bayes classifier. Where ``e = d``, exactly ``z`` comes out.

    Args:
        sight: z, ``(B, L)``.
        company: e, ``(B, L)``: log-odds of the label given the others alone.
        usual: d, ``(L,)``: e where nothing is known of the others.
        unseen: ρ in (0, 1): the chance that a label which is there cannot be seen.

    Returns:
        ``(B, L)``.
    """
    here, before = (math.log(unseen) + F.logsigmoid(x) for x in (company, usual))  # log a, log a0
    odds = F.softplus(here - sight) - F.softplus(before - sight)
    return sight + (odds + (torch.log1p(-before.exp()) - torch.log1p(-here.exp())))
