"""Storage of target values, and the check that they follow the convention."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import sparse
from torch import Tensor

from gatlabel.errors import InputError
from gatlabel.labels import ABSENT, PRESENT, UNKNOWN

#: ``(N, L)``: a dense array, or CSR in which entries that are not stored are absent.
Values = NDArray[Any] | sparse.csr_array
_CHUNK_VALUES = 1 << 22  # values checked at a time, to limit temporary memory


def stored(values: Any, labels: Sequence[str] | None = None) -> Values:
    """Converts targets to a dense array or canonical CSR, without a copy if possible.

    Raises:
        InputError: If it is not a table of numbers, or has not one column per label.
    """
    if isinstance(values, Tensor):
        values = values.detach().cpu()
        if values.dtype == torch.bfloat16:  # not supported by NumPy
            values = values.float()
        if values.layout == torch.strided:
            values = values.numpy()
        else:
            coo = values.to_sparse_coo().coalesce()
            place = tuple(coo.indices().numpy())
            entries: Any = (coo.values().numpy(), place)
            values = sparse.csr_array(entries, shape=tuple(coo.shape))
    if sparse.issparse(values):
        whole: Any = values
        matrix = sparse.csr_array(whole)
        if not matrix.has_canonical_format:
            matrix = matrix.copy()
            matrix.sum_duplicates()
        values = matrix
    elif not isinstance(values, np.ndarray):
        try:
            values = np.asarray(values, dtype=np.float64)
        except (TypeError, ValueError) as error:
            raise InputError(f"targets are not a table of numbers: {error}") from error
    require_width(values.shape, labels)
    if values.dtype.kind not in "biuf":
        raise InputError(f"targets have dtype {values.dtype}: expected numbers")
    return values


def require_width(shape: tuple[int, ...], labels: Sequence[str] | None) -> None:
    """Checks that targets have two axes and one column per label.

    Raises:
        InputError: If they do not.
    """
    if len(shape) != 2 or (labels is not None and shape[1] != len(labels)):
        width = "L" if labels is None else len(labels)
        raise InputError(
            f"targets have shape {tuple(shape)}, expected (N, {width}): one row per image, one "
            "column per label"
        )


def check_values(values: Values, labels: Sequence[str] | None = None) -> None:
    """Checks that targets ``(N, L)`` are in [0, 1], or -1 for unknown.

    Raises:
        InputError: If a value is invalid; the message names row and label.
    """
    if isinstance(values, np.ndarray):
        count, width = values.shape
        step = max(1, _CHUNK_VALUES // max(width, 1))
        for start in range(0, count, step):
            bad = _first_bad(values[start : start + step])
            if bad is not None:
                row, column = divmod(start * width + bad, width)
                raise _refusal(values[row, column], row, column, labels)
    elif (bad := _first_bad(values.data)) is not None:
        row = int(np.searchsorted(values.indptr, bad, side="right")) - 1
        raise _refusal(values.data[bad], row, int(values.indices[bad]), labels)


def _first_bad(values: NDArray[Any]) -> int | None:
    """Finds the first value that is neither in [0, 1] nor -1."""
    if not values.size or values.dtype.kind == "b" or (values.min() >= 0 and values.max() <= 1):
        return None
    bad = ~(((values >= ABSENT) & (values <= PRESENT)) | (values == UNKNOWN))
    return int(bad.argmax()) if bad.any() else None


def _refusal(value: Any, row: int, column: int, labels: Sequence[str] | None) -> InputError:
    label = f"column {column}" if labels is None else f"label {labels[column]!r}"
    return InputError(f"target {value} in row {row}, {label}: values are 0 to 1, or -1 for unknown")
