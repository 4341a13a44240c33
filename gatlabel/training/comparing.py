"""Baselines of a run: a linear head trained in the same way, and the oracle."""

from __future__ import annotations

import copy
from typing import Literal

import torch

from gatlabel.data import DataSplits
from gatlabel.devices import choose_device
from gatlabel.graph import LabelGraph
from gatlabel.logs import Log
from gatlabel.missing import Completion
from gatlabel.nn.options import Linear, LinearStart
from gatlabel.report import Baseline
from gatlabel.training.building import build_completion, build_model
from gatlabel.training.classical import is_classical
from gatlabel.training.config import TrainConfig
from gatlabel.training.data import training_loader
from gatlabel.training.evaluation import evaluate
from gatlabel.training.evidence import validation_evidence
from gatlabel.training.fitting import fit
from gatlabel.training.given import Given
from gatlabel.training.initialising import start_from
from gatlabel.training.proving import RULES
from gatlabel.training.refitting import refit
from gatlabel.training.settling import settle
from gatlabel.training.starting import start_in_closed_form


def run_completion(config: TrainConfig, splits: DataSplits, graph: LabelGraph) -> Completion | None:
    """Returns the treatment of a run's unknown training targets, or ``None``."""
    return build_completion(config, config.missing.unknown, splits.train.targets, graph)


def compares_heads(config: TrainConfig) -> bool:
    """Whether a linear head is also trained, for comparison."""
    return _wanted(config) and config.head.name != "linear"


def _wanted(config: TrainConfig) -> bool:
    compare = config.run.compare
    return compare == "yes" or (compare == "auto" and config.data.name == "scenes")


def baselines_of(
    config: TrainConfig,
    splits: DataSplits,
    graph: LabelGraph,
    split: str,
    log: Log,
    given: Given | None = None,
) -> list[Baseline]:
    """Trains a linear head in the same way and evaluates the oracle, if requested and available.

    Args:
        config: The resolved options of the run.
        splits: The data.
        graph: The label graph of the run.
        split: The split to evaluate on.
        log: Called with progress messages.
        given: Objects from Python.
    """
    if not _wanted(config):
        return []
    source = dict(splits.items())[split]
    found = []
    if compares_heads(config):
        keep = "last" if config.run.keep == "best" else config.run.keep
        folds = bool(config.run.folds and config.run.epochs and keep in RULES)
        judged = ", without folds: validation images choose its weights" if folds else ""
        log(f"training a linear head in the same way, for comparison{judged}")
        start: Literal["random", "ridge"] | None = "ridge" if is_classical(config) else "random"
        if isinstance(config.head, LinearStart):
            start = config.head.start
        head = {"head": Linear(start=start), "run.keep": keep, "run.patience": 0}
        alike = config.with_options(head)
        torch.manual_seed(config.run.seed)
        model = build_model(alike, graph, given=given)
        if config.encoder.init is not None:
            start_from(model, config.encoder.init)
        completion = run_completion(config, splits, graph)
        if start == "ridge":
            start_in_closed_form(model, alike, splits, completion, log)
        untrained = copy.deepcopy(model)
        if alike.run.epochs:
            batches = training_loader(splits.train, model, alike, beside=[splits.val])
            fit(model, alike, (batches, None), None, completion=completion)
            if alike.run.refit:
                refit(model, alike, splits.train, completion)
            if keep in RULES:
                evidence = validation_evidence(model, untrained, splits.val, alike)
                settle(model, untrained, evidence, alike, log)
        result = evaluate(model.to(choose_device(config.run.device)), source, split)
        found.append(Baseline("linear head, same training", result.report.metrics["mAP"]))
    if config.data.name == "scenes":
        from gatlabel.data.scenes import oracle_map

        log("evaluating the oracle: exact inference from visible objects and the true graph")
        found.append(Baseline("oracle (the best possible)", oracle_map(source)))
    return found
