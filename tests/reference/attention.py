"""Graph attention written out edge by edge, in float64: what every kernel is held against.

Differentiable, so that autograd through these loops gives the reference gradients too.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn.functional import elu

Edges = list[tuple[int, int]]


def attention(
    edges: Edges,
    source_scores: Tensor,
    target_scores: Tensor,
    values: Tensor,
    prior: Tensor | None = None,
    prior_weight: Tensor | None = None,
    slope: float = 0.2,
) -> Tensor:
    """``Σ_j softmax_j(LeakyReLU(t_i + s_j) + λ prior) v_j``; edges are (source, target)."""
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


def default_head(
    features: Tensor, edges: Edges, prior: Tensor, vectors: Tensor, state: Mapping[str, Tensor]
) -> Tensor:
    """Logits ``(B, L)`` of the default head, its classifiers formed.

    Args:
        features: ``(B, D)``.
        edges: Without self-loops.
        prior: ``(E,)``.
        vectors: Node features ``(L, F)``.
        state: The head's parameters by name.
    """
    z = state["weight"] @ state["project.weight"].T
    prior_weight = state["attend.prior_weight"]
    summed = attention(
        edges,
        (vectors @ state["attend.source.weight"].T).T,
        (vectors @ state["attend.target.weight"].T).T,
        torch.stack(z.chunk(len(prior_weight), 1)),
        prior,
        prior_weight,
    )
    joined = torch.cat(list(summed), 1)
    classifiers = state["weight"] + z @ state["out_self"] + joined @ state["out_edge"]
    return features @ classifiers.T + state["bias"]


def plain_head(
    features: Tensor, edges: Edges, vectors: Tensor, state: Mapping[str, Tensor]
) -> Tensor:
    """Logits ``(B, L)`` of two GAT layers whose last output are the classifiers.

    Args:
        features: ``(B, D)``.
        edges: With self-loops.
        vectors: Node features ``(L, F)``.
        state: The head's parameters by name.
    """
    x = vectors
    for layer in ("stack.layers.0.", "stack.layers.1."):
        own = {k.removeprefix(layer): v for k, v in state.items() if k.startswith(layer)}
        sources, targets = own["att_src"][0], own["att_dst"][0]  # (H, C)
        values = torch.stack([x @ w.T for w in own["lin.weight"].chunk(len(sources))])
        s, t = ((values * a[:, None]).sum(-1) for a in (sources, targets))
        out = attention(edges, s, t, values)
        joined = len(own["bias"]) == out.shape[0] * out.shape[2]
        out = (torch.cat(list(out), 1) if joined else out.mean(0)) + own["bias"]
        x = elu(out) if layer.endswith("0.") else out
    return features @ x.T + state["bias"]


def messages(
    features: Tensor,
    evidence: Tensor,
    attention_map: Tensor,
    edges: Edges,
    prior: Tensor,
    state: Mapping[str, Tensor],
) -> Tensor:
    """What each label of each image receives along its direction, ``(B, L)``, image by image.

    Args:
        features: Positions ``(B, U, D)``.
        evidence: That of the neighbours, ``(B, L)``.
        attention_map: That of each label, ``(B, L, U)``.
        edges: Without self-loops.
        prior: ``(E,)``.
        state: The parameters of the messages by name.
    """
    of_source, of_target = state["attend.directions"].unbind(-1)  # (H, C / H)
    rows = []
    for positions, said, where in zip(features, evidence, attention_map, strict=True):
        labels = (where @ positions) @ state["project.weight"].T  # (L, C)
        values = torch.stack(labels.chunk(len(of_source), 1))
        s, t = ((values * a[:, None]).sum(-1) for a in (of_source, of_target))
        weighed = said[:, None] * values
        received = attention(edges, s, t, weighed, prior, state["attend.prior_weight"])
        rows.append((torch.cat(list(received), 1) * state["out"]).sum(1))
    return torch.stack(rows)
