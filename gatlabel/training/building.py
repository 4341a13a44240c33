"""From options to a label graph and a model."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from gatlabel.errors import InputError
from gatlabel.graph import VARIANTS, Cooccurrence, LabelGraph
from gatlabel.missing import Completion, make_completion
from gatlabel.model import MultiLabelClassifier
from gatlabel.nn import HEADS
from gatlabel.targets import Targets
from gatlabel.training.config import TrainConfig
from gatlabel.training.head_options import head_options

GRAPH_FILES = (".json", ".csv", ".tsv", ".txt")


def build_graph(config: TrainConfig, counts: Cooccurrence) -> LabelGraph:
    """Builds the label graph that the options name: a variant, or a file.

    Raises:
        InputError: If there is no such variant or file, or its labels are not those of the data.
    """
    given: dict[str, Any] = {
        "given": config.graph_given,
        "threshold": config.graph_threshold,
        "top_k": config.graph_top_k,
    }
    options = {name: value for name, value in given.items() if value is not None}
    path = Path(config.graph)
    if config.graph not in VARIANTS and path.suffix in GRAPH_FILES:
        if options:
            named = ", ".join(f"graph_{name}" for name in options)
            raise InputError(f"{named}: only for graph variants, not for the file {path}")
        if path.suffix != ".json":
            relation = config.graph_relation or "company"
            graph = LabelGraph.from_edge_file(path, counts.names, relation=relation)
        elif config.graph_relation is None:
            graph = LabelGraph.load(path)
        else:
            raise InputError(f"graph_relation: {path} says itself what its edges mean")
        counts.labels.require_same_names(graph.names, f"the graph {path}")
        graph = graph.reorder(counts.names)
        # heads take base rates and label vectors from the counts, whatever the edges come from
        graph.counts = graph.counts or counts
        return graph
    if config.graph_relation is not None:
        raise InputError(f"graph_relation: only for a graph file in csv, not for {config.graph!r}")
    built = config.graph_base if config.graph == "random" else config.graph
    if built == "knn":
        options["vectors"] = config.node_features
        if "top_k" in options:
            options["k"] = options.pop("top_k")
    if config.graph == "random":
        options |= {"base": config.graph_base, "seed": config.seed}
    return counts.graph(config.graph, **options)


def build_completion(
    config: TrainConfig, unknown: str, targets: Targets | Tensor, graph: LabelGraph
) -> Completion | None:
    """Makes what becomes of unknown training targets; ``None`` where they are ignored.

    Args:
        config: The options of the run.
        unknown: The treatment, a key of :data:`~gatlabel.missing.UNKNOWN`.
        targets: Of the N training images and L labels.
        graph: The label graph that completion may use.
    """
    if unknown == "ignore":
        return None
    options = {}
    if unknown == "complete" and config.kinship is not None:
        options["kinship"] = config.kinship
    return make_completion(unknown, targets, graph, **options)


def build_model(
    config: TrainConfig, graph: LabelGraph, head: str, *, vectors: Tensor | None = None
) -> MultiLabelClassifier:
    """Builds encoder, pooling and head.

    Args:
        config: The options of the run.
        graph: The label graph, which also gives the labels.
        head: Name of the head (the run's own, or the one to compare with).
        vectors: Label vectors ``(L, F)`` to take instead of those that the options name.
    """
    options = head_options(config, head)
    if vectors is not None:
        options["node_features"] = vectors
    model = MultiLabelClassifier.create(
        config.backbone,
        head,
        graph=graph,
        weights=config.weights,
        head_options=options,
        pooling=config.pooling or "average",
        resize=config.resize,
        image_size=config.image_size,
        stride=config.stride,
        stages=1 if HEADS[head].needs_map else config.stages,
    )
    if graph.counts is not None and graph.counts.images is not None:
        model.head.start_at(torch.from_numpy(graph.counts.base_rates))
    freeze_parts(model, config)
    return model


def freeze_parts(model: MultiLabelClassifier, config: TrainConfig) -> None:
    """Stops what ``config.freeze`` names from learning; where it is open, nothing.

    Raises:
        InputError: If the norms are to be frozen and there are none.
    """
    from gatlabel.encoders import freeze

    if config.freeze == "encoder":
        freeze(model.encoder)
    elif config.freeze == "norms":
        norms = [
            p for p in model.encoder.modules() if isinstance(p, nn.modules.batchnorm._BatchNorm)
        ]
        if not norms:
            raise InputError(
                f"freeze=norms: the encoder {model.encoder.name} has no batch norms to freeze"
            )
        for part in norms:
            freeze(part)


@torch.no_grad()
def check_batches(model: MultiLabelClassifier, config: TrainConfig, pictures: int) -> None:
    """Checks that the model can be trained in batches of the run's size.

    Batch norm takes the statistics of a batch: of one picture with one position there are none.

    Args:
        model: The model; it stays as it is.
        config: The options of the run.
        pictures: Number of training pictures.

    Raises:
        InputError: If batches of one picture cannot go through it.
    """
    if min(config.batch_size, pictures) > 1:
        return
    size = model.image_size
    trial = copy.deepcopy(model).train()
    try:
        with torch.random.fork_rng(devices=[]):  # dropout draws
            trial(torch.zeros(1, 3, size, size, dtype=torch.uint8))
    except ValueError as error:
        raise InputError(
            f"batch_size={config.batch_size} with {pictures} training pictures makes batches of "
            "one, which batch norm cannot learn from: give two or more, or freeze=norms"
        ) from error
