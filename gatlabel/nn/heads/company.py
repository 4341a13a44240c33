"""Sight and company: what the other labels of a picture say of a label that may not be seen."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

LEAST = 1e-20  # S / a0 that stands for none


def in_company(sight: Tensor, company: Tensor, usual: Tensor, unseen: float) -> Tensor:
    r"""Log-odds of labels by sight, after what is known of their company.

    A label is there if it is seen, or if it is not seen and its company brings it along: a noisy
    or (Pearl, *Probabilistic Reasoning in Intelligent Systems*, 1988, section 4.3.2). If it goes
    unseen with chance :math:`a_0 = ρ\,σ(d)` in *usual* company, the odds are

    .. math:: \mathrm{e}^{z} = \frac{S + a_0}{1 - a_0}, \qquad S = (1 - a_0)\,\mathrm{e}^{z} - a_0

    with S the odds of being seen. In this company, where the chance is :math:`a = ρ\,σ(e)`, they
    are :math:`(S + a) / (1 - a)`. So a label that is plainly seen stays as it is, and one that is
    not (:math:`S = 0`) moves by the difference of the log-odds of :math:`a` and :math:`a_0`, for a
    rare label nearly ``e - d``, as in a naive Bayes classifier. So does one with :math:`S < 0`,
    which sight leaves nowhere to hide. Where ``e = d``, exactly ``z`` comes out.

    Args:
        sight: z, ``(B, L)``.
        company: e, ``(B, L)``: log-odds of the label given the others alone.
        usual: d, ``(L,)``: e where nothing is known of the others.
        unseen: ρ in (0, 1): the chance that a label which is there cannot be seen.

    Returns:
        ``(B, L)``; computed in float32 at least, since half precision has no number so small as
        :data:`LEAST`.
    """
    if usual.dtype in (torch.float16, torch.bfloat16):
        wide = in_company(sight.float(), company.float(), usual.float(), unseen)
        return wide.to(sight.dtype)
    here, before = (math.log(unseen) + F.logsigmoid(x) for x in (company, usual))  # log a, log a0
    room, usual_room = torch.log1p(-here.exp()), torch.log1p(-before.exp())
    above = (sight + usual_room - before).clamp(min=LEAST)  # log-odds above those of S = 0
    seen = above + torch.log(-torch.expm1(-above))  # log (S / a0)
    odds = F.softplus(here - before - seen) - F.softplus(-seen)
    return sight + (odds + (usual_room - room))
