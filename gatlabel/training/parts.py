"""The parts of the options of a training run."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from gatlabel.baselines.classical.options import CLASSICAL
from gatlabel.data.options import DATA, DataOptions, ImageOptions
from gatlabel.decisions.options import DecisionOptions
from gatlabel.encoders.options import EncoderOptions
from gatlabel.engine.options import OptimizerOptions
from gatlabel.graph.spec import GraphSpec
from gatlabel.losses.options import LOSSES, DistillationOptions, LossOptions
from gatlabel.missing.options import MissingOptions
from gatlabel.nn.options import HEADS, SEQUENCE_HEADS, HeadOptions
from gatlabel.options import Options, choice, group, option
from gatlabel.training.options import RECIPES, RecipeOptions, RunOptions

#: The head of a run: a network, or a classical method on frozen features.
MODEL_HEADS: Mapping[str, type[Options]] = ChainMap(cast(Any, HEADS), cast(Any, CLASSICAL))
#: Heads that only tasks have.
_OF_TASKS = {
    name: f"predicts labels in order: train it with --task labels=sequence:head={name}, or a task "
    "of kind sequence in YAML (docs/sequences.md)"
    for name in SEQUENCE_HEADS
}


@dataclass(frozen=True, kw_only=True)
class TrainParts(Options):
    """The options of every part; see :class:`~gatlabel.training.TrainConfig`."""

    recipe: RecipeOptions = choice(
        RECIPES, "plain", "Where the defaults come from.", benchmark=False
    )
    data: DataOptions = choice(DATA, "scenes", "Kind of data set.")
    images: ImageOptions = group(ImageOptions, "Preprocessing and augmentation of images.")
    encoder: EncoderOptions = group(EncoderOptions, "The network from images to features.")
    graph: str = option(
        "conditional",
        "Label graph: a variant with options, or a graph file. A variant is conditional, "
        "npmi, lift, knn, mlgcn_code, mlgcn_paper, complete, identity, random or permuted, with "
        "options as in npmi:top_k=5,threshold=0.1; a file is graph.json, or an edge list, as "
        "edges.csv:relation=similarity.",
        benchmark=False,
        absolute=GraphSpec.absolute_text,
    )
    head: HeadOptions = choice(
        MODEL_HEADS, "gat", "From features to logits.", elsewhere=_OF_TASKS, benchmark=False
    )
    loss: LossOptions = choice(LOSSES, "bce", "What training minimises.", training=True)
    distillation: DistillationOptions = group(
        DistillationOptions, "What training learns from another model.", training=True
    )
    missing: MissingOptions = group(MissingOptions, "Unknown and wrong training labels.")
    optimizer: OptimizerOptions = group(
        OptimizerOptions, "The optimiser, and its rates.", training=True
    )
    decision: DecisionOptions = group(
        DecisionOptions, "From probabilities to label sets.", benchmark=False
    )
    run: RunOptions = group(RunOptions, "Duration, devices and output of a run.")

    def __post_init__(self) -> None:
        super().__post_init__()
        GraphSpec.parse(self.graph)
