"""Targets: the known labels of N images and L labels.

Values are ``1`` present, ``0`` absent, in between soft, ``-1`` unknown. They are checked once, when
:class:`Targets` are created; functions that receive them need not check again.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import sparse
from torch import Tensor

from gatlabel.errors import unknown_choice
from gatlabel.labels import UNKNOWN
from gatlabel.masking import corrupt, mask_all_but_one, mask_share
from gatlabel.target_values import Values, check_values, require_width, stored

#: From this value on a soft label counts as present, as in evaluations.
PRESENT_FROM = 0.5

Rows = int | slice | Sequence[int] | NDArray[np.integer]


class LabelCounts(NamedTuple):
    """Counts of images per label, int64 ``(L,)`` each.

    Attributes:
        known: Images in which the label is known.
        present: Images with a target of 0.5 to 1.
        absent: Images with a target of 0 to below 0.5.
    """

    known: NDArray[np.int64]
    present: NDArray[np.int64]
    absent: NDArray[np.int64]


class Targets:
    """The known labels of N images and L labels, dense or sparse.

    Sparse targets stay sparse: only :meth:`rows`, :meth:`known` and :meth:`to_dense` return dense
    values, for the requested rows.

    Args:
        values: ``(N, L)`` array, tensor (also a sparse one), list of rows or scipy sparse matrix:
            1 present, 0 absent, in between soft, -1 unknown. In a sparse one, entries that are not
            stored are 0, and unknown is a stored -1. Arrays are not copied.
        labels: The L label names, to check the width and for messages; they are not stored.

    Attributes:
        values: A dense array of the given dtype, or a canonical scipy CSR array.
        shape: ``(N, L)``.

    Raises:
        InputError: If the shape does not match the labels or a value is out of range; the message
            names row and label.

    Example:
        >>> targets = Targets([[1, 0, -1], [1, 1, 0]])
        >>> targets.rows(0), targets.counts().present
        (tensor([ 1.,  0., -1.]), array([2, 1, 0]))
    """

    def __init__(self, values: Any, labels: Sequence[str] | None = None) -> None:
        self.values: Values = stored(values, labels)
        check_values(self.values, labels)

    @classmethod
    def of(cls, values: Any, labels: Sequence[str] | None = None) -> Targets:
        """Returns existing targets unchanged, and creates them from anything else.

        Raises:
            InputError: As the class; for existing targets only if the width differs.
        """
        if not isinstance(values, Targets):
            return cls(values, labels)
        require_width(values.shape, labels)
        return values

    @classmethod
    def _made(cls, values: Values) -> Targets:
        """Wraps values derived from checked ones."""
        made = cls.__new__(cls)
        made.values = values
        return made

    @property
    def shape(self) -> tuple[int, int]:
        """``(N, L)``."""
        return int(self.values.shape[0]), int(self.values.shape[1])

    @property
    def is_sparse(self) -> bool:
        """Whether the values are CSR."""
        return not isinstance(self.values, np.ndarray)

    def __len__(self) -> int:
        return self.shape[0]

    def rows(self, rows: Rows) -> Tensor:
        """Returns dense targets of some images: float32 ``(L,)`` for one, otherwise ``(B, L)``.

        Args:
            rows: One position, several, or a slice.
        """
        if isinstance(self.values, np.ndarray):
            return torch.from_numpy(np.array(self.values[rows], dtype=np.float32))
        if not isinstance(rows, int | np.integer):
            return torch.from_numpy(self.values[rows].toarray().astype(np.float32))
        rows = range(len(self))[rows]
        found = np.zeros(self.shape[1], np.float32)
        start, stop = self.values.indptr[rows], self.values.indptr[rows + 1]
        found[self.values.indices[start:stop]] = self.values.data[start:stop]
        return torch.from_numpy(found)

    def known(self, rows: Rows = slice(None)) -> Tensor:
        """Returns the dense mask of known targets of some images: bool ``(L,)`` or ``(B, L)``."""
        return self.rows(rows) != UNKNOWN

    def to_dense(self) -> Tensor:
        """Returns float32 ``(N, L)``; it may share memory with the targets."""
        if isinstance(self.values, np.ndarray):
            return torch.from_numpy(np.ascontiguousarray(self.values, dtype=np.float32))
        return self.rows(slice(None))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        """Converts the targets to a dense NumPy array."""
        return np.array(self.to_dense().numpy(), dtype=dtype, copy=copy)

    def present(self) -> sparse.csr_array:
        """Returns which targets are 0.5 to 1: CSR bool ``(N, L)``."""
        found: Any = self.values >= PRESENT_FROM
        return sparse.csr_array(found)

    def counts(self) -> LabelCounts:
        """Counts the images in which each label is known, present and absent."""
        N, L = self.shape
        if isinstance(self.values, np.ndarray):
            known, present = (
                found.sum(axis=0, dtype=np.int64)
                for found in (self.values != UNKNOWN, self.values >= PRESENT_FROM)
            )
            return LabelCounts(known, present, known - present)
        columns, data = self.values.indices, self.values.data
        unknown, present = (
            np.bincount(columns[chosen], minlength=L).astype(np.int64)
            for chosen in (data == UNKNOWN, data >= PRESENT_FROM)
        )
        return LabelCounts(N - unknown, present, N - unknown - present)

    def take(self, rows: Sequence[int] | NDArray[np.integer]) -> Targets:
        """Returns the targets of the images at the given positions, in that order."""
        return self._made(self.values[np.asarray(rows, dtype=np.int64)])

    def columns(self, positions: Sequence[int]) -> Targets:
        """Returns the labels at the given positions, in that order; -1 gives an unknown label."""
        order = np.asarray(positions, dtype=np.int64)
        if isinstance(self.values, np.ndarray):
            found = np.full((len(self), len(order)), UNKNOWN, np.float32)
            found[:, order >= 0] = self.values[:, order[order >= 0]]
            return self._made(found)
        # an additional column of unknowns, which position -1 selects
        unknown = sparse.csr_array(np.full((len(self), 1), UNKNOWN, np.float32))
        return self._made(sparse.csr_array(sparse.hstack([self.values, unknown]).tocsc()[:, order]))

    def mask(self, share: float | str, seed: int = 0) -> Targets:
        """Masks known entries, to measure the cost of missing labels.

        Unknown entries are stored: sparse targets take memory for every masked one.

        Args:
            share: Share of the known entries, at least 0 and below 1; see
                :func:`~gatlabel.masking.mask_share`. ``"single"`` keeps one present label per image
                only; see :func:`~gatlabel.masking.mask_all_but_one`.
            seed: The same seed masks the same entries.

        Raises:
            InputError: If the share is out of range.

        Example:
            >>> Targets([[1, 0, 1, 0], [0, 0, -1, 1]]).mask(0.5, seed=1).to_dense()
            tensor([[-1., -1.,  1.,  0.],
                    [-1., -1., -1.,  1.]])
        """
        if isinstance(share, str):
            if share != "single":
                raise unknown_choice("mask", share, ("single",))
            return self._made(mask_all_but_one(self.values, seed))
        if share == 0:
            return self
        return self._made(mask_share(self.values, share, seed))

    def corrupt(self, share: float, seed: int = 0) -> Targets:
        """Corrupts labels (label noise); see :func:`~gatlabel.masking.corrupt`.

        Args:
            share: Share of each label's positives, at least 0 and below 1.
            seed: The same seed corrupts the same entries.

        Raises:
            InputError: If the share is out of range.
        """
        return self._made(corrupt(self.values, share, seed))

    def tobytes(self) -> bytes:
        """Returns the values as bytes, for a hash that depends on values and layout."""
        if isinstance(self.values, np.ndarray):
            return self.to_dense().numpy().tobytes()
        parts = (self.values.indptr, self.values.indices, self.values.data)
        return b"".join(part.tobytes() for part in parts)

    def __repr__(self) -> str:
        layout = "sparse" if self.is_sparse else "dense"
        return f"Targets({self.shape[0]} images, {self.shape[1]} labels, {layout})"
