"""From the options of tasks to a model, its loaders and its objective."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from gatlabel.batch import IMAGE
from gatlabel.data import ImageDataset, ImageLoader, training_transform
from gatlabel.data.mixing import MixedDataset, mixed_loader
from gatlabel.encoders import create_encoder
from gatlabel.engine.balancing import create_balancer
from gatlabel.engine.supervised import Supervised
from gatlabel.errors import InputError
from gatlabel.graph import Cooccurrence
from gatlabel.graph.spec import GraphSpec
from gatlabel.losses import SequenceLoss
from gatlabel.losses.values import absolute_error, huber_error, squared_error
from gatlabel.model import Model
from gatlabel.model.head_file import build_head
from gatlabel.model.shared_graph import SharedGraph
from gatlabel.multitask.completing import Completions, counted
from gatlabel.multitask.config import MultiTaskConfig
from gatlabel.multitask.parts import Known, Part, PartImages
from gatlabel.multitask.shared import build_shared
from gatlabel.multitask.tasks import TaskOptions
from gatlabel.nn import HEADS, SEQUENCE_HEADS, LinearHead
from gatlabel.nn.heads.protocols import GraphAblatable
from gatlabel.targets import Targets
from gatlabel.tasks import MultiClassTask, MultiLabelTask, RegressionTask, SequenceTask, Task
from gatlabel.tasks.task import Loss
from gatlabel.training.building import freeze_encoder
from gatlabel.training.data import cache_for, checked_workers, default_workers
from gatlabel.training.fitting import taught_by
from gatlabel.training.losses import make_loss

Loader = ImageLoader
#: Regression losses by option name.
ERRORS: dict[str, Loss | None] = {
    "default": None,
    "squared": squared_error,
    "absolute": absolute_error,
    "huber": huber_error,
}
#: Losses of sequences, likewise.
SEQUENCES: dict[str, Loss | None] = {
    "default": None,
    "pla": SequenceLoss("predicted"),
    "mla": SequenceLoss("minimal"),
}


def build_model(
    config: MultiTaskConfig, parts: Sequence[Part], completions: Completions | None = None
) -> Model:
    """Builds encoder, adapters and the tasks with their heads, from the run's seed.

    Args:
        config: The options, resolved.
        parts: The data sets; label counts and target scales come from their training images.
        completions: By task: their targets are those that losses count.

    Raises:
        InputError: If a name is unknown, or an option does not fit.
    """
    torch.manual_seed(config.run.seed)
    options = config.encoder
    encoder = create_encoder(
        options.backbone, weights=options.weights, stride=options.stride, stages=options.stages or 1
    )
    width, tasks = encoder.pooled_features, []
    losses: dict[str, nn.Module] = {}
    shared = build_shared(config.shared, parts, width, config.run.seed)
    members = config.shared.tasks or ()
    for task in config.tasks:
        part = next(part for part in parts if task.name in part.outputs)
        targets = part.targets["train"][task.name]
        names = part.outputs[task.name]
        if task.kind == "multilabel" and task.loss.name != "default":
            seen = counted(targets, task.name, completions or {})
            losses[task.name] = make_loss(config.part_of(task), Targets.of(seen), names)
        if shared is not None and task.name in members:
            tasks.append(_member(task, names, shared, losses.get(task.name)))
            continue
        make = _KINDS[task.kind]
        made = make(task, width, names, targets, config.run.seed)
        made.loss = losses.get(task.name, made.loss)
        tasks.append(made)
    model = Model(
        {IMAGE: encoder},
        tasks,
        adapter=config.adapter,
        pooling=options.pooling or "average",
        resize=config.images.resize,
        image_size=config.images.size,
        shared=shared,
    )
    freeze_encoder(encoder, options.freeze)
    return model


def _multilabel(
    task: TaskOptions, width: int, names: Sequence[str], targets: Known, seed: int
) -> Task:
    assert isinstance(targets, Targets)
    known = targets
    counts = Cooccurrence.from_targets(known, names)
    graph = GraphSpec.parse(task.graph or "conditional").build(counts, seed)
    head = build_head(HEADS[task.head.name], width, names, graph, task.head.arguments())
    if graph.base_rates is not None:
        head.init_bias(graph.base_rates)
    own = graph if isinstance(head, GraphAblatable) else None
    return MultiLabelTask(task.name, names, head, graph=own)


def _member(
    task: TaskOptions, names: Sequence[str], shared: SharedGraph, loss: nn.Module | None
) -> Task:
    """Makes a task whose classifiers are rows of the head over the shared graph."""
    kind = MultiClassTask if task.kind == "multiclass" else MultiLabelTask
    return kind(task.name, names, shared.rows(names), loss)


def _multiclass(
    task: TaskOptions, width: int, names: Sequence[str], targets: Known, seed: int
) -> Task:
    return MultiClassTask(task.name, names, LinearHead(width, labels=names))


def _regression(
    task: TaskOptions, width: int, names: Sequence[str], targets: Known, seed: int
) -> Task:
    assert isinstance(targets, Tensor)
    head = LinearHead(width, labels=names)
    return RegressionTask.standardised(task.name, names, head, targets, ERRORS[task.loss.name])


def _sequence(
    task: TaskOptions, width: int, names: Sequence[str], targets: Known, seed: int
) -> Task:
    assert isinstance(targets, Tensor)
    of_sets = task.column is None  # with L more columns, for unknown labels
    length = targets.shape[1] - len(names) * of_sets
    options = {"length": length, **task.head.arguments()}
    head = build_head(SEQUENCE_HEADS[task.head.name], width, names, None, options)
    return SequenceTask(task.name, names, head, SEQUENCES[task.loss.name], partly_known=of_sets)


_KINDS: dict[str, Callable[[TaskOptions, int, Sequence[str], Known, int], Task]] = {
    "multilabel": _multilabel,
    "multiclass": _multiclass,
    "regression": _regression,
    "sequence": _sequence,
}


def make_objective(
    config: MultiTaskConfig,
    outputs: Mapping[str, Sequence[str]] | None = None,
    completions: Completions | None = None,
) -> Supervised:
    """Makes the objective: supervised, with the teachers and the balancing of the options.

    Args:
        config: The options.
        outputs: By task, the labels that a teacher is to know, where there is one.
        completions: By task, what gives the targets of unknown labels.

    Raises:
        InputError: If the extra that a balancer needs is missing, or the encoder is frozen and the
            balancer needs its gradients.
    """
    names = [task.name for task in config.tasks]
    options: dict[str, dict[str, Any]] = {
        "fixed": {"fixed": {task.name: task.weight for task in config.tasks}},
        "uncertainty": {
            "regression": [task.name for task in config.tasks if task.kind == "regression"]
        },
    }
    teachers = {}
    for task in config.tasks:
        taught = taught_by(task.distillation, list((outputs or {}).get(task.name, ())))
        if taught is not None:
            teachers[task.name] = taught
    if config.balancing == "equal":
        return Supervised(completions=completions, teachers=teachers)
    balancer = create_balancer(config.balancing, names, **options.get(config.balancing, {}))
    if balancer.needs_features and config.encoder.freeze == "encoder":
        raise InputError(
            f"balancing={config.balancing}: it needs gradients at the shared features, and "
            "freeze=encoder has none: use equal, fixed, uncertainty, dwa or famo"
        )
    return Supervised(completions=completions, teachers=teachers, balancer=balancer)


def outputs_of(parts: Sequence[Part]) -> dict[str, tuple[str, ...]]:
    """Returns the names of the output space of each task."""
    return {name: own for part in parts for name, own in part.outputs.items()}


def last_weights(objective: Supervised) -> dict[str, float]:
    """Returns the weight of each task at the end of training; empty for the plain sum."""
    balancer = objective.balancer
    return (
        {}
        if balancer is None
        else dict(zip(balancer.tasks, balancer.weights.tolist(), strict=True))
    )


def make_loaders(
    config: MultiTaskConfig, parts: Sequence[Part], model: Model
) -> tuple[Loader, Loader]:
    """Makes the loaders of training and validation batches."""
    assert model.image_size is not None
    augmentation = training_transform(
        model.image_size, config.images.augmentation or "none", config.images.resize
    )
    return (
        split_loader(config, parts, "train", model, augmentation),
        split_loader(config, parts, "val", model),
    )


def split_loader(
    config: MultiTaskConfig,
    parts: Sequence[Part],
    split: str,
    model: Model,
    transform: Callable[[Tensor], Tensor] | None = None,
    *,
    cached: bool = True,
) -> Loader:
    """Makes one loader for a split of all data sets that have that split.

    Args:
        config: The options.
        parts: The data sets.
        split: The split; the training split is shuffled.
        model: The model, for its preprocessing and tasks.
        transform: The image transform; default: that of evaluation.
        cached: Whether images come from the cache of the options, where large ones are reduced.
            Without it they have the same pixels as in prediction.
    """
    assert model.preprocessing is not None
    assert model.image_size is not None
    transform = transform or model.preprocessing.transform()
    sources = [dict(part.splits.items()).get(split) for part in parts]
    kind = config.images.cache if cached else "none"
    cache = cache_for(kind, [s for s in sources if s is not None], model.image_size)
    images: list[tuple[PartImages, str | None]] = []
    for part, source in zip(parts, sources, strict=True):
        if source is not None and len(source):
            own = ImageDataset(source, transform, cache=cache, folder=config.images.cache_folder)
            own.fill_cache()
            images.append((PartImages(own, part.targets[split]), None))
    workers = config.run.workers
    size = config.run.images_per_step
    is_train = split == "train"
    return mixed_loader(
        MixedDataset(images),
        model.tasks,
        size if is_train else 2 * size,
        train=is_train,
        mixing=config.mixing,
        seed=config.run.seed,
        workers=default_workers() if workers is None else checked_workers(workers),
    )


def parameters_of(model: nn.Module) -> int:
    """Returns the number of parameters of a model."""
    return sum(parameter.numel() for parameter in model.parameters())
