"""Building of a label graph and a model from options."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn

from gatlabel.baselines.classical import ClassicalOptions
from gatlabel.encoders import Encoder
from gatlabel.errors import InputError
from gatlabel.graph import Cooccurrence, LabelGraph
from gatlabel.graph.spec import GraphSpec
from gatlabel.missing import Completion, make_completion
from gatlabel.model import MultiLabelClassifier
from gatlabel.nn import HEADS
from gatlabel.targets import Targets
from gatlabel.training.config import TrainConfig
from gatlabel.training.given import Given


def build_graph(config: TrainConfig, counts: Cooccurrence) -> LabelGraph:
    """Builds the label graph that the options name; random edges use the run's seed.

    Raises:
        InputError: If a file cannot be read, or its labels are not those of the data.
    """
    return GraphSpec.parse(config.graph).build(counts, config.run.seed)


def build_completion(
    config: TrainConfig, unknown: str, targets: Targets | Tensor, graph: LabelGraph
) -> Completion | None:
    """Returns the treatment of unknown training targets; ``None`` if they are ignored.

    Args:
        config: The options of the run.
        unknown: The treatment, a key of :data:`~gatlabel.missing.UNKNOWN`.
        targets: Targets of the N training images and L labels.
        graph: The label graph for completion.
    """
    if unknown == "ignore":
        return None
    options: dict[str, Any] = {}
    if unknown == "complete" and config.missing.similarity_weight is not None:
        options["similarity_weight"] = config.missing.similarity_weight
    if unknown == "pseudo":
        options["by_graph"] = config.missing.pseudo_by_graph
    return make_completion(unknown, targets, graph, **options)


def build_model(
    config: TrainConfig,
    graph: LabelGraph,
    *,
    vectors: Tensor | None = None,
    given: Given | None = None,
) -> MultiLabelClassifier:
    """Builds encoder, pooling and head.

    Args:
        config: The options of the run.
        graph: The label graph, which also gives the labels.
        vectors: Label vectors ``(L, F)`` to use instead of those that the options name.
        given: Objects from Python; a copy of the encoder and the loss are used.
    """
    given = given or Given()
    own = given.new_encoder()
    head, options = config.head.name, config.head.arguments()
    if isinstance(config.head, ClassicalOptions):  # fitted later, on the features
        head, options = "linear", {}
    if vectors is not None:
        options["node_features"] = vectors
    model = MultiLabelClassifier.create(
        own or config.encoder.backbone,
        head,
        graph=graph,
        weights=None if own else config.encoder.weights,
        head_options=options,
        pooling=config.encoder.pooling or "average",
        resize=config.images.resize,
        image_size=config.images.size,
        stride=None if own else config.encoder.stride,
        stages=1 if HEADS[head].needs_map or own else config.encoder.stages or 1,
    )
    if graph.base_rates is not None:
        model.head.init_bias(graph.base_rates)
    if given.loss is not None:
        model.set_loss(given.loss)
    freeze_parts(model, config)
    return model


def freeze_parts(model: MultiLabelClassifier, config: TrainConfig) -> None:
    """Freezes the parts that ``config.encoder.freeze`` names; see :func:`freeze_encoder`."""
    freeze_encoder(model.encoder, config.encoder.freeze)


def freeze_encoder(encoder: Encoder, what: str | None) -> None:
    """Freezes an encoder or its batch norms; nothing if ``what`` is ``None``.

    Raises:
        InputError: If the norms are to be frozen and there are none.
    """
    from gatlabel.encoders import freeze

    if what == "encoder":
        freeze(encoder)
    elif what == "norms":
        norms = [p for p in encoder.modules() if isinstance(p, nn.modules.batchnorm._BatchNorm)]
        if not norms:
            raise InputError(
                f"freeze=norms: the encoder {encoder.name} has no batch norms to freeze"
            )
        for part in norms:
            freeze(part)


@torch.no_grad()
def check_batches(model: MultiLabelClassifier, config: TrainConfig, images: int) -> None:
    """Checks that the model can be trained in batches of the run's size.

    Batch norm computes the statistics of a batch, which one image with one position does not have.

    Args:
        model: The model; it is not changed.
        config: The options of the run.
        images: Number of training images.

    Raises:
        InputError: If there would be batches of one image, and the model does not support them.
    """
    size = config.run.images_per_step
    if min(size, images) > 1:
        return
    side = model.image_size
    trial = copy.deepcopy(model).train()
    try:
        with torch.random.fork_rng(devices=[]):  # dropout draws random numbers
            trial(torch.zeros(1, 3, side, side, dtype=torch.uint8))
    except ValueError as error:
        raise InputError(
            f"batch_size={size} with {images} training images results in batches "
            "of one image, on which batch norm cannot be trained: give two or more, or freeze=norms"
        ) from error
