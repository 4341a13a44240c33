"""What similarity was chosen in the runs of a benchmark, as a table of text."""

from __future__ import annotations

from gatlabel.baselines.similarity.choice import WITH, WITHOUT
from gatlabel.experiments.tables import DataSets, Table
from gatlabel.experiments.wording import NOTHING


def similarity_table(data_sets: DataSets) -> Table:
    """Returns a row per training set of the graph ``similarity``; no rows without that graph.

    Columns of data set, condition and treatment of unknown labels are there if these differ.
    """
    found = [
        ([name, condition.title or "all", unknown], seed, reasons)
        for name, result in data_sets.items()
        for (condition, unknown, seed), reasons in result.similarity.items()
    ]
    columns = list(zip(*(place for place, _, _ in found), strict=True))
    differ = [len(set(column)) > 1 for column in columns]
    names = ["data set", "condition", "unknown"]
    head = [name for name, shown in zip(names, differ, strict=False) if shown]
    rows = [
        [
            *(text for text, shown in zip(place, differ, strict=True) if shown),
            str(seed),
            *reasons,
            *[NOTHING] * (2 - len(reasons)),
        ]
        for place, seed, reasons in found
    ]
    return Table("Chosen in each run", [*head, "seed", f"labels {WITH}", f"labels {WITHOUT}"], rows)
