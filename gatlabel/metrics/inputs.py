"""Checks shared by all metrics: shapes, NaN, and targets that are present, absent or unknown."""

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
    """Returns the name of a label for messages, or its position if there are no names."""
    return f"label {position}" if labels is None else f"label {labels[position]!r}"


def real_tensor(values: Array, what: str) -> Tensor:
    """Converts an array of any layout to a tensor of a dtype that torch compares and sorts.

    Args:
        values: A tensor, targets, an array (also strided, byte-swapped or read-only) or nested
            lists.
        what: Name of the values, in the plural, for messages.

    Returns:
        A dense tensor without gradient: floating, bool, or a signed integer.

    Raises:
        InputError: If they are not real numbers.
    """
    if isinstance(values, Targets):
        return values.to_dense()
    if isinstance(values, np.ndarray | np.generic):
        if values.dtype.kind not in "biuf" or values.dtype.itemsize > 8:
            raise InputError(f"{what} have dtype {values.dtype}: expected real numbers")
        own = np.asarray(values, values.dtype.newbyteorder("="))
        whole = own.flags.writeable and all(stride >= 0 for stride in own.strides)
        values = own if whole else own.copy()
    try:
        tensor = torch.as_tensor(values).detach()
    except (TypeError, ValueError, RuntimeError) as error:
        raise InputError(f"{what} are not an array of real numbers: {error}") from error
    if tensor.is_complex() or tensor.layout != torch.strided:
        kind = str(tensor.dtype if tensor.is_complex() else tensor.layout).removeprefix("torch.")
        raise InputError(f"{what} are {kind}: expected dense real numbers")
    return tensor.to(_COMPARABLE.get(tensor.dtype, tensor.dtype))


# Torch supports few operations on unsigned integers, and -1 becomes 255 in bytes.
_COMPARABLE = {
    torch.uint8: torch.int16,
    torch.uint16: torch.int32,
    torch.uint32: torch.int64,
    torch.uint64: torch.float64,
}
_EXACT = 2**53  # largest integer up to which float64 is exact


def precision_of(scores: Array) -> torch.dtype:
    """Returns the precision in which scores were given, to which thresholds are rounded."""
    dtype = real_tensor(scores, "scores").dtype
    return dtype if dtype.is_floating_point else torch.float64


def check_scores(
    scores: Array, targets: Array, labels: Sequence[str] | None = None
) -> tuple[Tensor, Tensor]:
    """Converts scores and targets to tensors and checks them.

    Args:
        scores: ``(N, L)``, any real type; infinite is allowed, NaN is not.
        targets: ``(N, L)`` of 1, 0 and -1 (unknown).
        labels: The L names, for messages.

    Returns:
        Scores in float32 or float64 with exactly the given values, and targets as int8 on the
        device of the scores.

    Raises:
        InputError: If shapes differ, a score is NaN or not a real number, or a target is not 1, 0
            or -1; the message names row and label.
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
            raise InputError(f"scores exceed {_EXACT}: larger integers are not exact in float64")
        scores = scores.double()
    if torch.isnan(scores.sum()) and (bad := torch.isnan(scores)).any():
        row, column = (int(k) for k in bad.nonzero()[0])
        raise InputError(
            f"the score in row {row}, {label_name(labels, column)} is NaN ({int(bad.sum())} in "
            "all) and cannot be ranked: check for a diverged training run or a damaged image"
        )
    exact = targets.to(torch.int8)
    if not _in_convention(targets):
        bad = (exact != targets) | (exact > 1) | (exact < -1)
        row, column = (int(k) for k in bad.nonzero()[0])
        raise InputError(
            f"the target in row {row}, {label_name(labels, column)} is "
            f"{float(targets[row, column]):g}: metrics take 1, 0 or -1 (unknown); "
            "binarise soft labels first with gatlabel.metrics.harden"
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
    """Binarises soft labels: present from ``present_at`` on; unknown stays unknown.

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
            f"the target at {place} is {float(targets[place]):g}: must be 0 to 1, or -1 for unknown"
        )
    hard = (targets >= present_at).to(torch.int8)
    return torch.where(targets == -1, torch.full_like(hard, -1), hard)


def without_absence(targets: Tensor) -> Tensor:
    """Finds labels that are present and never known to be absent.

    No ranking of such a label is wrong and no prediction of it is a false positive. Its average
    precision and precision are 1 for every model, so it is excluded from means.

    Args:
        targets: ``(N, L)`` of 1, 0 and -1.

    Returns:
        bool ``(L,)``.
    """
    return (targets == 1).any(0) & ~(targets == 0).any(0)
