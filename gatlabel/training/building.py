"""From options to a label graph and a model."""

from __future__ import annotations

import copy
import re
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from gatlabel.errors import InputError
from gatlabel.graph import VARIANTS, Cooccurrence, LabelGraph
from gatlabel.missing import Completion, make_completion
from gatlabel.model import MultiLabelClassifier
from gatlabel.nn import HEADS
from gatlabel.training.config import TrainConfig
from gatlabel.yaml_reading import parse_yaml

GRAPH_FILES = (".json", ".csv", ".tsv", ".txt")
_OPTION = re.compile(r"(.+)[:,]\s*([a-z_]+)\s*=([^:,]*)", re.DOTALL)


def parse_graph(text: str) -> tuple[str, dict[str, Any]]:
    """Splits ``conditional:given=source,top_k=3`` into the variant, or file, and its options.

    Raises:
        InputError: If an option has no value that can be read.
    """
    name, options = text, {}
    while found := _OPTION.fullmatch(name):
        name, option = found[1], found[2]
        try:
            value = parse_yaml(found[3], "the value")
        except InputError:
            value = None
        if value is None:
            raise InputError(f"graph {text!r}: {found[3]!r} is no value of {option}")
        options[option] = value
    options = dict(reversed(options.items()))
    if name.partition(":")[0] in VARIANTS and ":" in name:
        raise InputError(f"graph {text!r}: write options as variant:name=value")
    if name == "knn" and "top_k" in options:
        options["k"] = options.pop("top_k")
    return name, options


def build_graph(config: TrainConfig, counts: Cooccurrence) -> LabelGraph:
    """Builds the label graph that the options name: a variant with options, or a file.

    Raises:
        InputError: If there is no such variant or file, or its labels are not those of the data.
    """
    name, options = parse_graph(config.graph)
    path = Path(name)
    if name not in VARIANTS and path.suffix in GRAPH_FILES:
        taken = ("relation",) if path.suffix != ".json" else ()
        if unknown := [option for option in options if option not in taken]:
            raise InputError(
                f"graph {config.graph!r}: {unknown[0]} is no option of the file {path}"
            )
        if path.suffix == ".json":
            graph = LabelGraph.load(path)
        else:
            graph = LabelGraph.from_edge_file(path, counts.names, **options)
        counts.labels.require_same_names(graph.names, f"the graph {path}")
        graph = graph.reorder(counts.names)
        # heads take base rates and label vectors from the counts, whatever the edges come from
        graph.counts = graph.counts or counts
        return graph
    if name == "random":
        options = {"seed": config.run.seed, **options}
    return counts.graph(name, **options)


def build_completion(
    config: TrainConfig, unknown: str, targets: Tensor, graph: LabelGraph
) -> Completion | None:
    """Makes what becomes of unknown training targets; ``None`` where they are ignored.

    Args:
        config: The options of the run.
        unknown: The treatment, a key of :data:`~gatlabel.missing.UNKNOWN`.
        targets: ``(N, L)``, -1 for unknown.
        graph: The label graph that completion may use.
    """
    if unknown == "ignore":
        return None
    options = {}
    if unknown == "complete" and config.missing.similarity_weight is not None:
        options["kinship"] = config.missing.similarity_weight
    return make_completion(unknown, targets, graph, **options)


def build_model(
    config: TrainConfig, graph: LabelGraph, *, vectors: Tensor | None = None
) -> MultiLabelClassifier:
    """Builds encoder, pooling and head.

    Args:
        config: The options of the run.
        graph: The label graph, which also gives the labels.
        vectors: Label vectors ``(L, F)`` to take instead of those that the options name.
    """
    head, options = config.head.name, config.head.arguments()
    if vectors is not None:
        options["node_features"] = vectors
    model = MultiLabelClassifier.create(
        config.encoder.backbone,
        head,
        graph=graph,
        weights=config.encoder.weights,
        head_options=options,
        pooling=config.encoder.pooling or "average",
        resize=config.images.resize,
        image_size=config.images.size,
        stride=config.encoder.stride,
        stages=1 if HEADS[head].needs_map else config.encoder.stages,
    )
    if graph.counts is not None and graph.counts.images is not None:
        model.head.start_at(torch.from_numpy(graph.counts.base_rates))
    freeze_parts(model, config)
    return model


def freeze_parts(model: MultiLabelClassifier, config: TrainConfig) -> None:
    """Stops what ``config.encoder.freeze`` names from learning; where it is open, nothing.

    Raises:
        InputError: If the norms are to be frozen and there are none.
    """
    from gatlabel.encoders import freeze

    if config.encoder.freeze == "encoder":
        freeze(model.encoder)
    elif config.encoder.freeze == "norms":
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
    if min(config.run.batch_size, pictures) > 1:
        return
    size = model.image_size
    trial = copy.deepcopy(model).train()
    try:
        with torch.random.fork_rng(devices=[]):  # dropout draws
            trial(torch.zeros(1, 3, size, size, dtype=torch.uint8))
    except ValueError as error:
        raise InputError(
            f"batch_size={config.run.batch_size} with {pictures} training images makes batches of "
            "one, which batch norm cannot learn from: give two or more, or freeze=norms"
        ) from error
