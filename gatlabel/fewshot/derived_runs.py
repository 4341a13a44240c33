"""Run folders whose model was made of another run's, without training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gatlabel.baselines.moments import Moments
from gatlabel.decisions.decision import Decision
from gatlabel.files import atomic_folder, read_json, write_json
from gatlabel.graph import Cooccurrence, LabelGraph
from gatlabel.model import MultiLabelClassifier
from gatlabel.training.config import TrainConfig
from gatlabel.training.run_folder import ANSWERS, EXTENSION, RunFolder

__all__ = ["ANSWERS", "EXTENSION", "DerivedRun", "carried_metrics", "write_run"]


@dataclass(frozen=True, eq=False)
class DerivedRun:
    """What such a run folder holds.

    Attributes:
        config: The options of the run it is made of.
        model: Its model, with a linear head.
        graph: Its label graph.
        counts: Its label counts.
        moments: Mean and covariance of its features, if known.
        decision: Its decision, if it has one.
        metrics: What of the other run's metrics holds for it.
    """

    config: TrainConfig
    model: MultiLabelClassifier
    graph: LabelGraph
    counts: Cooccurrence
    moments: Moments | None = None
    decision: Decision | None = None
    metrics: Mapping[str, Any] | None = None


def write_run(output: Path, derived: DerivedRun, records: Mapping[str, Any]) -> None:
    """Writes a run folder, whole or not at all; ``model.json`` comes last.

    Args:
        output: The folder; it must be new or empty.
        derived: What it holds.
        records: Further JSON files by name; one of them says what the run is made of.

    Raises:
        InputError: If the folder is not empty or cannot be written.
    """
    options = derived.config.with_options({"head": "linear", "run.output": output})
    with atomic_folder(output, last="model.json") as place:
        run = RunFolder(place)
        options.save(run.config)
        write_json(run.labels, list(derived.model.labels))
        derived.counts.save(run.counts)
        derived.graph.save(run.graph)
        if derived.moments is not None:
            derived.moments.save(run.moments)
        if derived.decision is not None:
            derived.decision.save(run.decisions)
        if derived.metrics is not None:
            write_json(run.metrics, derived.metrics)
        for name, record in records.items():
            write_json(place / name, record)
        derived.model.save_pretrained(place)


def carried_metrics(run: RunFolder, note: str) -> dict[str, Any] | None:
    """Returns the metrics of a run with one more note, if it has any.

    Args:
        run: The run folder.
        note: What has to be known about them.

    Raises:
        InputError: If the file cannot be read.
    """
    if not run.metrics.is_file():
        return None
    content = read_json(run.metrics, "metrics file")
    notes = content.get("notes") if isinstance(content, dict) else None
    if not isinstance(notes, list):  # not of this version: it is left out
        return None
    return {**content, "notes": [*notes, note]}
