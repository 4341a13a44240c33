"""Choice of a new decision for a finished run, with an update of its metrics and report."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from typing import Any

from gatlabel.csv_files import read_curves
from gatlabel.decisions.choosing import choose_decision
from gatlabel.decisions.decision import Decision
from gatlabel.decisions.options import DecisionOptions
from gatlabel.devices import choose_device
from gatlabel.errors import InputError
from gatlabel.files import read_json, write_json
from gatlabel.folder_lock import FolderLock
from gatlabel.graph import Cooccurrence
from gatlabel.model import MultiLabelClassifier
from gatlabel.report import Baseline, write_report
from gatlabel.training.choices import Choices
from gatlabel.training.config import TrainConfig
from gatlabel.training.data import default_workers, read_data
from gatlabel.training.deciding import evidence_of, with_decision
from gatlabel.training.evaluation import Evaluation, evaluate
from gatlabel.training.finished_runs import open_run
from gatlabel.training.reporting import (
    decision_entry,
    decision_text,
    protocol_of,
    report_content,
)
from gatlabel.training.run_folder import ANSWERS, RunFolder


def decide_run(
    folder: str | os.PathLike[str],
    options: DecisionOptions | None = None,
    *,
    split: str | None = None,
    device: str = "auto",
) -> tuple[Decision, list[Evaluation]]:
    """Chooses the decision of a finished run, and updates ``decisions.json``, metrics and report.

    Args:
        folder: The run folder. The data of the run must be available.
        options: The options of the decision; default: those of the run.
        split: ``validation``, ``test`` or ``out-of-fold``; see
            :func:`~gatlabel.training.deciding.evidence_of`.
        device: The device that the model runs on.

    Returns:
        The decision, and evaluations of the splits that the model was not trained on.

    Raises:
        InputError: If this is not the folder of a finished run, it is in use, its data cannot be
            read, or no decision can be chosen on the split; nothing is written then.
    """
    run = RunFolder(Path(folder))
    run.require_config()
    if not (run.finished or run.derived):
        raise InputError(f"the run {run.path} is not finished: continue it with train --resume")
    place = choose_device(device)
    with FolderLock(run.path):
        model, config = open_run(run.path)
        options = options or config.decision
        splits = read_data(config)
        judged = [(name, source) for name, source in splits.items() if name != "train"]
        workers = default_workers()
        model.to(place)
        found = [evaluate(model, source, name, workers=workers) for name, source in judged]
        model.cpu()
        logits, targets, name = evidence_of(options, model.labels, found, run, split)
        decision = choose_decision(logits, targets, model.labels, options, split=name)
        evaluations = [with_decision(each, decision) for each in found]
        metrics = _metrics(run, config, model, evaluations[-1])
        protocol = {**metrics["protocol"], "decision": decision_text(decision)}
        counts = Cooccurrence.load(run.counts)
        baselines = [Baseline(name, value) for name, value in metrics["baselines"].items()]
        content = report_content(
            config,
            splits,
            counts,
            model,
            evaluations,
            read_curves(run.curves),
            baselines,
            metrics["notes"],
            Choices.load(run.choices).sharing,
            trained=True,
        )
        decision.save(run.decisions)
        write_json(
            run.metrics,
            {
                **metrics,
                "protocol": protocol,
                "decision": decision_entry(decision),
                "splits": {e.split: e.report.to_dict() for e in evaluations},
            },
        )
        write_report(dataclasses.replace(content, protocol=protocol), run.report)
    return decision, evaluations


def _metrics(
    run: RunFolder, config: TrainConfig, model: MultiLabelClassifier, last: Evaluation
) -> dict[str, Any]:
    """Returns the metrics of a run; of one that answers have updated, there are none yet."""
    if run.derived and not run.metrics.is_file():
        notes = [f"the model was updated by answers ({ANSWERS})"]
        protocol = protocol_of(config, model, last, trained=False)
        return {"protocol": protocol, "baselines": {}, "notes": notes}
    return _read_metrics(run)


def _read_metrics(run: RunFolder) -> dict[str, Any]:
    content = read_json(run.metrics, "metrics file")
    kinds = {"protocol": dict, "baselines": dict, "notes": list}
    for name, kind in kinds.items():
        if not isinstance(content, dict) or not isinstance(content.get(name), kind):
            raise InputError(f"{run.metrics} is damaged: it has no {name}; train the model again")
    return dict(content)
