"""Cross-entropy of label sequences, in a fixed order or in the order of least loss."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gatlabel.errors import InputError, unknown_choice
from gatlabel.losses.classes import UNKNOWN_CLASS, cross_entropy
from gatlabel.nn.label_sequences import BLOCKED

Alignment = Literal["predicted", "minimal"]
ALIGNMENTS = {
    "predicted": "true labels that were predicted keep their step, the others are assigned",
    "minimal": "all true labels are assigned to the steps at the least loss",
}
_KEPT = 1e9  # bonus of a pair that must be kept; above any sum of losses


class SequenceLoss(nn.Module):
    r"""Cross-entropy of each step, with the true labels in their order or aligned with the steps.

    With ``alignment``, the order of the true labels is ignored (Yazici et al., *Orderless recurrent
    models for multi-label classification*, CVPR 2020, arXiv:1911.09996). The n labels of an image
    are assigned to the first n steps by the permutation of least loss,

    .. math:: \min_{\pi} \sum_{t \le n} -\log p_t(y_{\pi(t)})

    (``minimal``, MLA), or by the best permutation in which every true label that was predicted
    within these steps keeps its step (``predicted``, PLA). The Hungarian method computes the
    assignment. The end keeps its place.

    Args:
        alignment: predicted, minimal, or ``None`` for the order of the targets.

    Shapes:
        - logits: ``(B, S, L + 1)``
        - targets: integers ``(B, S or more)``; see :class:`~gatlabel.tasks.SequenceTask`
        - output: scalar, the mean over the steps with a target; 0 if there is none

    Raises:
        InputError: If there is no such alignment, or the shapes do not fit.

    Example:
        >>> logits = torch.tensor([[[0.0, 4, 0], [4, 0, 0]]])  # the second label, then the first
        >>> targets = torch.tensor([[0, 1]])
        >>> SequenceLoss()(logits, targets)
        tensor(4.0360)
        >>> SequenceLoss("predicted")(logits, targets)
        tensor(0.0360)
    """

    def __init__(self, alignment: Alignment | None = None) -> None:
        super().__init__()
        if alignment is not None and alignment not in ALIGNMENTS:
            raise unknown_choice("alignment", alignment, ALIGNMENTS)
        self.alignment = alignment

    def forward(self, logits: Tensor, targets: Tensor, predicted: Tensor | None = None) -> Tensor:
        """Returns the loss.

        Args:
            logits: ``(B, S, L + 1)``.
            targets: ``(B, S or more)``.
            predicted: int64 ``(B, S)``: the label of each step; default: the largest logit.
        """
        fits = logits.ndim == 3 and targets.ndim == 2 and len(targets) == len(logits)
        if not fits or targets.shape[1] < logits.shape[1] or targets.is_floating_point():
            raise InputError(
                f"targets {tuple(targets.shape)} do not fit logits {tuple(logits.shape)}: give "
                f"integers of the shape {tuple(logits.shape[:2])}"
            )
        steps, end = logits.shape[1], logits.shape[2] - 1
        without = F.pad(unknown_labels(targets, end), (0, 1))
        logits = logits.masked_fill(without[:, None], BLOCKED)
        sequence = targets[:, :steps].clamp(min=UNKNOWN_CLASS)
        if self.alignment is not None:
            if predicted is None:
                predicted = logits[..., :end].argmax(-1)
            kept = predicted if self.alignment == "predicted" else None
            sequence = aligned(logits, sequence, kept)
        return cross_entropy(logits, sequence)

    def extra_repr(self) -> str:
        """Shows the options."""
        return f"alignment={self.alignment!r}"


def unknown_labels(targets: Tensor, labels: int) -> Tensor:
    """Returns the labels that are marked as unknown in targets: bool ``(B, L)``.

    Args:
        targets: Integers ``(B, S or more)``; -2 - k marks label k as unknown.
        labels: L.
    """
    place = torch.where(targets < UNKNOWN_CLASS, -2 - targets, labels)
    marks = torch.zeros(len(targets), labels + 1, dtype=torch.bool, device=targets.device)
    return marks.scatter(1, place, True)[:, :labels]


@torch.no_grad()
def aligned(logits: Tensor, sequence: Tensor, kept: Tensor | None = None) -> Tensor:
    """Returns sequences with their labels in the order of least loss.

    Args:
        logits: ``(B, S, L + 1)``.
        sequence: Integers ``(B, S)``: labels, L for the end, -1 for padding; the last two do not
            move.
        kept: int64 ``(B, S)``: labels of the steps; a correct one keeps its step.
    """
    from scipy.optimize import linear_sum_assignment

    end = logits.shape[-1] - 1
    is_label = (sequence >= 0) & (sequence < end)
    log_p = logits.double().log_softmax(-1).nan_to_num(nan=BLOCKED, neginf=BLOCKED)
    # cost[b, t, j]: cost of the label at position j in step t
    place = sequence.clamp(min=0)[:, None].expand(-1, sequence.shape[1], -1)
    cost = -log_p.gather(2, place)
    if kept is not None:
        same = (kept[:, :, None] == sequence[:, None]) & is_label[:, None] & is_label[:, :, None]
        cost = cost.masked_fill(same & (same.cumsum(1) == 1), -_KEPT)
    costs, labels, found = cost.cpu().numpy(), is_label.cpu().numpy(), sequence.cpu().numpy().copy()
    for row in labels.sum(1).nonzero()[0]:
        places = labels[row].nonzero()[0]
        if len(places) > 1:
            steps, chosen = linear_sum_assignment(costs[row][places][:, places])
            found[row, places[steps]] = found[row, places[chosen]]
    return torch.from_numpy(found).to(sequence.device)
