"""Cross-entropy of one class per image or position, with unknown classes masked."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from gatlabel.errors import InputError
from gatlabel.labels import UNKNOWN

UNKNOWN_CLASS = int(UNKNOWN)  # for integer class targets


def cross_entropy(logits: Tensor, classes: Tensor, *, label_smoothing: float = 0.0) -> Tensor:
    """Mean cross-entropy over the known classes; an unknown one has no loss and no gradient.

    Args:
        logits: ``(..., C)``, any real number.
        classes: Integers ``(...)`` from 0 to C - 1, or -1 for unknown: no loss and no gradient,
            whatever the logits.
        label_smoothing: Share of the target that is spread evenly over all classes, from 0 to 1.

    Returns:
        A scalar; 0 where no class is known.

    Raises:
        InputError: If the shapes do not fit.

    Example:
        >>> logits = torch.tensor([[2.0, 0.0], [float("nan"), 0.0]])
        >>> cross_entropy(logits, torch.tensor([0, -1]))
        tensor(0.1269)
    """
    if classes.shape != logits.shape[:-1] or classes.is_floating_point():
        raise InputError(
            f"classes {tuple(classes.shape)} {classes.dtype} do not fit logits "
            f"{tuple(logits.shape)}: give integers of the shape {tuple(logits.shape[:-1])}"
        )
    known = classes != UNKNOWN_CLASS
    # half precision is computed in float32; the replacement cuts the gradient of NaN logits too
    logits = logits if logits.dtype == torch.float64 else logits.float()
    z = torch.where(known[..., None], logits, 0.0).flatten(0, -2)
    total = F.cross_entropy(
        z,
        classes.long().flatten(),
        ignore_index=UNKNOWN_CLASS,
        reduction="sum",
        label_smoothing=label_smoothing,
    )
    return total / known.sum().clamp(min=1)
