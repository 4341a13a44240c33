"""The effect of removing one edge from a trained head."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from gatlabel.errors import InputError
from gatlabel.metrics import average_precision, harden
from gatlabel.nn import EdgeHead, Foldable

_BATCH = 64  # feature maps per batch


@dataclass(frozen=True)
class RemovalEffect:
    """The effect of each edge on its target, measured on images.

    Attributes:
        spread: float64 ``(E,)``: root mean square over images of the change of the target's
            logit, divided by the standard deviation of that logit. 0: the edge has no effect.
        ap_change: float64 ``(E,)``: AP of the target with the edge minus AP without, -1 to 1. NaN
            if the target has no positive or no known negative among the images. Above 0: the edge
            helps.
    """

    spread: Tensor
    ap_change: Tensor


@torch.no_grad()
def contribution_share(head: EdgeHead, edges: Sequence[int] | None = None) -> Tensor:
    r"""Computes how much of each target's classifier depends on each edge.

    .. math:: \frac{\lVert W_i - W_i^{-(j \to i)} \rVert}{\lVert W_i \rVert}

    with :math:`W^{-(j \to i)}` the classifiers of the same head without that edge (its attention is
    redistributed to the other in-edges). Shares of several edges need not add up.

    Args:
        head: A static head with a graph.
        edges: Positions of edges in ``head.edge_index``; all if ``None``.

    Returns:
        float64 ``(E,)``, at least 0.

    Raises:
        InputError: If the head has no graph, or depends on the image.
    """
    if not isinstance(head, EdgeHead) or not isinstance(head, Foldable):
        raise InputError(
            f"the head {head.kind!r} has no fixed classifiers to compare; give a static head with "
            "a graph, or images: see removal_effect"
        )
    whole = head.classifier()[0].double()
    shares = []
    for target, cut in one_removed(head, edges):
        assert isinstance(cut, Foldable)
        change = whole[target] - cut.classifier()[0][target].double()
        shares.append(change.norm() / whole[target].norm().clamp(min=1e-30))
    return torch.stack(shares) if shares else whole.new_zeros(0)


@torch.no_grad()
def removal_effect(
    head: EdgeHead, features: Tensor, targets: Tensor, edges: Sequence[int] | None = None
) -> RemovalEffect:
    """Measures the effect of each edge on its target's logits and average precision.

    Args:
        head: A head with a graph.
        features: The head's input for N images: ``(N, D)``, or maps ``(N, D, h, w)``.
        targets: ``(N, L)`` of 1, 0, -1; soft ones count as present from 0.5.
        edges: Positions of edges in ``head.edge_index``; all if ``None``.

    Raises:
        InputError: If the head has no graph, or features and targets do not fit it.
    """
    if not isinstance(head, EdgeHead):
        raise InputError("edges can only be removed from a head that has a graph")
    if targets.shape != (len(features), head.out_features):
        raise InputError(
            f"targets {tuple(targets.shape)} for {len(features)} images and a head of "
            f"{head.out_features} labels"
        )
    targets = harden(targets)
    whole = _logits(head, features)
    spread, change = [], []
    for target, cut in one_removed(head, edges):
        ours, theirs = whole[:, target], _logits(cut, features)[:, target]
        moved = (ours - theirs).square().mean().sqrt()
        spread.append(moved / ours.std(unbiased=False).clamp(min=1e-30))
        known = targets[:, target : target + 1]
        both = torch.stack([ours, theirs], 1)
        ap = average_precision(both, known.expand(-1, 2))
        change.append((ap[0] - ap[1]) if bool((known == 0).any()) else ap.new_tensor(math.nan))
    empty = whole.new_zeros(0)
    return RemovalEffect(
        torch.stack(spread) if spread else empty, torch.stack(change) if change else empty
    )


def _logits(head: EdgeHead, features: Tensor) -> Tensor:
    if isinstance(head, Foldable):
        return head(features).double()
    return torch.cat([head(part) for part in features.split(_BATCH)]).double()


def one_removed(head: EdgeHead, edges: Sequence[int] | None) -> Iterator[tuple[int, EdgeHead]]:
    """Yields, for each edge, its target and a copy of the head without the edge."""
    count = head.edge_index.shape[1]
    for edge in range(count) if edges is None else edges:
        keep = torch.ones(count, dtype=torch.bool, device=head.edge_index.device)
        keep[edge] = False
        yield int(head.edge_index[1, edge]), head.with_edges(keep).eval()
