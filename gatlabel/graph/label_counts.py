"""How often each label occurs: the part of the counts that heads need and graph files store."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gatlabel.errors import InputError


@dataclass(frozen=True, eq=False)
class LabelCounts:
    """How often each label is present, and unknown, in a set of images.

    Attributes:
        images: Number of images N, or ``None`` if the source of the counts does not give it.
        present: int64 ``(L,)``: images in which the label is present, n_i.
        unknown: int64 ``(L,)``: images in which it is unknown, or ``None`` if every label was
            always known.
    """

    images: int | None
    present: NDArray[np.int64]
    unknown: NDArray[np.int64] | None = None

    @property
    def known(self) -> NDArray[np.int64]:
        """Images in which each label is known: int64 ``(L,)``.

        Raises:
            InputError: If the number of images is unknown.
        """
        if self.images is None:
            raise InputError("known needs the number of images, which these counts do not have")
        gaps = 0 if self.unknown is None else self.unknown
        return np.full(len(self.present), self.images, np.int64) - gaps

    @property
    def base_rates(self) -> NDArray[np.float64]:
        """Share of images with each label, ``(n_i + ½) / (known_i + 1)``: ``(L,)`` in (0, 1).

        Half an image is added to either side so that log-odds are finite (Krichevsky and
        Trofimov 1981).

        Raises:
            InputError: If the number of images is unknown.
        """
        rates: NDArray[np.float64] = (self.present + 0.5) / (self.known + 1)
        return rates

    def permuted(self, order: NDArray[np.int64]) -> LabelCounts:
        """Returns the same counts with label ``order[k]`` at position k."""
        unknown = None if self.unknown is None else self.unknown[order]
        return LabelCounts(self.images, self.present[order], unknown)
