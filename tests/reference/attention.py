"""Graph attention written out edge by edge, in float64: what every kernel is held against."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def attention(
    edges: list[tuple[int, int]],
    source_scores: Tensor,
    target_scores: Tensor,
    values: Tensor,
    prior: Tensor | None = None,
    prior_weight: Tensor | None = None,
    slope: float = 0.2,
) -> Tensor:
    """``Σ_j softmax_j(LeakyReLU(t_i + s_j) + λ prior) v_j``; edges are (source, target).

    Differentiable, so that autograd through these loops gives the reference gradients too.
    """
    heads, nodes, _ = values.shape
    rows = []
    for head in range(heads):
        for i in range(nodes):
            into = [e for e, (_, target) in enumerate(edges) if target == i]
            if not into:
                rows.append(values[head, i] * 0)
                continue
            scores = []
            for e in into:
                raw = target_scores[head, i] + source_scores[head, edges[e][0]]
                score = raw if float(raw.detach()) > 0 else slope * raw
                if prior is not None and prior_weight is not None:
                    score = score + prior_weight[head] * prior[e]
                scores.append(score)
            highest = max((float(score.detach()) for score in scores), default=-math.inf)
            weights = [(score - highest).exp() for score in scores]
            total = torch.stack(weights).sum()
            row = torch.stack(
                [w / total * values[head, edges[e][0]] for e, w in zip(into, weights, strict=True)]
            )
            rows.append(row.sum(0))
    return torch.stack(rows).view_as(values)
