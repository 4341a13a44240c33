"""Multi-label losses, as functions and as modules with the same options.

All take logits and targets ``(..., L)``. A target is 1, 0, a soft label between them (which
weights the positive and the negative term), or -1 for unknown, which adds neither loss nor
gradient:

    >>> import torch
    >>> from gatlabel.losses import AsymmetricLoss, BCELoss, FocalLoss
    >>> logits = torch.tensor([[2.0, -1.0, float("nan")]], requires_grad=True)
    >>> targets = torch.tensor([[1.0, 0.3, -1.0]])
    >>> for loss in (BCELoss(), FocalLoss(gamma=2), AsymmetricLoss()):
    ...     print(f"{loss(logits, targets).item():.4f}")
    0.3701
    0.1141
    0.2607

    >>> BCELoss()(logits, targets).backward()
    >>> logits.grad
    tensor([[-0.0596, -0.0155,  0.0000]])

``reduction`` is ``"mean"`` over the known entries, ``"sum"``, ``"batch_mean"`` (sum over labels,
mean over images) or ``"none"``. Without a known entry the loss is 0.

Use binary cross-entropy unless another loss is better on your validation data. The asymmetric loss
helps if images have few of many labels; it is not a likelihood, so its probabilities need
calibration. :class:`HillLoss`, :class:`SPLCLoss`, :class:`LLRLoss`, :class:`LLCtLoss` and
:class:`GRLoss` are for data in which present labels were not listed. :data:`LOSSES` has all losses
by name.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gatlabel.lazy import lazy_names

if TYPE_CHECKING:
    from gatlabel.losses.asymmetric import AsymmetricLoss, asymmetric_loss
    from gatlabel.losses.balanced import DistributionBalancedLoss
    from gatlabel.losses.bce import BCELoss, binary_cross_entropy
    from gatlabel.losses.document import CELoss, SNLLLoss
    from gatlabel.losses.entries import EntryLoss, UsesProgress, set_progress
    from gatlabel.losses.focal import FocalLoss, focal_loss
    from gatlabel.losses.gr import GRLoss
    from gatlabel.losses.hill import HillLoss
    from gatlabel.losses.inputs import REDUCTIONS
    from gatlabel.losses.large_loss import LLCtLoss, LLRLoss
    from gatlabel.losses.sequences import SequenceLoss
    from gatlabel.losses.splc import SPLCLoss
    from gatlabel.losses.table import LOSSES
    from gatlabel.losses.two_way import TwoWayLoss
    from gatlabel.losses.weight_files import read_label_weights
    from gatlabel.losses.weighting import LabelSmoothing, LabelWeighted, balanced_weights
    from gatlabel.losses.zlpr import ZLPRLoss
else:
    __getattr__, __dir__ = lazy_names(__name__)

__all__ = [
    "LOSSES",
    "REDUCTIONS",
    "AsymmetricLoss",
    "BCELoss",
    "CELoss",
    "DistributionBalancedLoss",
    "EntryLoss",
    "FocalLoss",
    "GRLoss",
    "HillLoss",
    "LLCtLoss",
    "LLRLoss",
    "LabelSmoothing",
    "LabelWeighted",
    "SNLLLoss",
    "SPLCLoss",
    "SequenceLoss",
    "TwoWayLoss",
    "UsesProgress",
    "ZLPRLoss",
    "asymmetric_loss",
    "balanced_weights",
    "binary_cross_entropy",
    "focal_loss",
    "read_label_weights",
    "set_progress",
]
