"""How often labels occur, alone and in pairs: what every label graph is computed from."""

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

    A pair counts only in images where both of its labels are known; with unknown labels
    about, a probability is therefore a ratio of counts over the *same* images, which
    :attr:`present_where_known` and :attr:`known_pairs` give. Make one with
    :meth:`from_targets`, :meth:`from_counts`, :meth:`from_mlgcn` or :meth:`load`.

    Attributes:
        labels: The L labels.
        images: Number of images N, or ``None`` if the source of the counts did not say.
        label_counts: int64 ``(L,)``: images in which a label is present, n_i.
        pairs: Pair counts as they are stored: scipy CSR ``(L, L)``, strict upper triangle.
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
        """Takes counts made elsewhere, of images whose labels are all known.

        Args:
            label_counts: ``(L,)``: images in which each label is present.
            pair_counts: ``(L, L)`` array or scipy sparse matrix, symmetric, its diagonal zero
                or equal to ``label_counts``; or a list of ``[i, j, n]``, each pair once.
            images: Number of images, or ``None`` if unknown (then variants that compare with
                chance, such as ``npmi``, cannot be computed).
            names: The L label names.

        Raises:
            InputError: If counts are negative or no whole numbers, the matrix is not
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
        """Takes the arrays ``nums (L,)`` and ``adj (L, L)`` of ML-GCN and its descendants.

        Their files are pickles, which run code when read and are not opened here. Load one you
        trust yourself and pass the mapping, or save its two arrays with ``numpy.savez``.

        Args:
            arrays: A mapping with ``nums`` and ``adj``, or the path of an npz file with both.
            names: The L label names, which those files do not hold, in the order of the arrays.
            images: Number of images the counts are from, which those files do not hold either.

        Raises:
            InputError: If an array is missing or the counts do not fit together.
        """
        return cls.from_counts(*read_mlgcn(arrays), images, names)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Cooccurrence:
        """Reads what :meth:`save` wrote, or any JSON with names, counts, pairs and images.

        Raises:
            InputError: If the file cannot be read or its counts do not fit together.
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
            InputError: If there is no such variant or option; the message gives the nearest.

        Warns:
            IsolatedLabelsWarning: If labels have no in-neighbour (never for ``identity``).
        """
        from gatlabel.graph.variants import build_graph

        return build_graph(self, variant, **options)

    def merge(self, other: Cooccurrence) -> Cooccurrence:
        """Adds the counts of further images, aligned by name; ``+`` does the same.

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
            parts.append(f"{self.label_counts.sum() / self.images:.2f} labels an image")
        if self.unknown is not None and self.images:
            share = self.unknown.labels.sum() / (self.images * len(self.labels))
            parts.append(f"{share:.0%} of entries unknown")
        if self.never_present:
            parts.append(f"{len(self.never_present)} never present")
        return f"Cooccurrence({', '.join(parts)})"
