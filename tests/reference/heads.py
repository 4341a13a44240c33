"""Slow heads: loops over images, labels, neighbours and positions, written from the formulas."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def sigmoid(x: Array | float) -> Array:
    return 1 / (1 + np.exp(-np.asarray(x, dtype=np.float64)))


def softmax(x: Array) -> Array:
    exponentials = np.exp(x - x.max())
    return exponentials / exponentials.sum()


def mlgcn(features: Array, operator: Array, vectors: Array, first: Array, second: Array) -> Array:
    """ML-GCN: ``f (A LeakyReLU(A X W1) W2)ᵀ``, slope 0.2, sums written out over neighbours."""
    labels = len(vectors)
    transformed = vectors @ first
    hidden = np.zeros_like(transformed)
    for i in range(labels):
        for j in range(labels):
            hidden[i] += operator[i, j] * transformed[j]
    hidden = np.where(hidden > 0, hidden, 0.2 * hidden)
    transformed = hidden @ second
    classifiers = np.zeros_like(transformed)
    for i in range(labels):
        for j in range(labels):
            classifiers[i] += operator[i, j] * transformed[j]
    return features @ classifiers.T


def conditioned(
    features: Array,
    edges: list[tuple[int, int]],
    prior: Array,
    state: dict[str, Array],
    steps: int,
    unit: float,
    unseen: float,
) -> tuple[Array, Array]:
    """The image-conditioned head of one image.

    Args:
        features: ``(D, h, w)``.
        edges: Source and target of each edge, without self-loops.
        prior: ``(E,)``.
        state: The head's parameters by name.
        steps: Mean-field iterations.
        unit: What a stored coupling of 1 is in logits.
        unseen: Chance that a label which is there cannot be seen.

    Returns:
        Logits ``(L,)`` and attention ``(E, H)``.
    """
    w, b = state["score.weight"], state["score.bias"]
    tau, gate = float(state["sharpness"]), float(sigmoid(state["gate"]))
    directions, lam = state["messages.attend.directions"], state["messages.attend.prior_weight"]
    heads, width, _ = directions.shape
    rates = state["base_rates"]
    labels = len(w)
    places = [features[:, y, x] for y in range(features.shape[1]) for x in range(features.shape[2])]
    z0, v = np.zeros(labels), np.zeros((labels, heads, width))
    for i in range(labels):
        s = np.array([w[i] @ f for f in places])
        alpha = softmax(tau * s)
        z0[i] = b[i] + (1 - gate) * s.mean() + gate * (alpha * s).sum()
        seen = sum(
            a * (state["messages.project.weight"] @ f) for a, f in zip(alpha, places, strict=True)
        )
        v[i] = np.reshape(seen, (heads, width))
    attention = np.zeros((len(edges), heads))
    context = state["prior_logit"].copy()
    for i in range(labels):
        rows = [e for e, (_, target) in enumerate(edges) if target == i]
        if not rows:
            continue
        received = []
        for h in range(heads):
            a, c = directions[h, :, 0], directions[h, :, 1]
            raw = [float(a @ v[edges[e][0], h] + c @ v[i, h]) for e in rows]
            scores = [
                (r if r > 0 else 0.2 * r) + lam[h] * prior[e]
                for r, e in zip(raw, rows, strict=True)
            ]
            attention[rows, h] = softmax(np.array(scores))
            received.append(
                sum(
                    attention[e, h]
                    * (sigmoid(z0[edges[e][0]]) - rates[edges[e][0]])
                    * v[edges[e][0], h]
                    for e in rows
                )
            )
        context[i] += state["messages.out"][i] @ np.concatenate(received) / (heads * width)
    z = z0
    for _ in range(max(steps, 1)):
        current = context.copy()
        for e, (source, target) in enumerate(edges):
            if steps:
                belief = float(sigmoid(z[source])) - rates[source]
                current[target] += unit * state["coupling"][e] * belief
        z = np.array(
            [
                noisy_or(
                    z0[i], unseen * sigmoid(current[i]), unseen * sigmoid(state["prior_logit"][i])
                )
                for i in range(labels)
            ]
        )
    return z, attention


def noisy_or(logit: float, chance: float, usual: float) -> float:
    """Log-odds of a label after its chance to be there unseen changed from the usual one.

    By probabilities, not odds: the label is absent if it is neither seen nor there unseen.
    """
    absent = 1 - float(sigmoid(logit))
    not_seen = absent / (1 - usual)  # two causes, independent
    if not_seen < 1:
        absent = not_seen * (1 - chance)
        return math.log(1 - absent) - math.log(absent)
    return logit + math.log(chance / (1 - chance)) - math.log(usual / (1 - usual))


def csra(features: Array, weight: Array, lam: float, temperature: float) -> Array:
    """CSRA of one image ``(D, h, w)``, one head without bias (temperature inf: the maximum)."""
    places = [features[:, y, x] for y in range(features.shape[1]) for x in range(features.shape[2])]
    logits = np.zeros(len(weight))
    for i, w in enumerate(weight):
        s = np.array([w @ f for f in places])
        alpha = s == s.max() if math.isinf(temperature) else softmax(temperature * s)
        attended = (alpha * s).sum()
        logits[i] = s.mean() + lam * attended
    return logits


def shared_classifiers(
    own: list[list[float]], edges: list[tuple[str, str, float]], names: list[str], share: float
) -> list[list[float]]:
    """``W_i = V_i + share * (mean of V_j over the in-neighbours, weighted by the edges)``."""
    found = []
    for i, name in enumerate(names):
        into = [(names.index(source), weight) for source, target, weight in edges if target == name]
        total = sum(weight for _, weight in into)
        row = []
        for column in range(len(own[0])):
            contribution = (
                sum(weight * own[j][column] for j, weight in into) / total if into else 0.0
            )
            row.append(own[i][column] + share * contribution)
        found.append(row)
    return found
