"""Combination of unary logits and context logits by a noisy or."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

LEAST = 1e-20  # S / a0 in place of zero


def noisy_or(unary: Tensor, context: Tensor, prior: Tensor, miss_rate: float) -> Tensor:
    r"""Combines the logits of a label from the image with its logits given the other labels.

    A label is present if it is seen, or if it is not seen and its context causes it: a noisy or
    (Pearl, *Probabilistic Reasoning in Intelligent Systems*, 1988, section 4.3.2). If, in an
    average context, it is present but missed with probability :math:`a_0 = ρ\,σ(d)`, the odds are

    .. math:: \mathrm{e}^{z} = \frac{S + a_0}{1 - a_0}, \qquad S = (1 - a_0)\,\mathrm{e}^{z} - a_0

    with S the odds of being seen. In the given context the probability is :math:`a = ρ\,σ(e)`, and
    the odds become :math:`(S + a) / (1 - a)`. A label that is clearly seen keeps its logit. A label
    that is not seen (:math:`S = 0`) moves by the difference of the log-odds of :math:`a` and
    :math:`a_0`: for a rare label nearly ``e - d``, as in a naive Bayes classifier. Labels with
    :math:`S < 0`, whose unary odds are below :math:`a_0`, move by the same difference. For
    ``e = d`` the result is exactly ``z``.

    Args:
        unary: z, ``(B, L)``: logits from the image alone.
        context: e, ``(B, L)``: logits of the label given the other labels alone.
        prior: d, ``(L,)``: the value of e if nothing is known about the other labels.
        miss_rate: ρ in (0, 1): the probability that a present label cannot be seen.

    Returns:
        ``(B, L)``; computed in at least float32, since half precision cannot represent
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
