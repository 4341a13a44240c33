"""The cross-entropy of the seed document as a metric."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from gatlabel.errors import InputError
from gatlabel.losses.document import CELoss, Form
from gatlabel.metrics.inputs import Array, check_scores, harden
from gatlabel.targets import Targets


def ce_loss(
    scores: Array,
    targets: Array,
    *,
    form: Form = "printed",
    logits: bool = False,
    labels: Sequence[str] | None = None,
) -> float:
    """Measures how well probabilities agree with targets, by :class:`~gatlabel.losses.CELoss`.

    The printed form is at most 0, and 0 if every present label has probability 1. It penalises
    misses but not false positives, and has no lower bound. ``form="well_posed"`` penalises both, is
    at least 0, and is 0 only if probabilities and targets agree. Each form has its own reduction: a
    mean over images, or over known entries.

    Args:
        scores: ``(N, L)``: probabilities, or logits.
        targets: ``(N, L)`` in [0, 1], or -1 for unknown, which is ignored.
        form: printed, or well_posed.
        logits: Whether the scores are logits.
        labels: Names for messages.

    Raises:
        InputError: If shapes differ, or a score is NaN or not a probability.

    Example:
        >>> targets = torch.tensor([[1, 0, 1], [0, 1, -1]])
        >>> probabilities = torch.tensor([[0.9, 0.2, 0.6], [0.3, 0.8, 0.5]])
        >>> round(ce_loss(probabilities, targets), 4), round(ce_loss(probabilities, targets,
        ...     form="well_posed"), 4)
        (-0.1297, 0.0822)
    """
    target = Targets.of(targets, labels).to_dense()
    found, _ = check_scores(scores, harden(target), labels)
    if not logits:
        if bool(((found < 0) | (found > 1)).any()):
            raise InputError("scores outside [0, 1] are not probabilities: pass logits=True")
        found = torch.logit(found.double())
    value: Tensor = CELoss(form)(found.double(), target.to(found.device))
    return float(value)
