"""What a benchmark found: runs, comparisons, verdict, and the files that say so."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gatlabel.errors import InputError
from gatlabel.experiments.comparisons import Comparison, compare
from gatlabel.experiments.contenders import Contender
from gatlabel.experiments.outcome import Setting
from gatlabel.experiments.statistics import STATISTICS
from gatlabel.experiments.store import Run, Store
from gatlabel.experiments.tables import comparison_rows, markdown, result_rows
from gatlabel.experiments.verdict import verdict
from gatlabel.files import write_json, write_text
from gatlabel.printing import clean


@dataclass(frozen=True)
class BenchmarkResult:
    """The results of a benchmark.

    Attributes:
        folder: Where they lie.
        title: What was compared on which data.
        contenders: All of them, ``linear`` first.
        settings: Shares of pictures and of hidden targets.
        seeds: The seeds of every contender.
        runs: A row a run.
        comparisons: All differences.
        protocol: What was done and how, as named sentences.
        machine: Versions and machine.
    """

    folder: Path
    title: str
    contenders: Sequence[Contender]
    settings: Sequence[Setting]
    seeds: Sequence[int]
    runs: Sequence[Run]
    comparisons: Sequence[Comparison]
    protocol: Mapping[str, str]
    machine: Mapping[str, Any]

    @property
    def verdict(self) -> list[str]:
        """What it comes to, a sentence or two a setting."""
        return verdict(self.comparisons, self.settings)

    def table(self) -> str:
        """Returns the main table of every setting as Markdown text."""
        parts = []
        for where in self.settings:
            if where.title:
                parts.append(f"{where.title[0].upper()}{where.title[1:]}:")
            parts.append(
                markdown(*result_rows(self.runs, self.comparisons, self.contenders, where))
            )
        return "\n\n".join(parts)

    def document(self) -> str:
        """Returns ``table.md``: verdict, tables, comparisons, protocol, machine."""
        parts = [
            f"# {clean(self.title)}",
            *map(clean, self.verdict),
            EXPLANATION,
            self.table(),
            "## Comparisons",
        ]
        for where in self.settings:
            if where.title:
                parts.append(f"### {where.title}")
            head, rows = comparison_rows(self.comparisons, where)
            parts.append(markdown(head, rows) if rows else "Nothing was tested.")
        facts = [clean(f"- {name}: {text}") for name, text in self.protocol.items()]
        parts += ["## Protocol", "\n".join(facts), "## Machine"]
        versions = ", ".join(f"{name} {v}" for name, v in self.machine["versions"].items())
        own = {name: value for name, value in self.machine.items() if name != "versions"}
        parts.append(
            "\n".join(
                map(clean, [f"- versions: {versions}", *(f"- {k}: {v}" for k, v in own.items())])
            )
        )
        return "\n\n".join(parts) + "\n"

    def write(self) -> None:
        """Writes ``comparisons.json``, ``table.md`` and ``report.html``."""
        from gatlabel.experiments.report import render

        store = Store(self.folder)
        content = {
            "verdict": self.verdict,
            "comparisons": [c.to_dict() for c in self.comparisons],
        }
        write_json(store.comparisons, content)
        write_text(store.table, self.document())
        write_text(store.report, render(self))

    @classmethod
    def load(
        cls,
        folder: str | os.PathLike[str],
        advance: Callable[[int], None] = lambda count: None,
    ) -> BenchmarkResult:
        """Reads a benchmark's folder and computes the statistics anew from the saved scores.

        Args:
            folder: The folder.
            advance: Called with 1 whenever the scores of a run are read.

        Raises:
            InputError: If this is no folder of a benchmark, or runs are missing.
        """
        store = Store(Path(folder))
        store.load()
        if not store.runs:
            raise InputError(
                f"{folder} holds no run with its scores (the folder scores/), which the "
                "statistics are computed from; what was written stands in results.csv and table.md"
            )
        about = store.read_protocol()
        contenders = list(dict.fromkeys(run.contender for run in store.runs.values()))
        settings = list(dict.fromkeys(run.setting for run in store.runs.values()))
        found = sorted({run.seed for run in store.runs.values()})
        return summarise(
            store,
            about["contenders"] or contenders,
            settings,
            range(about["seeds"]) if "seeds" in about else found,
            about["title"],
            about["protocol"],
            store.read_machine(),
            advance,
        )


def summarise(
    store: Store,
    contenders: Sequence[Contender],
    settings: Sequence[Setting],
    seeds: Sequence[int],
    title: str,
    protocol: Mapping[str, str],
    machine: Mapping[str, Any],
    advance: Callable[[int], None] = lambda count: None,
) -> BenchmarkResult:
    """Computes the statistics of the runs in a store.

    Args:
        store: Runs and their scores.
        contenders: All of them, ``linear`` first.
        settings: All of them.
        seeds: Of every contender.
        title: What was compared on which data.
        protocol: What was done and how.
        machine: Versions and machine.
        advance: Called with 1 whenever the scores of a run are read.

    Raises:
        InputError: If a run is missing.
    """
    wanted = [(who, where, seed) for who in contenders for where in settings for seed in seeds]
    missing = [key for key in wanted if key not in store.runs]
    if missing:
        raise InputError(
            f"{len(missing)} of {len(wanted)} runs are missing in {store.folder}: run the same "
            "command again to finish it"
        )
    targets, _, _ = store.read_targets()
    comparisons = compare(
        contenders,
        settings,
        seeds,
        targets,
        lambda who, where, seed: store.read_scores((who, where, seed)),
        advance,
    )
    protocol = {**protocol, "statistics": STATISTICS}  # of older folders, too
    why = next((c.difference.why for c in comparisons if c.difference.why), "")
    if why:
        protocol = {**protocol, "intervals": why}
    runs = [store.runs[key] for key in wanted]
    return BenchmarkResult(
        store.folder, title, contenders, settings, seeds, runs, comparisons, protocol, machine
    )


EXPLANATION = (
    "Figures are per cent, mean ± standard deviation over seeds; times are medians. Δ is the "
    "difference of mAP in points with its 95 % interval from a jackknife over images and the "
    "spread over seeds; a star marks differences beyond chance after Holm's correction (p < 0.05). "
    "Head, middle and tail are the mAP of the most frequent third of the labels, the middle one "
    "and the rarest."
)
