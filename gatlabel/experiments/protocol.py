"""The protocol of a benchmark, as named sentences for its report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from gatlabel.experiments.config import SIMILARITY, BenchmarkConfig
from gatlabel.experiments.preparation import Task
from gatlabel.experiments.starting import STARTS
from gatlabel.experiments.statistics import STATISTICS


def protocol_of(
    config: BenchmarkConfig,
    task: Task,
    trials: Sequence[Mapping[str, float]],
    tuning_seeds: int,
    notes: Sequence[str],
) -> dict[str, str]:
    """Returns the protocol of a benchmark."""
    train = config.train.resolved()
    condition = task.roles
    tuning = "none; all methods use the recipe's options"
    if config.mode == "frozen":  # recipes are for whole networks
        shown = ", ".join(f"{name} {value:g}" for name, value in trials[0].items())
        tuning = f"none; all methods use {shown}"
    splits = f"metrics are of {condition.report_name}, which was not used for any choice"
    if condition.report_name != "test":
        splits = f"no test split: {splits}"
    if len(trials) > 1:
        splits = condition.note
        tuning = (
            f"{len(trials)} settings of learning rate, weight decay and shrinkage, the same for "
            f"every method, tried separately in every condition of images and masked targets; "
            f"chosen by the mean mAP of {tuning_seeds} runs each"
            + (
                ", the most regularised of those that a paired t-test cannot tell from the best"
                if tuning_seeds > 1
                else ""
            )
        )
    facts = {
        "data": f"{task.name}: {len(condition.train)} training images, "
        f"{len(condition.report)} reported images, {len(task.names)} labels",
        "splits": splits,
        "mode": _mode(config),
        "encoder": f"{train.encoder.text}, {_weights(config)}, {train.encoder.pooling} pooling",
        "tuning": tuning,
        "seeds": f"{config.seeds}; a seed sets initial weights, order of images, the drawn share "
        "of the images, masked targets, and the random or permuted graph, the same for all methods",
        "graphs": _graphs(config),
        "AP": "uninterpolated, on logits in float64, ties share a threshold; mean over the labels "
        "with positives",
        "decisions": "CF1, OF1: p ≥ 0.5; top-3: the three best of them with p ≥ 0.5",
        "statistics": STATISTICS,
        "times": "training and inference in parallel with other runs, on one thread if several "
        "processes work; inference from features to logits, static heads folded",
    }
    unused = config.unused()
    if unused:
        facts["not used on frozen features"] = unused
    facts |= {f"note {k}": note for k, note in enumerate([*task.notes, *notes], 1)}
    return facts


def _graphs(config: BenchmarkConfig) -> str:
    if SIMILARITY not in config.graphs:
        return "built from the training targets only"
    return "built from the training targets only, similarity also from features and label vectors"


def _mode(config: BenchmarkConfig) -> str:
    if config.mode == "frozen":
        return (
            f"frozen features, heads trained by AdamW for {config.frozen_epochs} epochs or 400 "
            "steps, one-cycle, moving average 0.99; features divided by their root mean square; "
            f"{STARTS[config.frozen_start]}"
        )
    epochs = config.train.resolved().run.epochs
    return f"end to end, recipe {config.train.recipe.name}, {epochs} epochs"


def _weights(config: BenchmarkConfig) -> str:
    if config.mode == "frozen" and config.train.data.name == "scenes":
        return (
            f"trained with a linear head for {config.pretrain_epochs} epochs on "
            f"{config.pretrain_images} scenes that are in no split"
        )
    return f"weights {config.train.resolved().encoder.weights or 'random'}"
