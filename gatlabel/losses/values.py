"""Losses of predicted numbers, with unknown ones (NaN) masked."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from gatlabel.errors import InputError


def squared_error(predicted: Tensor, values: Tensor) -> Tensor:
    """Mean squared error over the known values.

    Args:
        predicted: ``(..., V)``.
        values: ``(..., V)``; NaN for unknown: no loss and no gradient, whatever is predicted.

    Returns:
        A scalar; 0 where no value is known.

    Raises:
        InputError: If the shapes differ.

    Example:
        >>> squared_error(torch.tensor([3.0, 5.0]), torch.tensor([1.0, float("nan")]))
        tensor(4.)
    """
    return _mean(predicted, values, F.mse_loss)


def absolute_error(predicted: Tensor, values: Tensor) -> Tensor:
    """Mean absolute error over the known values; see :func:`squared_error`."""
    return _mean(predicted, values, F.l1_loss)


def huber_error(predicted: Tensor, values: Tensor) -> Tensor:
    """Huber loss, squared below an error of 1 and absolute above; see :func:`squared_error`."""
    return _mean(predicted, values, F.huber_loss)


#: The losses of regression by name.
VALUE_LOSSES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "squared": squared_error,
    "absolute": absolute_error,
    "huber": huber_error,
}


def _mean(predicted: Tensor, values: Tensor, loss: Callable[..., Tensor]) -> Tensor:
    if predicted.shape != values.shape:
        raise InputError(
            f"predicted values {tuple(predicted.shape)} and true ones {tuple(values.shape)} must "
            "have one shape (..., V)"
        )
    known = ~values.isnan()
    # half precision is computed in float32; the replacement cuts the gradient of NaN too
    exact = predicted if predicted.dtype == torch.float64 else predicted.float()
    found, true = (torch.where(known, each, 0.0) for each in (exact, values.to(exact.dtype)))
    return loss(found, true, reduction="sum") / known.sum().clamp(min=1)
