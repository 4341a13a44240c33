"""Label counts and pair counts as values, from which graphs are computed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from gatlabel.errors import InputError
from gatlabel.graph.label_counts import LabelCounts
from gatlabel.graph.sparse_counts import more_than_a_label, permuted, same, symmetric
from gatlabel.labels import LabelSet


@dataclass(frozen=True, eq=False)
class UnknownCounts:
    """How often labels were unknown, alone and together with other labels.

    Counting the unknown entries, not the known ones, keeps the arrays sparse and counts additive.

    Attributes:
        labels: int64 ``(L,)``: images in which the label is unknown.
        pairs: ``(L, L)`` strict upper triangle: images in which both are unknown.
        present: ``(L, L)``: ``[i, j]`` is the number of images with i present and j unknown.
    """

    labels: NDArray[np.int64]
    pairs: sparse.csr_array
    present: sparse.csr_array

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, UnknownCounts):
            return NotImplemented
        return (
            np.array_equal(self.labels, other.labels)
            and same(self.pairs, other.pairs)
            and same(self.present, other.present)
        )

    __hash__ = None  # type: ignore[assignment]

    def __add__(self, other: UnknownCounts) -> UnknownCounts:
        return UnknownCounts(
            self.labels + other.labels, self.pairs + other.pairs, self.present + other.present
        )

    def permuted(self, order: NDArray[np.int64]) -> UnknownCounts:
        """Returns the same counts with label ``order[k]`` at position k."""
        return UnknownCounts(
            self.labels[order],
            permuted(self.pairs, order, upper=True),
            permuted(self.present, order, upper=False),
        )


class Counts:
    """Label counts and pair counts of a set of images; created through :class:`Cooccurrence`.

    Attributes:
        labels: The L labels.
        images: Number of images N, or ``None`` if the source of the counts does not give it.
        label_counts: int64 ``(L,)``: images in which a label is present, n_i.
        pairs: Pair counts as stored: scipy CSR ``(L, L)``, strict upper triangle.
        unknown: Counts of unknown entries, or ``None`` if every label was always known.

    Raises:
        InputError: If a pair occurs more often than one of its labels, or a label occurs more
            often than it is known. The message gives labels and counts.
    """

    def __init__(
        self,
        labels: LabelSet,
        images: int | None,
        label_counts: NDArray[np.int64],
        pairs: sparse.csr_array,
        unknown: UnknownCounts | None = None,
    ) -> None:
        self.labels = labels
        self.images = images
        self.label_counts = label_counts
        self.pairs = pairs
        self.unknown = unknown
        if (found := more_than_a_label(pairs, label_counts)) is not None:
            row, column, count = found
            smaller = min(label_counts[row], label_counts[column])
            raise InputError(
                f"the pair {labels[row]!r}, {labels[column]!r} occurs {count} times, "
                f"more often than one of its labels ({smaller} times)"
            )
        if images is not None and (label_counts > self.known).any():
            k = int(np.flatnonzero(label_counts > self.known)[0])
            raise InputError(
                f"label {labels[k]!r} occurs {label_counts[k]} times in {self.known[k]} images"
            )

    @property
    def names(self) -> tuple[str, ...]:
        """The L label names."""
        return self.labels.names

    @property
    def of_labels(self) -> LabelCounts:
        """The counts of single labels, without pairs."""
        gaps = None if self.unknown is None else self.unknown.labels
        return LabelCounts(self.images, self.label_counts, gaps)

    @property
    def pair_counts(self) -> NDArray[np.int64]:
        """Pair counts M as a dense symmetric array ``(L, L)`` with zero diagonal (8·L² bytes)."""
        return symmetric(self.pairs)

    @property
    def known(self) -> NDArray[np.int64]:
        """Images in which each label is known: int64 ``(L,)``."""
        return self.of_labels.known

    @property
    def base_rates(self) -> NDArray[np.float64]:
        """Share of images with each label, as :attr:`LabelCounts.base_rates`: ``(L,)``."""
        return self.of_labels.base_rates

    @property
    def known_pairs(self) -> NDArray[np.int64]:
        """Images in which both labels are known: dense ``(L, L)`` with ``known`` as diagonal."""
        known = self.known
        if self.unknown is None:
            return np.full((len(known), len(known)), self.require_images("known_pairs"), np.int64)
        gaps = self.unknown.labels
        both = known[:, None] - gaps[None, :] + symmetric(self.unknown.pairs)
        np.fill_diagonal(both, known)
        return both

    @property
    def present_where_known(self) -> NDArray[np.int64]:
        """``[i, j]``: images with i present and j known: dense ``(L, L)``.

        Therefore ``P(j|i) = pair_counts[i, j] / present_where_known[i, j]``. Without unknown
        labels every entry of row i is n_i.
        """
        present = np.repeat(self.label_counts[:, None], len(self.labels), 1)
        return present if self.unknown is None else present - self.unknown.present.toarray()

    @property
    def never_present(self) -> tuple[str, ...]:
        """Labels that occur in no image. They are allowed and never have an edge."""
        return tuple(self.labels[int(i)] for i in np.flatnonzero(self.label_counts == 0))

    @property
    def never_paired(self) -> tuple[str, ...]:
        """Labels that occur together with no other label, so that no statistic gives them edges."""
        degree = np.diff(self.pairs.indptr) + np.bincount(
            self.pairs.indices, minlength=len(self.labels)
        )
        return tuple(self.labels[int(i)] for i in np.flatnonzero(degree == 0))

    def require_images(self, what: str) -> int:
        """Returns the number of images.

        Raises:
            InputError: If it is unknown; the message names what needs it.
        """
        if self.images is None:
            raise InputError(f"{what} needs the number of images, which these counts do not have")
        return self.images

    def reorder(self, names: Iterable[str]) -> Self:
        """Returns the same counts with the labels in the given order.

        Raises:
            InputError: If the names are not the same set; the message lists the differences.
        """
        labels = LabelSet(names)
        order = labels.require_same_names(self.labels, "the counts")
        return type(self)(
            labels,
            self.images,
            self.label_counts[order],
            permuted(self.pairs, order, upper=True),
            None if self.unknown is None else self.unknown.permuted(order),
        )
