"""The result of a benchmark on one or several data sets."""

from __future__ import annotations

import dataclasses
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from gatlabel.errors import InputError
from gatlabel.experiments.comparisons import Comparison
from gatlabel.experiments.dataset_result import DataSetResult, compute
from gatlabel.experiments.finished import read_finished
from gatlabel.experiments.methods import Method
from gatlabel.experiments.outcome import Condition
from gatlabel.experiments.preparation import progress_bar
from gatlabel.experiments.records import Run
from gatlabel.experiments.statistics import holm
from gatlabel.experiments.store import Store
from gatlabel.experiments.tables import conditions_of, markdown, methods_of, result_tables
from gatlabel.experiments.verdict import verdict

#: Explanation of the metrics, for one data set and for several.
ONE = (
    "Metrics are per cent, mean ± standard deviation over seeds; times are medians. Δ is the "
    "difference in mAP in points with its 95 % interval from a jackknife over images and the "
    "spread over seeds; a star marks significant differences after Holm's correction (p < 0.05). "
    "Head, middle and tail are the mAP of the most frequent third of the labels, the middle third "
    "and the rarest third."
)
SEVERAL = (
    "mAP is per cent, mean ± standard deviation over seeds. Δ is the difference in mAP in points "
    "with its 95 % interval from images and seeds of that data set; a star marks significant "
    "differences (p < 0.05) after Holm's correction over the {tests} of all data sets together, "
    "so there may be fewer than in the reports of the folders. A dash: not run, not compared, or "
    "too few positives for an interval."
)


@dataclass(frozen=True)
class BenchmarkResult:
    """The results of benchmarks on one or more data sets.

    Attributes:
        data_sets: Results by name. P-values are corrected over all of them together, so there may
            be fewer significant differences than for each alone.
    """

    data_sets: Mapping[str, DataSetResult]

    @property
    def methods(self) -> list[Method]:
        """All methods; ``linear`` first."""
        return methods_of(self.data_sets)

    @property
    def conditions(self) -> list[Condition]:
        """All conditions: shares of images and of masked targets; all images first."""
        return conditions_of(self.data_sets)

    @property
    def runs(self) -> list[Run]:
        """The runs of all data sets."""
        return [run for result in self.data_sets.values() for run in result.runs]

    @property
    def comparisons(self) -> list[Comparison]:
        """The comparisons of all data sets."""
        return [c for result in self.data_sets.values() for c in result.comparisons]

    @property
    def title(self) -> str:
        """What was compared, on which data."""
        if len(self.data_sets) == 1:
            return next(iter(self.data_sets.values())).scope.title
        return f"Summary of {len(self.data_sets)} benchmarks"

    @property
    def verdict(self) -> list[str]:
        """The conclusions, one or two sentences per condition."""
        different = {result.scope.data_set for result in self.data_sets.values()}
        noun = "data set" if len(different) == len(self.data_sets) else "benchmark"
        found = {name: result.comparisons for name, result in self.data_sets.items()}
        return verdict(found, self.conditions, noun)

    @property
    def explanation(self) -> str:
        """Explanation of the metrics."""
        if len(self.data_sets) == 1:
            return ONE
        tests = sum(c.corrected is not None for c in self.comparisons)
        return SEVERAL.format(tests=f"{tests:,} test{'s' * (tests != 1)}")

    def table(self) -> str:
        """Returns the tables of results of every condition as Markdown."""
        parts = []
        for condition in self.conditions:
            for table in result_tables(self.data_sets, condition):
                parts += [f"{table.title}:"] * bool(table.title) + [markdown(table)]
        return "\n\n".join(parts)

    @classmethod
    def load(
        cls,
        folders: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
        *,
        progress: bool = False,
    ) -> BenchmarkResult:
        """Reads finished benchmarks and computes the statistics from the saved scores.

        Args:
            folders: One folder, or those of several benchmarks, also of graphs and heads together:
                methods of the same name share a row.
            progress: Show a progress bar.

        Raises:
            InputError: If a folder is given twice, is not of a benchmark, or is not finished.

        Example:
            >>> both = BenchmarkResult.load(["runs/photos", "runs/scenes"])  # doctest: +SKIP
            >>> print(both.table())  # doctest: +SKIP
        """
        paths = [
            Path(f) for f in ([folders] if isinstance(folders, str | os.PathLike) else folders)
        ]
        if not paths:
            raise InputError("give at least one folder of a benchmark")
        twice = [p for p, n in Counter(map(os.path.realpath, paths)).items() if n > 1]
        if twice:
            raise InputError(f"{twice[0]} is given twice: give every folder once")
        stores = [read_finished(path) for path in paths]
        steps = sum(len(store.read_scope().keys) for store in stores)
        with progress_bar("statistics", steps, progress) as advance:
            results = [compute(store, advance) for store in stores]
        return cls(corrected_together(dict(zip(_names(stores), results, strict=True))))


def corrected_together(data_sets: Mapping[str, DataSetResult]) -> dict[str, DataSetResult]:
    """Corrects the p-values of all tested comparisons for their number (Holm)."""
    every = [c for result in data_sets.values() for c in result.comparisons]
    raw = [c.difference.p for c in every if c.corrected is not None]
    corrected = iter(holm([p for p in raw if p is not None]))

    def again(c: Comparison) -> Comparison:
        if c.corrected is None or c.difference.p is None:
            return dataclasses.replace(c, corrected=None)
        return dataclasses.replace(c, corrected=next(corrected))

    return {
        name: dataclasses.replace(result, comparisons=[again(c) for c in result.comparisons])
        for name, result in data_sets.items()
    }


def _names(stores: Sequence[Store]) -> list[str]:
    """Returns the names of the data sets, with the folder if two would be equal."""
    own = [store.read_scope().data_set for store in stores]
    alike = Counter(own)
    folders = [Path(os.path.realpath(store.folder)).name for store in stores]
    names = [n if alike[n] == 1 else f"{n} · {f}" for n, f in zip(own, folders, strict=True)]
    if len(set(names)) == len(names):
        return names
    return [f"{name} · {store.folder}" for name, store in zip(own, stores, strict=True)]
