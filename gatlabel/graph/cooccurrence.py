"""How often labels occur, alone and in pairs: what every label graph is computed from."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse

from gatlabel.errors import InputError
from gatlabel.graph.count_checks import check_counts
from gatlabel.graph.counting import UnknownCounts, count_targets
from gatlabel.graph.sparse_counts import count_dtype, permuted, same, symmetric, whole_numbers
from gatlabel.labels import LabelSet
from gatlabel.targets import Targets

if TYPE_CHECKING:
    from gatlabel.graph.label_graph import LabelGraph


class Cooccurrence:
    """Label counts and pair counts of a set of pictures.

    A pair counts only in pictures where both of its labels are known; with unknown labels
    about, a probability is therefore a ratio of counts over the *same* pictures, which
    :meth:`present_where_known` and :meth:`known_pairs` give. Make one with
    :meth:`from_targets`, :meth:`from_counts`, :meth:`from_mlgcn` or :meth:`load`.

    Attributes:
        labels: The L labels.
        images: Number of pictures N, or ``None`` if the source of the counts did not say.
        label_counts: int64 ``(L,)``: pictures in which a label is present, n_i.
        pairs: Pair counts as they are stored: scipy CSR ``(L, L)``, strict upper triangle.
        unknown: Counts of unknown entries, or ``None`` if every label was always known.

    Example:
        >>> targets = [[1, 1, 0], [1, 0, 0], [0, 1, -1]]
        >>> counts = Cooccurrence.from_targets(targets, ["cup", "fork", "cow"])
        >>> counts.label_counts.tolist(), counts.pair_counts[0, 1].item(), counts.never_present
        ([2, 2, 0], 1, ('cow',))
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
        check_counts(self)

    @classmethod
    def from_targets(
        cls, targets: Any, names: Iterable[str], chunk: int | None = None
    ) -> Cooccurrence:
        """Counts labels and pairs in targets.

        Args:
            targets: :class:`~gatlabel.targets.Targets`, or what they are made of: ``(N, L)``
                array, tensor (also a sparse one), list of rows or scipy sparse matrix. A soft
                target counts as present from 0.5 on.
            names: The L label names, one a column.
            chunk: Rows of a dense array to treat at a time (memory, not the result, depends on
                it); by default about 4 million values.

        Raises:
            InputError: If shape and names do not fit or a value is out of range; the message
                names row and label.
        """
        labels = LabelSet(names)
        counted = count_targets(Targets.of(targets, labels), chunk)
        return cls(labels, counted.images, counted.labels, counted.pairs, counted.unknown)

    @classmethod
    def from_counts(
        cls,
        label_counts: ArrayLike,
        pair_counts: Any,
        images: int | None,
        names: Iterable[str],
    ) -> Cooccurrence:
        """Takes counts made elsewhere, of pictures whose labels are all known.

        Args:
            label_counts: ``(L,)``: pictures in which each label is present.
            pair_counts: ``(L, L)`` array or scipy sparse matrix, symmetric, its diagonal zero
                or equal to ``label_counts``; or a list of ``[i, j, n]``, each pair once.
            images: Number of pictures, or ``None`` if unknown (then variants that compare with
                chance, such as ``npmi``, cannot be computed).
            names: The L label names.

        Raises:
            InputError: If counts are negative or no whole numbers, the matrix is not
                symmetric, or a pair occurs more often than one of its labels.
        """
        from gatlabel.graph.pair_input import read_pairs

        labels = LabelSet(names)
        singles = whole_numbers(label_counts, "label counts")
        if singles.shape != (len(labels),):
            raise InputError(f"label counts have shape {singles.shape}, not ({len(labels)},)")
        total = None if images is None else int(whole_numbers(images, "the number of images"))
        pairs = read_pairs(pair_counts, singles, labels, count_dtype(total))
        return cls(labels, total, singles, pairs)

    @classmethod
    def from_mlgcn(
        cls,
        arrays: Mapping[str, ArrayLike] | str | os.PathLike[str],
        names: Iterable[str],
        images: int | None = None,
    ) -> Cooccurrence:
        """Takes the arrays ``nums (L,)`` and ``adj (L, L)`` of ML-GCN and its descendants.

        Their files are pickles, which run code when read and are not opened here. Load one you
        trust yourself and pass the mapping, or save its two arrays with ``numpy.savez``.

        Args:
            arrays: A mapping with ``nums`` and ``adj``, or the path of an npz file with both.
            names: The L label names, which those files do not hold, in the order of the arrays.
            images: Number of pictures the counts are from, which those files do not hold either.

        Raises:
            InputError: If an array is missing or the counts do not fit together.
        """
        from gatlabel.graph.pair_input import read_mlgcn

        return cls.from_counts(*read_mlgcn(arrays), images, names)

    @property
    def names(self) -> tuple[str, ...]:
        """The L label names."""
        return self.labels.names

    @property
    def pair_counts(self) -> NDArray[np.int64]:
        """Pair counts M as a dense symmetric array ``(L, L)`` with zero diagonal (8·L² bytes)."""
        return symmetric(self.pairs)

    @property
    def known(self) -> NDArray[np.int64]:
        """Pictures in which each label is known: int64 ``(L,)``."""
        gaps = 0 if self.unknown is None else self.unknown.labels
        return np.full(len(self.labels), self.require_images("known"), np.int64) - gaps

    @property
    def base_rates(self) -> NDArray[np.float64]:
        """Share of pictures with each label, ``(n_i + ½) / (known_i + 1)``: ``(L,)`` in (0, 1).

        Half a picture is added to either side, so that log-odds stay finite (Krichevsky and
        Trofimov 1981).
        """
        rates: NDArray[np.float64] = (self.label_counts + 0.5) / (self.known + 1)
        return rates

    @property
    def known_pairs(self) -> NDArray[np.int64]:
        """Pictures in which both labels are known: dense ``(L, L)``, the diagonal is ``known``."""
        known = self.known
        if self.unknown is None:
            return np.full((len(known), len(known)), self.require_images("known_pairs"), np.int64)
        gaps = self.unknown.labels
        both = known[:, None] - gaps[None, :] + symmetric(self.unknown.pairs)
        np.fill_diagonal(both, known)
        return both

    @property
    def present_where_known(self) -> NDArray[np.int64]:
        """``[i, j]``: pictures in which i is present and j known: dense ``(L, L)``.

        With it ``P(j|i) = pair_counts[i, j] / present_where_known[i, j]``. Without unknown
        labels every entry of row i is n_i.
        """
        present = np.repeat(self.label_counts[:, None], len(self.labels), 1)
        return present if self.unknown is None else present - self.unknown.present.toarray()

    @property
    def never_present(self) -> tuple[str, ...]:
        """Labels that occur in no picture; they are harmless and never have an edge."""
        return tuple(self.labels[int(i)] for i in np.flatnonzero(self.label_counts == 0))

    @property
    def never_paired(self) -> tuple[str, ...]:
        """Labels that occur together with no other: no statistic can give them an edge."""
        degree = np.diff(self.pairs.indptr) + np.bincount(
            self.pairs.indices, minlength=len(self.labels)
        )
        return tuple(self.labels[int(i)] for i in np.flatnonzero(degree == 0))

    def require_images(self, what: str) -> int:
        """Returns the number of pictures.

        Raises:
            InputError: If it is not known; the message says what needs it.
        """
        if self.images is None:
            raise InputError(f"{what} needs the number of images, and these counts have none")
        return self.images

    def graph(self, variant: str = "conditional", **options: Any) -> LabelGraph:
        """Builds a label graph by the name of a variant; see :data:`gatlabel.graph.VARIANTS`.

        Args:
            variant: ``"conditional"``, ``"npmi"``, ``"mlgcn_code"`` and so on.
            **options: The options of that variant's function.

        Raises:
            InputError: If there is no such variant or option; the message gives the nearest.
        """
        from gatlabel.graph.variants import build_graph

        return build_graph(self, variant, **options)

    def reorder(self, names: Iterable[str]) -> Cooccurrence:
        """Returns the same counts with the labels in another order.

        Raises:
            InputError: If the names are not the same set; the message lists the differences.
        """
        labels = LabelSet(names)
        order = labels.require_same_names(self.labels, "the counts")
        return Cooccurrence(
            labels,
            self.images,
            self.label_counts[order],
            permuted(self.pairs, order, upper=True),
            None if self.unknown is None else self.unknown.permuted(order),
        )

    def merge(self, other: Cooccurrence) -> Cooccurrence:
        """Adds the counts of further pictures, aligned by name; ``+`` does the same.

        Raises:
            InputError: If the label names differ.
        """
        other = other.reorder(self.labels)
        images = None if None in (self.images, other.images) else self.images + other.images  # type: ignore[operator]
        unknown = self.unknown if other.unknown is None else other.unknown
        if self.unknown is not None and other.unknown is not None:
            unknown = self.unknown + other.unknown
        pairs = self.pairs.astype(count_dtype(images)) + other.pairs
        return Cooccurrence(
            self.labels, images, self.label_counts + other.label_counts, pairs, unknown
        )

    __add__ = merge

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes the counts as JSON: names, counts and the list of ``[i, j, n]``."""
        from gatlabel.graph.count_files import save_counts

        save_counts(self, path)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Cooccurrence:
        """Reads what :meth:`save` wrote, or any JSON with names, counts, pairs and images.

        Raises:
            InputError: If the file cannot be read or its counts do not fit together.
        """
        from gatlabel.graph.count_files import load_counts

        return load_counts(path)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Cooccurrence):
            return NotImplemented
        return (
            self.labels == other.labels
            and self.images == other.images
            and np.array_equal(self.label_counts, other.label_counts)
            and same(self.pairs, other.pairs)
            and self.unknown == other.unknown
        )

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        size = "images unknown" if self.images is None else f"{self.images} images"
        parts = [f"{len(self.labels)} labels, {size}, {self.pairs.nnz} pairs occur"]
        if self.images:
            parts.append(f"{self.label_counts.sum() / self.images:.2f} labels an image")
        if self.unknown is not None and self.images:
            share = self.unknown.labels.sum() / (self.images * len(self.labels))
            parts.append(f"{share:.0%} of entries unknown")
        if self.never_present:
            parts.append(f"{len(self.never_present)} never present")
        return f"Cooccurrence({', '.join(parts)})"
