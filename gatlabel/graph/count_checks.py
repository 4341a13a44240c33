"""Whether counts can be those of one set of pictures."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gatlabel.errors import InputError
from gatlabel.graph.sparse_counts import more_than_a_label

if TYPE_CHECKING:
    from gatlabel.graph.cooccurrence import Cooccurrence


def check_counts(counts: Cooccurrence) -> None:
    """Checks that counts do not contradict each other.

    Raises:
        InputError: If a pair occurs more often than one of its labels, or a label more often than
            it is known; labels and counts are named.
    """
    labels, single = counts.labels, counts.label_counts
    if (found := more_than_a_label(counts.pairs, single)) is not None:
        row, column, count = found
        smaller = min(single[row], single[column])
        raise InputError(
            f"the pair {labels[row]!r}, {labels[column]!r} occurs {count} times, "
            f"more often than one of its labels ({smaller} times)"
        )
    if counts.images is not None and (single > counts.known).any():
        k = int(np.flatnonzero(single > counts.known)[0])
        raise InputError(
            f"label {labels[k]!r} occurs {single[k]} times in {counts.known[k]} pictures"
        )
