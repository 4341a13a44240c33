"""What similarity was chosen in the runs of a benchmark, as a table of text."""

from __future__ import annotations

from gatlabel.experiments.tables import DataSets, Table


def similarity_table(data_sets: DataSets) -> Table:
    """Returns the choices of every training set; no rows without the graph ``similarity``.

    Columns of data set, condition and treatment of unknown labels are there if these differ.
    """
    found = [
        ([name, condition.title or "all", unknown], [str(seed), which, why])
        for name, result in data_sets.items()
        for (condition, unknown, seed), reasons in result.similarity.items()
        for which, why in reasons
    ]
    differ = [len({place[k] for place, _ in found}) > 1 for k in range(3)]
    names = ["data set", "condition", "unknown"]

    def shown(place: list[str]) -> list[str]:
        return [text for text, differs in zip(place, differ, strict=True) if differs]

    head = [*shown(names), "seed", "labels", "similarity, and its reason"]
    return Table("Chosen in each run", head, [[*shown(place), *rest] for place, rest in found])
