"""Whether counts can be those of one set of pictures."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gatlabel.errors import InputError
from gatlabel.graph.sparse_counts import entries, more_than_a_label

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


def check_unknown(counts: Cooccurrence) -> None:
    """Checks that counts of unknown entries, as a file has them, do not contradict the others.

    Counting gives none that do, so that only what was read needs this.

    Raises:
        InputError: If labels are unknown together, or one present while another is unknown, more
            often than alone, or both present more often than is left of one; they are named.
    """
    labels, single, unknown = counts.labels, counts.label_counts, counts.unknown
    if unknown is None:
        return
    if (found := more_than_a_label(unknown.pairs, unknown.labels)) is not None:
        row, column, count = found
        raise InputError(
            f"the pair {labels[row]!r}, {labels[column]!r} is unknown {count} times, more often "
            "than one of its labels"
        )
    stored = unknown.present.tocoo()
    bad = stored.data > np.minimum(single[stored.row], unknown.labels[stored.col])
    if bad.any():
        k = int(np.argmax(bad))
        one, other = labels[int(stored.row[k])], labels[int(stored.col[k])]
        raise InputError(
            f"{one!r} is present {stored.data[k]} times while {other!r} is unknown, more often "
            "than either"
        )
    pairs = counts.pairs.tocoo()
    for i, j in ((pairs.row, pairs.col), (pairs.col, pairs.row)):
        bad = pairs.data > single[i] - entries(unknown.present, i, j)
        if bad.any():
            k = int(np.argmax(bad))
            raise InputError(
                f"the pair {labels[int(i[k])]!r}, {labels[int(j[k])]!r} occurs {pairs.data[k]} "
                "times, more often than the first where the second is known"
            )
