"""The cross-entropy of the seed document as a measure: 0 where all probabilities agree."""

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

    As printed it is at most 0, and 0 where every present label has probability 1: it sees misses,
    not false alarms, and has no lower bound. ``form="well_posed"`` sees both, is at least 0, and is
    0 exactly where probabilities and targets agree. Each has the reduction of its form: a mean over
    images, or over known entries.

    Args:
        scores: ``(N, L)``: probabilities, or logits.
        targets: ``(N, L)`` in [0, 1], or -1 for unknown, which does not count.
        form: printed, or well_posed.
        logits: Whether the scores are logits.
        labels: Names for messages.

    Raises:
        InputError: If shapes differ, or a score is NaN or no probability.

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
            raise InputError("scores outside [0, 1] are no probabilities: say logits=True")
        found = torch.logit(found.double())
    value: Tensor = CELoss(form)(found.double(), target.to(found.device))
    return float(value)
