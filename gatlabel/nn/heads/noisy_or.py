"""Unary logits and context: what the other labels of an image say of one that may be missed."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

LEAST = 1e-20  # S / a0 that stands for none


def noisy_or(unary: Tensor, context: Tensor, prior: Tensor, miss_rate: float) -> Tensor:
    r"""Combines the logits of labels alone with the logits that the other labels suggest.

    A label is there if it is seen, or if it is not seen and its context causes it: a noisy or
    (Pearl, *Probabilistic Reasoning in Intelligent Systems*, 1988, section 4.3.2). If it is missed
    with chance :math:`a_0 = ρ\,σ(d)` in an average context, the odds are

    .. math:: \mathrm{e}^{z} = \frac{S + a_0}{1 - a_0}, \qquad S = (1 - a_0)\,\mathrm{e}^{z} - a_0

    with S the odds of being seen. In this context, where the chance is :math:`a = ρ\,σ(e)`, they
    are :math:`(S + a) / (1 - a)`. So a label that is plainly seen stays as it is, and one that is
    not (:math:`S = 0`) moves by the difference of the log-odds of :math:`a` and :math:`a_0`, for a
    rare label nearly ``e - d``, as in a naive Bayes classifier. So does one with :math:`S < 0`,
    whose unary logit leaves no room for being missed. Where ``e = d``, exactly ``z`` comes out.

    Args:
        unary: z, ``(B, L)``: logits from the image alone.
        context: e, ``(B, L)``: logits of the label given the other labels alone.
        prior: d, ``(L,)``: e where nothing is known of the other labels.
        miss_rate: ρ in (0, 1): the chance that a label which is there cannot be seen.

    Returns:
        ``(B, L)``; computed in float32 at least, since half precision has no number so small as
        :data:`LEAST`.
    """
    if prior.dtype in (torch.float16, torch.bfloat16):
        wide = noisy_or(unary.float(), context.float(), prior.float(), miss_rate)
        return wide.to(unary.dtype)
    here, before = (math.log(miss_rate) + F.logsigmoid(x) for x in (context, prior))  # log a, a0
    room, prior_room = torch.log1p(-here.exp()), torch.log1p(-before.exp())
    above = (unary + prior_room - before).clamp(min=LEAST)  # log-odds above those of S = 0
    seen = above + torch.log(-torch.expm1(-above))  # log (S / a0)
    odds = F.softplus(here - before - seen) - F.softplus(-seen)
    return unary + (odds + (prior_room - room))
