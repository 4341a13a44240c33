"""Explanation of the label graph of a finished run."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import torch

from gatlabel.devices import choose_device
from gatlabel.encoders import unread_encoder
from gatlabel.errors import InputError, unknown_choice
from gatlabel.explain import GraphExplanation, explain_graph
from gatlabel.graph import Cooccurrence
from gatlabel.inference import predict_features
from gatlabel.model import MultiLabelClassifier
from gatlabel.nn import EdgeHead
from gatlabel.nn.heads.features import NodeFeatures
from gatlabel.training.config import TrainConfig
from gatlabel.training.data import read_data
from gatlabel.training.evaluation import aligned_targets
from gatlabel.training.finished_runs import open_run
from gatlabel.training.run_folder import RunFolder


def explain_run(
    folder: str | os.PathLike[str],
    *,
    split: str | None = None,
    most: int = 200,
    labels: Sequence[str] = (),
) -> GraphExplanation:
    """Explains the edges of a run's head, before and after training.

    The head before training is rebuilt from the options, seed and graph in the run folder, except
    that of a run which was initialised by another one. Of the run's input files, only the images
    are needed.

    Args:
        folder: The run folder.
        split: The split on which effects are measured; default: test, else val.
        most: Maximum number of edges, in order of weight; each costs one evaluation of the head.
        labels: Labels whose incoming edges are explained first.

    Raises:
        InputError: If this is not a run folder, its head has no graph, there is no such label, or
            the data are missing.
    """
    run = RunFolder(Path(folder))
    model, config = open_run(run.path)
    head = model.head
    if not isinstance(head, EdgeHead):
        raise InputError(f"the head {head.kind!r} of {folder} has no label graph to explain")
    for label in labels:
        if label not in model.labels:
            raise unknown_choice("label", label, model.labels)
    edges = _edges_to_explain(head, most, [model.labels.index(label) for label in labels])
    splits = dict(read_data(config, evaluate_only=True).items())
    available = [name for name, source in splits.items() if len(source)]
    split = split or available[-1]
    if split not in available:
        raise InputError(f"the data has no split {split!r} with images: {', '.join(available)}")
    device = choose_device(config.run.device)
    features = predict_features(model.to(device), splits[split])
    targets = aligned_targets(splits[split], model.labels)
    head = head.cpu().eval()
    known = config.encoder.init is None  # that of another run is not in this folder
    before = _before_training(run, config, model) if known else None
    return explain_graph(head, model.labels, features, targets, before=before, edges=edges)


def _edges_to_explain(head: EdgeHead, most: int, targets: Sequence[int]) -> list[int]:
    """Returns positions of the edges into ``targets``, then of the heaviest edges, ascending."""
    edges = head.edge_weight.argsort(descending=True, stable=True)
    wanted = torch.isin(head.edge_index[1, edges], edges.new_tensor(targets))
    edges = torch.cat([edges[wanted], edges[~wanted]])
    chosen: list[int] = edges[:most].sort().values.tolist()
    return chosen


def _before_training(run: RunFolder, config: TrainConfig, model: MultiLabelClassifier) -> EdgeHead:
    """Rebuilds the head as it was initialised, without the input files of the run.

    Only the seed and the encoder's initial weights are taken from the options, the rest from the
    model.
    """
    trained, graph = model.head, model.graph
    assert isinstance(trained, EdgeHead)
    assert graph is not None
    graph = graph.with_counts(Cooccurrence.load(run.counts))  # pairs are not saved with it
    options = {name: v for name, v in trained.config.items() if name != "in_features"}
    nodes = getattr(trained, "nodes", None)
    if isinstance(nodes, NodeFeatures):  # fixed ones were not trained, and may come from a file
        options["node_features"] = "learned" if nodes.trainable else nodes.vectors
    torch.manual_seed(config.run.seed)
    # the encoder draws random numbers first
    unread_encoder(model.encoder.name, config.encoder.weights, stride=model.encoder.stride)
    head = type(trained)(trained.in_features, graph=graph, **options).eval()
    if graph.base_rates is not None:
        head.init_bias(graph.base_rates)
    return head
