"""Results of a benchmark on one data set: runs, comparisons, and their protocol."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gatlabel.errors import InputError
from gatlabel.experiments.comparisons import Comparison, compare
from gatlabel.experiments.config import SIMILARITY
from gatlabel.experiments.methods import Method
from gatlabel.experiments.outcome import Condition, Reasons
from gatlabel.experiments.records import Run, RunKey, Scope
from gatlabel.experiments.statistics import STATISTICS
from gatlabel.experiments.store import Store


@dataclass(frozen=True)
class DataSetResult:
    """The results of a benchmark on one data set.

    Attributes:
        folder: Folder of the results.
        scope: The methods, conditions and seeds compared, with the protocol.
        runs: One row per run.
        comparisons: All differences.
        environment: Versions and hardware.
        similarity: What the graph ``similarity`` was in each run and why, as recorded in
            :class:`~gatlabel.experiments.outcome.Outcome`; controls are left out.
    """

    folder: Path
    scope: Scope
    runs: Sequence[Run]
    comparisons: Sequence[Comparison]
    environment: Mapping[str, Any]
    similarity: Mapping[RunKey, Reasons] = field(default_factory=dict)

    @property
    def protocol(self) -> Mapping[str, str]:
        """The protocol, as named sentences."""
        facts = {**self.scope.protocol, "statistics": STATISTICS}
        why = next((c.difference.why for c in self.comparisons if c.difference.why), "")
        return {**facts, "intervals": why} if why else facts

    def values(self, method: Method, condition: Condition, column: str) -> list[float]:
        """Returns a metric or cost over the seeds of one method in one condition."""
        key = (method, condition)
        return [r.values[column] for r in self.runs if (r.method, r.condition) == key]


def compute(store: Store, advance: Callable[[int], None] = lambda count: None) -> DataSetResult:
    """Computes the statistics of a finished benchmark from its saved scores.

    Args:
        store: A loaded store with all runs of its scope.
        advance: Called with 1 whenever the scores of a run have been read.

    Raises:
        InputError: If a file is missing or damaged.
    """
    scope = store.read_scope()
    targets, _, _ = store.read_targets()

    def scores(*key: Any) -> NDArray[np.float32]:
        logits = store.read_scores(key)
        if logits.shape != targets.shape:
            raise InputError(
                f"{store.scores_path(key)} is damaged: scores {logits.shape} for targets "
                f"{targets.shape}; give another output"
            )
        return logits

    comparisons = compare(
        scope.methods,
        scope.conditions,
        range(scope.seeds),
        targets,
        scores,
        advance,
    )
    runs = [store.runs[key] for key in scope.keys]
    about, chosen = store.read_environment(), _chosen_similarity(store, scope)
    return DataSetResult(store.folder, scope, runs, comparisons, about, chosen)


def _chosen_similarity(store: Store, scope: Scope) -> dict[RunKey, Reasons]:
    chosen = [key for key in scope.keys if key[0].graph == SIMILARITY and not key[0].is_control]
    found = {key: store.read_similarity(key) for key in chosen}
    return {key: reasons for key, reasons in found.items() if reasons}
