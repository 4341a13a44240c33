"""Ridge regression whose probabilities are corrected by a model of label dependence."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Literal

from torch import Tensor

from gatlabel.baselines.ridge import ridge_fit
from gatlabel.decisions.hmm import LabelHMM, Order
from gatlabel.decisions.pairwise import PairwiseLabelModel
from gatlabel.nn.heads.fitted.decoded import HMMHead, PairwiseHead

Decoding = Literal["marginals", "joint"]


def fit_hmm(
    features: Tensor,
    targets: Tensor,
    *,
    order: Order = "frequency",
    smoothing: float = 1.0,
    decode: Decoding = "marginals",
    seed: int = 0,
    groups: Sequence[Hashable] | None = None,
) -> HMMHead:
    """Fits ridge regression and counts the transitions of labels along an order.

    Args:
        features: ``(N, D)``.
        targets: ``(N, L)`` in [0, 1], -1 for unknown.
        order: See :meth:`~gatlabel.decisions.LabelHMM.from_targets`.
        smoothing: Likewise.
        decode: See :class:`HMMHead`.
        seed: Unused; part of the common interface.
        groups: The group of each image; those of one group are left out together.
    """
    linear, _ = ridge_fit(features, targets, groups=groups)
    hmm = LabelHMM.from_targets(targets, order, smoothing)
    head = HMMHead(features.shape[1], targets.shape[1], decode=decode)
    head.weight.copy_(linear.weight)
    head.bias.copy_(linear.bias)
    head.prior.copy_(hmm.rates.logit())
    for name in ("order", "initial", "transition"):
        getattr(head, name).copy_(getattr(hmm, name))
    return head


def fit_pairwise(
    features: Tensor,
    targets: Tensor,
    *,
    shrinkage: float = 3.0,
    decode: Decoding = "marginals",
    seed: int = 0,
    groups: Sequence[Hashable] | None = None,
) -> PairwiseHead:
    """Fits ridge regression, then pairwise label couplings to its residual dependence.

    Args:
        features: ``(N, D)``.
        targets: ``(N, L)`` in [0, 1], -1 for unknown.
        shrinkage: See :meth:`~gatlabel.decisions.PairwiseLabelModel.fit`.
        decode: See :class:`PairwiseHead`.
        seed: Unused; part of the common interface.
        groups: The group of each image; those of one group are left out together.
    """
    linear, left_out = ridge_fit(features, targets, groups=groups)
    model = PairwiseLabelModel.fit(left_out, targets, shrinkage)
    head = PairwiseHead(features.shape[1], targets.shape[1], decode=decode)
    head.weight.copy_(linear.weight)
    head.bias.copy_(linear.bias)
    head.coupling.copy_(model.coupling)
    head.rates.copy_(model.rates)
    return head
