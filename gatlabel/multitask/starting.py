"""Initialisation of heads: ridge regression on features of the initial encoder, or another run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from gatlabel.data.joined import joined_groups
from gatlabel.errors import InputError
from gatlabel.logs import Log
from gatlabel.metrics import harden, mean_average_precision
from gatlabel.missing import Completion
from gatlabel.model import Model, MultiLabelClassifier
from gatlabel.model.alone import KINDS, alone
from gatlabel.model.formats import has_tasks
from gatlabel.multitask.completing import Completions
from gatlabel.multitask.config import MultiTaskConfig
from gatlabel.multitask.parts import Known, Part
from gatlabel.multitask.shared import union_of
from gatlabel.nn import LinearInit
from gatlabel.nn.options import HeadOptions, LinearStart
from gatlabel.targets import Targets
from gatlabel.training.initialising import copy_encoder, copy_head, require_model
from gatlabel.training.starting import features, regression


def starts_ridge(head: HeadOptions) -> bool:
    """Whether the options of a head request ridge regression."""
    return isinstance(head, LinearStart) and head.start == "ridge"


def start_heads(
    model: Model, config: MultiTaskConfig, parts: Sequence[Part], completions: Completions, log: Log
) -> None:
    """Initialises heads by ridge regression or with the weights of another run, as configured.

    Args:
        model: The model as it was built; its heads change in place.
        config: The options.
        parts: The data sets.
        completions: By task, the completion of unknown labels.
        log: Called with a line per head.

    Raises:
        InputError: If an image cannot be decoded, or the other run does not fit.
    """
    if config.encoder.init is not None:
        for line in start_from(model, config.encoder.init):
            log(line)
    for task in config.tasks:
        if not starts_ridge(task.head):
            continue
        part = next(part for part in parts if task.name in part.outputs)
        rows = list(part.trained[task.name])
        known = part.targets["train"][task.name]
        assert isinstance(known, Targets)
        own = completions.get(task.name)
        completion = None if own is None else own.completion
        names = part.outputs[task.name]
        figure = _start(
            alone(model, task.name), config, [part], [known.take(rows).to_dense()], [rows],
            completion, [part.targets["val"][task.name]],
        )  # fmt: skip
        log(f"{task.name}: ridge regression on frozen features, {len(names)} labels, {figure}")
    if starts_ridge(config.shared.head) and config.shared.tasks:
        _start_shared(model, config, parts, log)


def _start_shared(model: Model, config: MultiTaskConfig, parts: Sequence[Part], log: Log) -> None:
    """Initialises the shared head with classifiers of the labels of all its tasks."""
    tasks = config.shared.tasks or ()
    assert model.shared is not None
    labels = model.shared.graph.labels
    mine = [part for part in parts if any(name in part.outputs for name in tasks)]
    dense = {split: [union_of(part, tasks, labels, split) for part in mine]
             for split in ("train", "val")}  # fmt: skip
    rows = [list(range(len(part.splits.train))) for part in mine]
    val = [Targets(own) for own in dense["val"]]
    figure = _start(alone(model, tasks[0]), config, mine, dense["train"], rows, None, val)
    listed = ", ".join(tasks)
    log(f"{listed}: ridge regression on frozen features, {len(labels)} labels, {figure}")


def _start(
    model: MultiLabelClassifier,
    config: MultiTaskConfig,
    parts: Sequence[Part],
    targets: Sequence[Tensor],
    rows: Sequence[Sequence[int]],
    completion: Completion | None,
    val: Sequence[Known],
) -> str:
    """Fits classifiers to training images and gives them to the head.

    Returns:
        Their mAP on the validation images and their error by leave-one-out, in words.
    """
    options = config.part_of(config.tasks[0])
    found = torch.cat(
        [features(model, part.splits.train, options)[list(own)]
         for part, own in zip(parts, rows, strict=True)]
    )  # fmt: skip
    groups = joined_groups(
        [part.splits.train.subset(own) for part, own in zip(parts, rows, strict=True)]
    )
    linear = regression(found, torch.cat(list(targets)), completion, model.head, groups)
    held_out = torch.cat([features(model, part.splits.val, options) for part in parts])
    true = torch.cat([own.to_dense() for own in val if isinstance(own, Targets)])
    scores = held_out @ linear.weight.T + linear.bias
    assert isinstance(model.head, LinearInit)
    model.head.init_linear(linear.weight, linear.bias)
    value = mean_average_precision(scores, harden(true)).value
    return f"val mAP {value:.4f}, leave-one-out error {linear.error:.4f}"


def start_from(model: Model, run: Path) -> list[str]:
    """Initialises a model with the weights of a run with one task or several.

    The whole encoder is copied. The head of each task is initialised as in a run with one task,
    from the task of the same name, or from the only one. Heads of regression and sequence tasks are
    not copied.

    Args:
        model: The model as it was built.
        run: A run folder with a trained model.

    Returns:
        One line for each copied part.

    Raises:
        InputError: If the folder has no model, or one with another encoder.
    """
    require_model(run)
    sources: dict[str, MultiLabelClassifier]
    if has_tasks(run):
        other = Model.from_pretrained(run)
        names = [name for name, task in other.tasks.items() if task.kind in KINDS]
        sources = {name: alone(other, name) for name in names}
        if not sources:
            raise InputError(f"init={run}: it has no multi-label or multi-class task to start from")
        only = next(iter(sources.values()))
    else:
        only = MultiLabelClassifier.from_pretrained(run)
        sources = {}
    lines, taken = [], False
    for name, task in model.tasks.items():
        if task.kind not in KINDS:
            lines.append(f"note: {name}: not initialised from {run}, kind={task.kind}")
            continue
        mine = alone(model, name)
        if not taken:
            copy_encoder(only, mine, run)
            taken = True
        source = sources.get(name) if sources else only
        lines.append(
            f"note: {name}: not initialised, {run} has no such task" if source is None
            else f"{name}: {copy_head(source, mine, run)}"
        )  # fmt: skip
    if not taken:
        raise InputError(
            f"init={run}: no task is multi-label or multi-class, so nothing of it can be taken"
        )
    return lines
