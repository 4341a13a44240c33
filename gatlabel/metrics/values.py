"""Errors of predicted numbers: mean absolute, root mean square, and R²."""

from __future__ import annotations

from torch import Tensor

from gatlabel.errors import InputError


def mean_absolute_error(predicted: Tensor, values: Tensor) -> Tensor:
    """Mean absolute error of each value, over the images where it is known.

    Args:
        predicted: ``(N, V)``.
        values: ``(N, V)``; NaN for unknown.

    Returns:
        float64 ``(V,)``; NaN for a value that is never known.

    Raises:
        InputError: If the shapes differ.
    """
    return _errors(predicted, values).abs().nanmean(0)


def root_mean_squared_error(predicted: Tensor, values: Tensor) -> Tensor:
    """Root of the mean squared error of each value; see :func:`mean_absolute_error`."""
    return _errors(predicted, values).square().nanmean(0).sqrt()


def r2_score(predicted: Tensor, values: Tensor) -> Tensor:
    """Share of the variance of each value that is explained; see :func:`mean_absolute_error`.

    Returns:
        float64 ``(V,)``, at most 1; below 0 if the mean of the values would predict better; NaN if
        all known values are the same.

    Example:
        >>> import torch
        >>> true = torch.tensor([[1.0], [2.0], [3.0], [torch.nan]])
        >>> r2_score(torch.tensor([[1.0], [2.0], [2.0], [9.0]]), true)
        tensor([0.5000], dtype=torch.float64)
    """
    errors, true = _errors(predicted, values), values.double()
    spread = (true - true.nanmean(0)).square().nansum(0)
    explained = 1 - errors.square().nansum(0) / spread
    return explained.where(spread > 0, float("nan"))


def _errors(predicted: Tensor, values: Tensor) -> Tensor:
    if predicted.shape != values.shape or values.ndim != 2:
        raise InputError(
            f"predicted values {tuple(predicted.shape)} and true ones {tuple(values.shape)} must "
            "both be (N, V)"
        )
    return predicted.detach().double() - values.double()
