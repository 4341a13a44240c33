"""The label pairs that occur, as candidate edges with all counts the variants need."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gatlabel.graph.counts import Counts
from gatlabel.graph.sparse_counts import entries


@dataclass(frozen=True)
class PairTable:
    """Every pair that occurs, in both directions: P candidate edges j -> i.

    All counts are over images in which both labels are known.

    Attributes:
        source: int64 ``(P,)``: j.
        target: int64 ``(P,)``: i.
        count: int64 ``(P,)``: images with both present, M_ij.
        source_present: int64 ``(P,)``: images with j present.
        target_present: int64 ``(P,)``: images with i present.
        gaps: int64 ``(P,)``: images in which i or j is unknown.
    """

    source: NDArray[np.int64]
    target: NDArray[np.int64]
    count: NDArray[np.int64]
    source_present: NDArray[np.int64]
    target_present: NDArray[np.int64]
    gaps: NDArray[np.int64]

    def given_source(self) -> NDArray[np.float64]:
        """P(i|j): how often the target is present where the source is."""
        return self.count / self.source_present

    def given_target(self) -> NDArray[np.float64]:
        """P(j|i): how often the source is present where the target is."""
        return self.count / self.target_present

    def pmi(self, images: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Returns ``ln(P(i,j) / (P(i) P(j)))`` and ``ln P(i,j)``, both ``(P,)``.

        Args:
            images: Number of images N of the counts.
        """
        known = images - self.gaps
        joint = np.log(self.count / known)
        chance = np.log(self.source_present / known) + np.log(self.target_present / known)
        return joint - chance, joint


def pair_table(counts: Counts, min_support: int = 1) -> PairTable:
    """Lists the pairs that occur in at least ``min_support`` images, 1 or more."""
    stored = counts.pairs.tocoo()
    kept = stored.data >= min_support
    one, two = stored.row[kept].astype(np.int64), stored.col[kept].astype(np.int64)
    count = stored.data[kept].astype(np.int64)
    one_present, two_present = counts.label_counts[one], counts.label_counts[two]
    gaps = np.zeros_like(one)
    if counts.unknown is not None:
        unknown = counts.unknown
        one_present = one_present - entries(unknown.present, one, two)
        two_present = two_present - entries(unknown.present, two, one)
        gaps = unknown.labels[one] + unknown.labels[two] - entries(unknown.pairs, one, two)
    return PairTable(
        np.r_[one, two],
        np.r_[two, one],
        np.r_[count, count],
        np.r_[one_present, two_present],
        np.r_[two_present, one_present],
        np.r_[gaps, gaps],
    )
