"""What every metric checks first: shapes, NaN, and targets that are present, absent or unknown."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gatlabel.errors import InputError
from gatlabel.targets import Targets

Array = Tensor | NDArray[np.generic] | Targets


def label_name(labels: Sequence[str] | None, position: int) -> str:
    """Names a label in a message, by its position when there are no names."""
    return f"label {position}" if labels is None else f"label {labels[position]!r}"


def real_tensor(values: Array, what: str) -> Tensor:
    """Turns an array of any layout into a tensor of a type that torch compares and sorts.

    Args:
        values: A tensor, targets, an array (strided, byte-swapped and read-only ones too) or nested
            lists.
        what: What they are, in the plural, for messages.

    Returns:
        A tensor without gradient, dense: floating, bool, or a signed integer.

    Raises:
        InputError: If they are no real numbers.
    """
    if isinstance(values, Targets):
        return values.to_dense()
    if isinstance(values, np.ndarray | np.generic):
        if values.dtype.kind not in "biuf" or values.dtype.itemsize > 8:
            raise InputError(f"{what} are of the type {values.dtype}: give real numbers")
        own = np.asarray(values, values.dtype.newbyteorder("="))
        whole = own.flags.writeable and all(stride >= 0 for stride in own.strides)
        values = own if whole else own.copy()
    try:
        tensor = torch.as_tensor(values).detach()
    except (TypeError, ValueError, RuntimeError) as error:
        raise InputError(f"{what} are no array of real numbers: {error}") from error
    if tensor.is_complex() or tensor.layout != torch.strided:
        kind = str(tensor.dtype if tensor.is_complex() else tensor.layout).removeprefix("torch.")
        raise InputError(f"{what} are {kind}: give real numbers, dense")
    return tensor.to(_COMPARABLE.get(tensor.dtype, tensor.dtype))


# Torch hardly computes with unsigned integers, and takes 255 for -1 where they are bytes.
_COMPARABLE = {
    torch.uint8: torch.int16,
    torch.uint16: torch.int32,
    torch.uint32: torch.int64,
    torch.uint64: torch.float64,
}
_EXACT = 2**53  # whole numbers up to here are float64 numbers


def precision_of(scores: Array) -> torch.dtype:
    """The precision in which scores were given: what a threshold for them is rounded to."""
    dtype = real_tensor(scores, "scores").dtype
    return dtype if dtype.is_floating_point else torch.float64


def check_scores(
    scores: Array, targets: Array, labels: Sequence[str] | None = None
) -> tuple[Tensor, Tensor]:
    """Turns scores and targets into tensors that metrics can count on.

    Args:
        scores: ``(N, L)``, any real type; infinite is allowed, NaN is not.
        targets: ``(N, L)`` of 1, 0 and -1 (unknown).
        labels: The L names, for messages.

    Returns:
        Scores in float32 or float64, holding exactly the values given, and targets as int8, on
        the device of the scores.

    Raises:
        InputError: If shapes differ, a score is NaN or no real number, or a target is not 1, 0 or
            -1; the message names row and label.
    """
    scores = real_tensor(scores, "scores")
    targets = real_tensor(targets, "targets").to(scores.device)
    if scores.ndim != 2 or scores.shape != targets.shape:
        raise InputError(
            f"scores {tuple(scores.shape)} and targets {tuple(targets.shape)} must both be (N, L)"
        )
    if labels is not None and len(labels) != scores.shape[1]:
        raise InputError(f"{len(labels)} label names for scores {tuple(scores.shape)}")
    if scores.dtype in (torch.float16, torch.bfloat16):
        scores = scores.float()
    elif scores.dtype not in (torch.float32, torch.float64):
        if scores.dtype == torch.int64 and scores.numel() and _beyond(scores, _EXACT):
            raise InputError(f"scores go beyond {_EXACT}, where whole numbers have no own rank")
        scores = scores.double()
    if torch.isnan(scores.sum()) and (bad := torch.isnan(scores)).any():
        row, column = (int(k) for k in bad.nonzero()[0])
        raise InputError(
            f"the score in row {row}, {label_name(labels, column)} is NaN ({int(bad.sum())} in "
            "all): a NaN has no rank; look for a diverged training or a broken image"
        )
    exact = targets.to(torch.int8)
    if not _in_convention(targets):
        bad = (exact != targets) | (exact > 1) | (exact < -1)
        row, column = (int(k) for k in bad.nonzero()[0])
        raise InputError(
            f"the target in row {row}, {label_name(labels, column)} is "
            f"{float(targets[row, column]):g}: metrics take 1, 0 or -1 (unknown); "
            "make soft labels hard first, see harden"
        )
    return scores, exact


def _beyond(values: Tensor, bound: int) -> bool:
    low, high = (int(value) for value in values.aminmax())
    return low < -bound or high > bound


def _in_convention(targets: Tensor) -> bool:
    """Whether all targets are 1, 0 or -1."""
    if targets.dtype == torch.bool or targets.numel() == 0:
        return True
    low, high = (float(value) for value in targets.aminmax())
    if not (low >= -1 and high <= 1):  # also finds NaN
        return False
    return not targets.is_floating_point() or bool((targets == targets.round()).all())


def harden(targets: Array, present_at: float = 0.5) -> Tensor:
    """Makes soft labels hard: present where at least ``present_at``, unknown stays unknown.

    Args:
        targets: ``(N, L)`` in [0, 1], or -1.
        present_at: The smallest value that counts as present.

    Returns:
        int8 ``(N, L)`` of 1, 0 and -1.

    Raises:
        InputError: If a target is neither in [0, 1] nor -1.
    """
    targets = real_tensor(targets, "targets")
    bad = ~(((targets >= 0) & (targets <= 1)) | (targets == -1))
    if bad.any():
        place = tuple(int(k) for k in bad.nonzero()[0])
        raise InputError(
            f"the target at {place} is {float(targets[place]):g}: 0 to 1, or -1 for unknown"
        )
    hard = (targets >= present_at).to(torch.int8)
    return torch.where(targets == -1, torch.full_like(hard, -1), hard)


def without_absence(targets: Tensor) -> Tensor:
    """Finds labels that are present and never known to be absent.

    No scores rank such a label wrongly and no decision for it is a false alarm: its average
    precision is 1 and its precision 1, whatever a model does. Neither belongs in a mean.

    Args:
        targets: ``(N, L)`` of 1, 0 and -1.

    Returns:
        bool ``(L,)``.
    """
    return (targets == 1).any(0) & ~(targets == 0).any(0)
