"""What similarity was chosen in the runs of a benchmark, as a table of text."""

from __future__ import annotations

from gatlabel.experiments.tables import DataSets, Table


def similarity_table(data_sets: DataSets) -> Table:
    """Returns the choices of every run that is no control; none without the graph ``similarity``.

    Data sets, methods and conditions are columns if there are several.
    """
    found = [
        ([name, method.title, condition.title or "all"], [str(seed), which, why])
        for name, result in data_sets.items()
        for (method, condition, seed), reasons in result.similarity.items()
        for which, why in reasons
    ]
    several = [len({place[k] for place, _ in found}) > 1 for k in range(3)]
    several[0] = len(data_sets) > 1

    def shown(place: list[str]) -> list[str]:
        return [text for text, there in zip(place, several, strict=True) if there]

    head = [*shown(["data set", "method", "condition"]), "seed", "labels"]
    rows = [[*shown(place), *rest] for place, rest in found]
    return Table("Chosen in each run", [*head, "similarity, and its reason"], rows)
