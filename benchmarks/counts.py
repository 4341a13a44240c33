"""Pair counts of a million pictures and 10,000 labels, five present in each.

    python benchmarks/counts.py [--quick]

The peer is a loop over the pairs of each row that adds to the edges of a networkx graph. It runs
on 200,000 of the rows (20,000 with --quick) and its time is multiplied, which flatters it: a pair
takes it the longer the more pairs there are. The counts of those rows are compared. Memory is the
peak above the sparse input, in a process of its own. Processor time of one thread, in turn. Writes
benchmarks/results/counts.json.
"""

from __future__ import annotations

from itertools import combinations

import networkx as nx
import numpy as np
from kernels.timing import print_peak
from scipy import sparse
from speed.measuring import against, arguments, finish, limited, peak_megabytes, timed

from gatlabel import Cooccurrence

IMAGES, LABELS, PRESENT = 1_000_000, 10_000, 5
NAMES = [f"label {k}" for k in range(LABELS)]


def targets() -> sparse.csr_array:
    """A 0/1 matrix with ``PRESENT`` different labels a row, frequent ones more often."""
    rng = np.random.default_rng(0)
    # steps of at least one keep the five apart; small labels are more frequent
    steps = 1 + (rng.random((IMAGES, PRESENT)) ** 2 * (LABELS // PRESENT - 1)).astype(np.int32)
    columns = np.cumsum(steps, axis=1, dtype=np.int32) - 1
    pointer = np.arange(0, PRESENT * IMAGES + 1, PRESENT, dtype=np.int32)
    ones = np.ones(PRESENT * IMAGES, np.int8)
    return sparse.csr_array((ones, columns.reshape(-1), pointer), shape=(IMAGES, LABELS))


def loop(rows: np.ndarray) -> nx.Graph:
    """The counts as edge weights, a pair at a time."""
    graph = nx.Graph()
    for row in rows.tolist():
        for one, other in combinations(row, 2):
            if graph.has_edge(one, other):
                graph[one][other]["weight"] += 1
            else:
                graph.add_edge(one, other, weight=1)
    return graph


def main() -> None:
    asked = arguments(__doc__)
    matrix = targets()
    if asked.peak:
        print_peak(lambda: Cooccurrence.from_targets(matrix, NAMES))
        return
    share = 20_000 if asked.quick else 200_000
    sample = matrix.indices.reshape(IMAGES, PRESENT)[:share]
    graph = loop(sample)
    counted = Cooccurrence.from_targets(matrix[:share], NAMES).pairs.tocoo()  # row < column
    places = zip(counted.row.tolist(), counted.col.tolist(), strict=True)
    weights = dict(zip(places, counted.data.tolist(), strict=True))
    same = {(min(a, b), max(a, b)): n for a, b, n in graph.edges(data="weight")}
    if weights != same:
        raise SystemExit("the counts differ from networkx's")
    runs = {
        "ours": lambda: Cooccurrence.from_targets(matrix, NAMES),
        "peer": lambda: loop(sample),
    }
    times = timed(runs, 3 if asked.quick else 5)
    scale = IMAGES / share
    peer = type(times["peer"])(
        *(tuple(scale * run for run in runs) for runs in (times["peer"].runs, times["peer"].clock))
    )
    size = f"{IMAGES:,} x {LABELS:,}, {PRESENT} positives each"
    peaks = [peak_megabytes(__file__, "ours") for _ in range(1 if asked.quick else 3)]
    rows = [
        against(f"pair counts {size}", times["ours"], peer, 100, against="networkx loop, scaled"),
        limited("pair counts: time", times["ours"].runs, "s", 2),
        limited("pair counts: peak memory above the input", peaks, "MB", 200),
    ]
    kept = Cooccurrence.from_targets(matrix, NAMES).pairs.nnz
    finish("counts", rows, asked.quick, pairs_that_occur=int(kept))


if __name__ == "__main__":
    main()
