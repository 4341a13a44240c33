"""The heads under the base test: a line here makes a head join it."""

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from gatlabel.graph import Cooccurrence, LabelGraph
from gatlabel.nn import (
    ConditionedHead,
    CSRAHead,
    GATHead,
    GATv2Head,
    GCNHead,
    Head,
    LinearHead,
    PyGHead,
    QueryHead,
)

Case = tuple[type[Head], dict[str, Any]]

D, L = 24, 6
NAMES = ["a", "b", "c", "d", "e", "f"]

CASES: dict[str, Case] = {
    "linear": (LinearHead, {}),
    "gcn": (GCNHead, {"hidden": 16}),
    "gat": (GATHead, {"hidden": 16}),
    "gat-learned": (GATHead, {"hidden": 16, "node_features": "learned", "bias": False}),
    "gat-similarity": (GATHead, {"hidden": 16, "similarity_weight": 0.4}),
    "gat-nodes": (GATHead, {"hidden": 16, "base": "nodes"}),
    "gat-nodes-averaged": (GATHead, {"hidden": 10, "heads": 5, "base": "nodes", "layers": 3}),
    "gatv2": (GATv2Head, {"hidden": 16}),
    "gatv2-nodes": (GATv2Head, {"hidden": 16, "base": "nodes"}),
    "pyg": (PyGHead, {"hidden": 8}),
    "pyg-similarity": (PyGHead, {"hidden": 8, "similarity_weight": 0.4}),
    "pyg-heads": (
        PyGHead,
        {"hidden": 8, "conv": "GATv2Conv", "conv_options": {"heads": 2}, "bias": False},
    ),
    "pyg-weights": (PyGHead, {"hidden": 8, "conv": "GraphConv"}),
    "csra": (CSRAHead, {}),
    "csra-heads": (CSRAHead, {"heads": 4, "lam": 0.3, "normalize": True, "bias": False}),
    "query": (QueryHead, {"hidden": 16, "heads": 2}),
    "query-vectors": (
        QueryHead,
        {"hidden": 16, "heads": 2, "layers": 2, "node_features": "svd", "self_attention": True},
    ),
    "conditioned": (ConditionedHead, {"hidden": 8, "heads": 2}),
    "conditioned-alone": (ConditionedHead, {"hidden": 8, "heads": 1, "steps": 0}),
}
# One of each class, for what takes seconds.
KINDS = ["linear", "gcn", "gat", "gatv2", "pyg", "csra", "query", "conditioned"]

# Which dimension of a parameter or buffer is the labels'; everything else is shared by them.
LABEL_DIMENSION = {
    "weight": 0,
    "bias": 0,
    "linear.weight": 0,
    "linear.bias": 0,
    "nodes.vectors": 0,
    "score.weight": 0,
    "score.bias": 0,
    "prior_logit": 0,
    "messages.out": 0,
    "base_rates": 0,
    "mixing.strength": 0,
}


def label_dimension(head: Head, name: str) -> int | None:
    """Where a tensor of the state has the labels, or None if it has none."""
    if isinstance(head, CSRAHead) and name == "weight":
        return 1
    return LABEL_DIMENSION.get(name)


def label_graph() -> LabelGraph:
    generator = np.random.default_rng(0)
    targets = (generator.random((200, L)) < 0.4).astype(np.float32)
    targets[:, 1] = np.maximum(targets[:, 1], targets[:, 0])
    return Cooccurrence.from_targets(targets, NAMES).graph("conditional", top_k=3)


def build(case: str, graph: LabelGraph) -> Head:
    return made(*CASES[case], graph)


def made(kind: type[Head], options: dict[str, Any], graph: LabelGraph) -> Head:
    return perturbed(kind(D, graph=graph, **options)).eval()


def perturbed(head: Head) -> Head:
    """Moves the zero-initialised parts off zero, so that every part takes part."""
    with torch.no_grad():
        for parameter in head.parameters():
            parameter += 0.1 * torch.randn_like(parameter)
    return head


def features_for(head: Head, batch: int, dtype: torch.dtype = torch.float32) -> Tensor:
    shape = (batch, D, 3, 2) if head.needs_map else (batch, D)
    return torch.randn(*shape, dtype=dtype)


def options_from(head: Head) -> dict[str, Any]:
    """The head's config, with blank vectors in the place of their description."""
    config = dict(head.config)
    del config["in_features"]
    description = config.get("node_features")
    if description:
        blank = torch.zeros(L, description["width"])
        config["node_features"] = nn.Parameter(blank) if description["trainable"] else blank
    return config
