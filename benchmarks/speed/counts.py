"""Pair counts of a million images and 10,000 labels, five present in each.

    python benchmarks/speed/counts.py [--quick]

The peer is a loop over the pairs of each row that adds to the edges of a networkx graph, over all
rows (3 GB; 100,000 with --quick, multiplied, which flatters it: a pair takes it the longer the more
pairs there are). It runs in a process of its own, since what gigabytes of small objects do to a
memory allocator would slow ours down. The counts of 20,000 rows are compared. Memory is the peak
above the sparse input, also in a process of its own. Processor time of one thread, in turn. Writes
benchmarks/results/counts.json.
"""

from __future__ import annotations

import statistics
from itertools import combinations

import networkx as nx
import numpy as np
from kernels.timing import Times, print_peak
from measuring import (
    against,
    arguments,
    finish,
    joined,
    limited,
    peak_megabytes,
    print_seconds,
    seconds_alone,
    timed,
)
from scipy import sparse

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


def check() -> None:
    """Compares the counts of some rows with networkx's."""
    matrix = targets()[:20_000]
    counted = Cooccurrence.from_targets(matrix, NAMES).pairs.tocoo()  # row < column
    places = zip(counted.row.tolist(), counted.col.tolist(), strict=True)
    weights = dict(zip(places, counted.data.tolist(), strict=True))
    edges = loop(matrix.indices.reshape(-1, PRESENT)).edges(data="weight")
    if weights != {(min(a, b), max(a, b)): n for a, b, n in edges}:
        raise SystemExit("the counts differ from networkx's")


def main() -> None:
    asked = arguments(__doc__)
    if asked.peak:
        matrix = targets()
        print_peak(lambda: Cooccurrence.from_targets(matrix, NAMES))
        return
    if asked.alone:
        sample = targets().indices.reshape(IMAGES, PRESENT)[: int(asked.alone)]
        print_seconds(lambda: loop(sample))
        return
    check()
    matrix = targets()
    share = 100_000 if asked.quick else IMAGES

    def ours() -> Cooccurrence:
        return Cooccurrence.from_targets(matrix, NAMES)

    for _ in range(3):
        ours()
    own, theirs = [], []
    for _ in range(2 if asked.quick else 3):
        own.append(timed({"ours": ours}, 5)["ours"])
        theirs.append(seconds_alone(__file__, str(share), IMAGES / share))
    size = f"{IMAGES:,} x {LABELS:,}, {PRESENT} positives each"
    peaks = [peak_megabytes(__file__, "ours") for _ in range(1 if asked.quick else 3)]
    loop_of = "networkx loop, scaled" if asked.quick else "networkx loop"
    middle = Times(tuple(t.median for t in own), tuple(statistics.median(t.clock) for t in own))
    rows = [
        against(f"pair counts {size}", middle, joined(theirs), 100, against=loop_of),
        limited("pair counts: time", joined(own).runs, "s", 2),
        limited("pair counts: peak memory above the input", peaks, "MB", 200),
    ]
    kept = ours().pairs.nnz
    finish("counts", rows, asked.quick, pairs_that_occur=int(kept))


if __name__ == "__main__":
    main()
