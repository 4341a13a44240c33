"""Several benchmarks as one: contenders by data set, corrected for all that was tested."""

from __future__ import annotations

import dataclasses
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from gatlabel.errors import InputError
from gatlabel.experiments.comparisons import Comparison
from gatlabel.experiments.contenders import Contender
from gatlabel.experiments.finished import Finished, read_finished
from gatlabel.experiments.outcome import Setting
from gatlabel.experiments.preparation import progress_bar
from gatlabel.experiments.result import BenchmarkResult
from gatlabel.experiments.statistics import holm
from gatlabel.experiments.store import write_rows
from gatlabel.experiments.summary_tables import (
    COLUMNS,
    Results,
    comparison_table,
    contenders_of,
    csv_rows,
    difference_and_p,
    has_interval,
    settings_of,
    source_table,
    tables,
)
from gatlabel.experiments.summary_verdict import summary_verdict
from gatlabel.experiments.tables import markdown
from gatlabel.files import write_text
from gatlabel.printing import clean

FILES = ("summary.html", "summary.md", "summary.csv")


@dataclass(frozen=True)
class Summary:
    """The results of several benchmarks.

    Attributes:
        results: By data set. Their comparisons are corrected over all of them together, so their
            stars may be fewer than in their own reports.
        data_sets: How many different ones these are: a data set may be there under two sets of
            options.
    """

    results: Mapping[str, BenchmarkResult]
    data_sets: int

    @property
    def settings(self) -> list[Setting]:
        """All that occur, all pictures first."""
        return settings_of(self.results)

    @property
    def contenders(self) -> list[Contender]:
        """All that occur."""
        return contenders_of(self.results)

    @property
    def comparisons(self) -> dict[str, Sequence[Comparison]]:
        """By data set."""
        return {name: result.comparisons for name, result in self.results.items()}

    @property
    def title(self) -> str:
        """What it is of."""
        return f"Summary of {_counted(len(self.results), 'benchmark')}"

    @property
    def explanation(self) -> str:
        """What the figures are, in words."""
        tests = sum(c.corrected is not None for cs in self.comparisons.values() for c in cs)
        return (
            "mAP is per cent, mean ± standard deviation over seeds. Δ is the difference of mAP in "
            "points with its 95 % interval from images and seeds of that data set; a "
            "star marks differences beyond chance (p < 0.05) after Holm's correction over "
            f"the {_counted(tests, 'test')} of all data sets together, so there may be fewer than "
            "in the reports of the folders. A dash: not run there, not compared, or too few "
            "positives for an interval."
        )

    @property
    def verdict(self) -> list[str]:
        """What it comes to, a few sentences a setting."""
        noun = "data set" if self.data_sets == len(self.results) else "benchmark"
        return summary_verdict(self.comparisons, self.settings, noun)

    def table(self) -> str:
        """Returns mAP and differences, contender by data set, for every setting as Markdown."""
        parts = []
        for where in self.settings:
            for title, head, rows in tables(self.results, where):
                parts += [f"{title}:", markdown(head, rows)]
        return "\n\n".join(parts)

    def document(self) -> str:
        """Returns ``summary.md``: verdict, tables, comparisons, and what the folders hold."""
        return "\n\n".join([
            f"# {self.title}", *map(clean, self.verdict), self.explanation, self.table(),
            "## Comparisons", markdown(*comparison_table(self.results)),
            "## Sources", markdown(*source_table(self.results)),
        ]) + "\n"  # fmt: skip

    def write(self, folder: str | os.PathLike[str]) -> None:
        """Writes ``summary.html``, ``summary.md`` and ``summary.csv``, over older ones.

        Raises:
            InputError: If the folder cannot be written to.
        """
        from gatlabel.experiments.summary_report import render_summary

        page, text, table = (Path(folder) / name for name in FILES)
        write_rows(table, COLUMNS, csv_rows(self.results))
        write_text(text, self.document())
        write_text(page, render_summary(self))


def summarize(folders: Sequence[str | os.PathLike[str]], *, progress: bool = False) -> Summary:
    """Puts the results of several benchmarks side by side.

    The statistics are computed anew from the saved scores; p-values are corrected over
    all of them (Holm).

    Args:
        folders: Of finished benchmarks, of graphs and of heads alike: contenders of the same name
            stand in the same row.
        progress: Show a progress bar.

    Raises:
        InputError: If a folder is given twice, holds no benchmark, or is not finished.

    Example:
        >>> summary = summarize(["runs/photos", "runs/scenes"])  # doctest: +SKIP
        >>> print(summary.table())  # doctest: +SKIP
    """
    if isinstance(folders, str | os.PathLike):
        raise InputError("give a list of folders, as in summarize(['runs/a', 'runs/b'])")
    paths = [Path(folder) for folder in folders]
    if not paths:
        raise InputError("give at least one folder of a benchmark")
    twice = [p for p, n in Counter(map(os.path.realpath, paths)).items() if n > 1]
    if twice:
        raise InputError(f"{twice[0]} is given twice: give every folder once")
    finished = [read_finished(path) for path in paths]
    steps = sum(one.runs for one in finished)
    with progress_bar("statistics", steps, progress) as advance:
        results = [BenchmarkResult.load(one.folder, advance) for one in finished]
    named = dict(zip(_names(finished), results, strict=True))
    return Summary(corrected_together(named), len({one.data for one in finished}))


def corrected_together(results: Results) -> dict[str, BenchmarkResult]:
    """Corrects the p-values of all tested comparisons for their number (Holm).

    Tests without an interval (too few positives) are none, and are not counted.
    """
    tested = [
        (name, k)
        for name, result in results.items()
        for k, c in enumerate(result.comparisons)
        if c.corrected is not None and has_interval(c)
    ]
    raw = [difference_and_p(results[name].comparisons[k])[-1] for name, k in tested]
    corrected = dict(zip(tested, holm(raw), strict=True))
    return {
        name: dataclasses.replace(
            result,
            comparisons=[
                dataclasses.replace(c, corrected=corrected.get((name, k)))
                for k, c in enumerate(result.comparisons)
            ],
        )
        for name, result in results.items()
    }


def _names(finished: Sequence[Finished]) -> list[str]:
    """What the data sets are called, with the folder where that leaves two alike."""
    alike = Counter(one.data for one in finished)
    names = [
        one.data
        if alike[one.data] == 1
        else f"{one.data} · {Path(os.path.realpath(one.folder)).name}"
        for one in finished
    ]
    if len(set(names)) == len(names):
        return names
    return [f"{one.data} · {one.folder}" for one in finished]


def _counted(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'s' * (count != 1)}"
