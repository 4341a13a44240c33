"""Contributions of the neighbours in the label graph to the logits of one image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from gatlabel.explain.removal import one_removed
from gatlabel.nn import EdgeHead
from gatlabel.nn.modes import evaluating

if TYPE_CHECKING:
    from gatlabel.model import MultiLabelClassifier

MOST = 20
"""Default number of in-edges of a label that are removed in turn: those of largest weight."""


@dataclass(frozen=True)
class NeighbourContribution:
    """The effect of one in-edge on the logit of its target, for one image.

    Attributes:
        source: The neighbour.
        weight: Weight of the edge in the label graph.
        contribution: Logit of the target with the edge minus logit without it.
    """

    source: str
    weight: float
    contribution: float


@torch.no_grad()
def neighbour_contributions(
    model: MultiLabelClassifier, image: Tensor, label: int, *, most: int = MOST
) -> tuple[NeighbourContribution, ...]:
    """Removes each in-edge of a label in turn, and measures the change of the label's logit.

    All learned weights are kept; the attention on the edge is redistributed to the other in-edges.
    Contributions of single edges need not add up to that of all edges together.

    Args:
        model: The model, with its original head, not folded.
        image: uint8 ``(3, S, S)``, resized as in evaluation.
        label: Position of the label.
        most: Maximum number of in-edges, those of the largest absolute weight.

    Returns:
        The contributions, the largest absolute one first; empty for a head without a label graph.
    """
    head = model.head
    if not isinstance(head, EdgeHead):
        return ()
    edges = (head.edge_index[1] == label).nonzero()[:, 0]
    heaviest = head.edge_weight[edges].abs().argsort(descending=True, stable=True)[:most]
    chosen: list[int] = edges[heaviest].tolist()
    with evaluating(model):
        features = model.features(image[None].to(head.edge_index.device))
        whole = float(head(features)[0, label])
        without = [float(cut(features)[0, label]) for _, cut in one_removed(head, chosen)]
    found = [
        NeighbourContribution(
            model.labels[int(head.edge_index[0, edge])],
            float(head.edge_weight[edge]),
            whole - logit,
        )
        for edge, logit in zip(chosen, without, strict=True)
    ]
    return tuple(sorted(found, key=lambda each: -abs(each.contribution)))
