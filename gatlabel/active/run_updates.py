"""A run updated by answers: a new run folder beside the old one, without training."""

from __future__ import annotations

import dataclasses
import warnings
from dataclasses import dataclass
from pathlib import Path

import torch

from gatlabel import logs
from gatlabel.active.learned import learned_answers, records_of
from gatlabel.active.suggesting import Pool
from gatlabel.active.updating import updated_classifiers
from gatlabel.baselines.moments import Moments
from gatlabel.decisions.decision import Decision
from gatlabel.errors import InputError
from gatlabel.fewshot.derived_runs import ANSWERS, EXTENSION, DerivedRun, write_run
from gatlabel.files import read_json
from gatlabel.graph import Cooccurrence, LabelGraph
from gatlabel.labels import UNKNOWN
from gatlabel.logs import Log
from gatlabel.model import MultiLabelClassifier
from gatlabel.nn import LinearHead
from gatlabel.training.building import build_graph
from gatlabel.training.config import TrainConfig
from gatlabel.training.data import read_data
from gatlabel.training.feature_moments import measured_moments
from gatlabel.training.run_folder import RunFolder


@dataclass(frozen=True, eq=False)
class Update:
    """What an update gave.

    Attributes:
        folder: The new run folder.
        model: The new model.
        answers: Number of answers that it learned from, those of earlier updates not counted.
        notes: What became of counts, graph, decision and metrics, in sentences.
    """

    folder: Path
    model: MultiLabelClassifier
    answers: int
    notes: tuple[str, ...] = ()


def update_run(pool: Pool, output: Path, log: Log = logs.log) -> Update:
    """Writes a new run whose classifiers have learned from the answers.

    Images with new answers are added to the label counts, with their other labels unknown. A label
    graph that is made of the counts is made again. Images that were chosen are no fair sample of
    label frequencies, so thresholds are better chosen on other images.

    Args:
        pool: The pool with its answers.
        output: The new run folder; it must be new or empty.
        log: Called with plain sentences about what is going on.

    Raises:
        InputError: If there is no new answer, or the folder cannot be written.
    """
    new = (pool.answers != UNKNOWN) & ~pool.learned
    total = int(new.sum())
    if not total and bool(pool.learned.any()):
        raise InputError(f"{pool.run} has learned from all these answers: give new ones")
    if not total:
        raise InputError("there are no answers to learn from: give a file of answers")
    run = RunFolder(pool.run)
    labels, answers = pool.model.labels, torch.where(new, pool.answers, float(UNKNOWN))
    rows = new.any(1)
    if run.moments.is_file():
        moments = Moments.load(run.moments)
    else:
        log("the run has no moments of features: they are measured on 512 training images")
        moments = measured_moments(pool.model, read_data(pool.config).train)
    head = pool.model.head
    assert isinstance(head, LinearHead)
    counted = pool.counts.images is not None
    weight, bias = updated_classifiers(
        head.linear.weight.detach(),
        head.linear.bias.detach(),
        moments,
        torch.from_numpy(pool.counts.known if counted else pool.counts.label_counts),
        pool.rates,
        pool.features[rows],
        answers[rows],
    )
    with torch.no_grad():
        head.linear.weight.copy_(weight)
        head.linear.bias.copy_(bias)
    counts = pool.counts + Cooccurrence.from_targets(answers[rows], list(labels))
    old = LabelGraph.load(run.graph).reorder(labels)
    graph = updated_graph(pool.config, old, pool.counts, counts)
    notes = [f"counts.json has {int(rows.sum())} images more, with the labels that were answered"]
    decision = _decision(run, pool, total)
    if decision is not None:
        notes.append(decision.notes[-1])
    notes.append("gatlabel decide chooses thresholds again and writes metrics and report")
    record = {
        "updates": str(pool.run),
        "answers": total,
        "images": int(rows.sum()),
        "learned": learned_answers(pool.run)
        + records_of(pool.answers, new, pool.folder, pool.ids, labels),
    }
    records = {ANSWERS: record}
    if (pool.run / EXTENSION).is_file():
        records[EXTENSION] = read_json(pool.run / EXTENSION, "record of a new label")
    derived = DerivedRun(pool.config, pool.model, graph, counts, moments, decision)
    write_run(output, derived, records)
    return Update(output, pool.model, total, tuple(notes))


def updated_graph(
    config: TrainConfig, graph: LabelGraph, before: Cooccurrence, after: Cooccurrence
) -> LabelGraph:
    """Returns the graph of a run after its counts have grown.

    Args:
        config: The options of the run.
        graph: Its graph.
        before: The counts so far.
        after: The counts with the answers.

    Returns:
        The graph that the options make of the new counts, if they make the old one of the old
        counts; else, as with edges from a file or to an added label, the same edges.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # on isolated labels: training has given them
        try:
            made = build_graph(config, before)
            if made == graph:
                return build_graph(config, after)
        except InputError:  # a file that is gone, or labels that were added
            pass
    return graph.with_counts(after)


def _decision(run: RunFolder, pool: Pool, answers: int) -> Decision | None:
    if not run.decisions.is_file():
        return None
    old = Decision.load(run.decisions, pool.model.labels)
    note = f"the classifiers have learned from {answers} answers since thresholds were chosen"
    return dataclasses.replace(old, notes=(*old.notes, note))
