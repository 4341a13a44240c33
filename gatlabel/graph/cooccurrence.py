"""Label counts and pair counts, from which all graphs are built."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from gatlabel.graph.count_files import load_counts, save_counts
from gatlabel.graph.counting import count_targets
from gatlabel.graph.counts import Counts
from gatlabel.graph.pair_input import read_counts, read_mlgcn
from gatlabel.graph.sparse_counts import count_dtype, same
from gatlabel.labels import LabelSet
from gatlabel.targets import Targets

if TYPE_CHECKING:
    from gatlabel.graph.label_graph import LabelGraph


class Cooccurrence(Counts):
    """Label counts and pair counts of a set of images.

    A pair counts only in images in which both of its labels are known. Probabilities are therefore
    ratios of counts over the *same* images, which :attr:`present_where_known` and
    :attr:`known_pairs` give. Create an instance with :meth:`from_targets`, :meth:`from_counts`,
    :meth:`from_mlgcn` or :meth:`load`.

    Attributes:
        labels: The L labels.
        images: Number of images N, or ``None`` if the source of the counts does not give it.
        label_counts: int64 ``(L,)``: images in which a label is present, n_i.
        pairs: Pair counts as stored: scipy CSR ``(L, L)``, strict upper triangle.
        unknown: Counts of unknown entries, or ``None`` if every label was always known.

    Example:
        >>> targets = [[1, 1, 0], [1, 0, 0], [0, 1, -1]]
        >>> counts = Cooccurrence.from_targets(targets, ["cup", "fork", "cow"])
        >>> counts.label_counts.tolist(), counts.pair_counts[0, 1].item(), counts.never_present
        ([2, 2, 0], 1, ('cow',))
    """

    @classmethod
    def from_targets(
        cls, targets: Any, names: Iterable[str], chunk: int | None = None
    ) -> Cooccurrence:
        """Counts labels and pairs in targets.

        Args:
            targets: :class:`~gatlabel.targets.Targets`, or anything they can be built from: an
                ``(N, L)`` array, a dense or sparse tensor, a list of rows or a scipy sparse matrix.
                A soft target counts as present from 0.5 on.
            names: The L label names, one per column.
            chunk: Rows of a dense array to process at a time; by default about 4 million values.
                It affects memory use, not the result.

        Raises:
            InputError: If shape and names do not match or a value is out of range; the message
                names the row and the label.
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
        """Builds counts from numbers counted elsewhere, over images whose labels are all known.

        Args:
            label_counts: ``(L,)``: images in which each label is present.
            pair_counts: ``(L, L)`` array or scipy sparse matrix, symmetric, with a diagonal of
                zeros or of ``label_counts``; or a list of ``[i, j, n]`` with each pair once.
            images: Number of images, or ``None`` if unknown. Variants that compare with chance,
                such as ``npmi``, need it.
            names: The L label names.

        Raises:
            InputError: If counts are negative or not whole numbers, the matrix is not
                symmetric, or a pair occurs more often than one of its labels.
        """
        return cls._of(read_counts(label_counts, pair_counts, images, names))

    @classmethod
    def from_mlgcn(
        cls,
        arrays: Mapping[str, ArrayLike] | str | os.PathLike[str],
        names: Iterable[str],
        images: int | None = None,
    ) -> Cooccurrence:
        """Builds counts from the arrays ``nums (L,)`` and ``adj (L, L)`` of ML-GCN.

        The files of ML-GCN and the methods derived from it are pickles, which run code when read.
        They are not opened here. Load a file that you trust yourself and pass the mapping, or save
        its two arrays with ``numpy.savez``.

        Args:
            arrays: A mapping with ``nums`` and ``adj``, or the path of an npz file with both.
            names: The L label names in the order of the arrays; the files do not contain them.
            images: Number of images that were counted; the files do not contain it either.

        Raises:
            InputError: If an array is missing or the counts contradict each other.
        """
        return cls.from_counts(*read_mlgcn(arrays), images, names)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Cooccurrence:
        """Reads a file written by :meth:`save`, or JSON with names, counts, pairs and images.

        Raises:
            InputError: If the file cannot be read or its counts contradict each other.
        """
        return cls._of(load_counts(path))

    @classmethod
    def _of(cls, counts: Counts) -> Cooccurrence:
        return cls(counts.labels, counts.images, counts.label_counts, counts.pairs, counts.unknown)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes the counts as JSON: names, counts and the list of ``[i, j, n]``."""
        save_counts(self, path)

    def graph(self, variant: str = "conditional", **options: Any) -> LabelGraph:
        """Builds a label graph by the name of a variant; see :data:`gatlabel.graph.VARIANTS`.

        Args:
            variant: ``"conditional"``, ``"npmi"``, ``"mlgcn_code"`` and so on.
            **options: The options of that variant.

        Raises:
            InputError: If there is no such variant or option; the message names the nearest one.

        Warns:
            IsolatedLabelsWarning: If labels have no in-neighbour (never for ``identity``).
        """
        from gatlabel.graph.variants import build_graph

        return build_graph(self, variant, **options)

    def merge(self, other: Cooccurrence) -> Cooccurrence:
        """Adds the counts of other images, aligned by name; same as ``+``.

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
            parts.append(f"{self.label_counts.sum() / self.images:.2f} labels per image")
        if self.unknown is not None and self.images:
            share = self.unknown.labels.sum() / (self.images * len(self.labels))
            parts.append(f"{share:.0%} of entries unknown")
        if self.never_present:
            parts.append(f"{len(self.never_present)} never present")
        return f"Cooccurrence({', '.join(parts)})"
