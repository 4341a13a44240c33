"""What the figures of a run are set beside: a linear head trained alike, and the oracle."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable

import torch

from gatlabel.data import DataSplits
from gatlabel.devices import choose_device
from gatlabel.graph import LabelGraph
from gatlabel.missing import Completion
from gatlabel.report import Baseline
from gatlabel.training.building import build_completion, build_model
from gatlabel.training.config import TrainConfig
from gatlabel.training.data import loaders
from gatlabel.training.evaluation import evaluate
from gatlabel.training.evidence import validation_evidence
from gatlabel.training.fitting import fit
from gatlabel.training.settling import settle
from gatlabel.training.starting import start_in_closed_form

Say = Callable[[str], None]


def run_completion(config: TrainConfig, splits: DataSplits, graph: LabelGraph) -> Completion | None:
    """Makes what fills in the unknown training targets of a run, or ``None``."""
    return build_completion(config, config.unknown, splits.train.targets, graph)


def baselines_of(
    config: TrainConfig, splits: DataSplits, graph: LabelGraph, split: str, say: Say
) -> list[Baseline]:
    """Trains the linear head alike and asks the oracle, where that is wanted and possible.

    Args:
        config: The resolved options of the run.
        splits: The data.
        graph: The label graph of the run.
        split: The split to evaluate on.
        say: Called with plain sentences about what is going on.
    """
    wanted = config.compare == "yes" or (config.compare == "auto" and config.data == "scenes")
    if not wanted:
        return []
    source = dict(splits.items())[split]
    found = []
    if config.head != "linear":
        say("training a linear head alike, to compare")
        keep = "last" if config.keep == "best" else config.keep
        alike = dataclasses.replace(config, head="linear", keep=keep, patience=0)
        torch.manual_seed(config.seed)
        model = build_model(alike, graph, "linear")
        completion = run_completion(config, splits, graph)
        if alike.start == "ridge":
            start_in_closed_form(model, alike, splits, completion, say)
        untrained = copy.deepcopy(model)
        if alike.epochs:
            fit(model, alike, loaders(splits, model, alike), None, completion=completion)
            if keep == "proven":
                evidence = validation_evidence(model, untrained, splits.val, alike)
                settle(model, untrained, evidence, alike, say)
        result = evaluate(model.to(choose_device(config.device)), source, split)
        found.append(Baseline("linear head, trained alike", result.report.metrics["mAP"]))
    if config.data == "scenes":
        from gatlabel.data.scenes import oracle_map

        say("asking the oracle: what can be known from what is visible and the true graph")
        found.append(Baseline("oracle (the best possible)", oracle_map(source)))
    return found
