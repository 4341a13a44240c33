"""What a benchmark did and how, as named sentences that stand in its report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from gatlabel.experiments.config import BenchmarkConfig
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
    tuning = "none, the recipe's own options for all"
    if config.mode == "frozen":  # the recipe is one for whole networks
        shown = ", ".join(f"{name} {value:g}" for name, value in trials[0].items())
        tuning = f"none, for all {shown}"
    splits = f"figures of {condition.report_name}, which nothing was chosen by"
    if condition.report_name != "test":
        splits = f"no test split: {splits}"
    if len(trials) > 1:
        splits = condition.note
        tuning = (
            f"{len(trials)} settings of learning rate, weight decay and shrinkage for every "
            f"method, the same for all, in every setting of images and hidden targets anew; "
            f"judged by the mean mAP of {tuning_seeds} runs each"
            + (
                ", the most held back of those that a paired t-test cannot tell from it"
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
        "of the images, hidden targets, and the random or permuted graph, alike for all",
        "graphs": "built from the targets that are learned from, and from nothing else",
        "AP": "uninterpolated, on logits in float64, ties one threshold; mean over the labels with "
        "a positive",
        "decisions": "CF1, OF1: p ≥ 0.5; top-3: the three best of them with p ≥ 0.5",
        "statistics": STATISTICS,
        "times": "training and inference beside other runs, on one thread where several processes "
        "work; inference from features to logits, static heads folded",
    }
    unused = config.unused()
    if unused:
        facts["not used on frozen features"] = unused
    facts |= {f"note {k}": note for k, note in enumerate([*task.notes, *notes], 1)}
    return facts


def _mode(config: BenchmarkConfig) -> str:
    if config.mode == "frozen":
        return (
            f"frozen features, heads trained by AdamW for {config.frozen_epochs} passes or 400 "
            "steps, one-cycle, moving average 0.99; features divided by their root mean square; "
            f"{STARTS[config.frozen_start]}"
        )
    epochs = config.train.resolved().run.epochs
    return f"end to end, recipe {config.train.recipe.name}, {epochs} epochs"


def _weights(config: BenchmarkConfig) -> str:
    if config.mode == "frozen" and config.train.data.name == "scenes":
        return (
            f"trained with a linear head for {config.pretrain_epochs} epochs on "
            f"{config.pretrain_images} scenes that no split has"
        )
    return f"weights {config.train.resolved().encoder.weights or 'random'}"
