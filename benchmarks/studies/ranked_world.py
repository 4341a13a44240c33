"""Simulated test sets whose expected average precision is known exactly.

Labels have long-tailed frequencies and come in groups that occur together. Two models score the
same images: of the unit variance of a score, 15 % is of the image (shared by its labels), 40 % of
image and label (shared by the models), 30 % of the model, 15 % of its seed. A positive is raised by
a label's separation, which differs by label and model, and half of the positives are harder than
the others for both models.

Given P positives among N images, E[AP] is the mean over a positive's score x of
E[(1 + A) / (1 + A + B)], where A ~ Bin(P − 1, q(x)) positives and B ~ Bin(N − P, p(x)) negatives
score higher. As 1 / (1 + A + B) is the integral of t^(A + B) over t from 0 to 1, that is the
integral of d/dt [t (1 − q + q t)^(P − 1)] (1 − p + p t)^(N − P): quadrature, no simulation.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline
from scipy.special import ndtr, ndtri

Array = NDArray[np.float64]

IMAGE, LABEL, MODEL, SEED = np.sqrt([0.15, 0.40, 0.30, 0.15])
HARD = 0.8  # how much lower hard positives score, and easy ones higher
SPREAD = 0.15  # standard deviation over seeds of a label's separation
GROUP, TOGETHER = 10, 0.2  # labels that occur together, and their correlation
SEPARATIONS = np.arange(-1.0, 5.01, 0.1)


@dataclass(frozen=True)
class Design:
    """What is simulated.

    Attributes:
        labels: L.
        images: N.
        tail: ``"long"``: frequencies 0.4 / l^1.1; ``"five"``: at least ten expected positives of
            each label, drawn again where there are fewer than five.
        seeds: Trained models of each kind.
        equal: Whether both kinds are equally good on each label, so that nothing differs.
    """

    labels: int
    images: int
    tail: str
    seeds: int
    equal: bool


class World:
    """Draws test sets of a design."""

    def __init__(self, design: Design, seed: int) -> None:
        self.design = design
        circumstances = (design.labels, design.images, design.seeds, design.tail == "five")
        self.rng = np.random.default_rng([seed, *circumstances, design.equal])
        frequency = 0.4 * np.arange(1, design.labels + 1) ** -1.1
        if design.tail == "five":
            frequency = np.maximum(frequency, 10 / design.images)
        self._above = -ndtri(frequency)
        ours = self.rng.uniform(0.6, 2.4, design.labels)
        moved = ours - 0.2 + 0.35 * self.rng.normal(size=design.labels)
        self.separations = (ours, ours if design.equal else np.clip(moved, 0, 4))
        self._spread = SPREAD if design.seeds > 1 else 0.0
        self._counts, table = expected_ap(design.images)
        spline = CubicSpline(SEPARATIONS, table, axis=1)
        nodes, weights = np.polynomial.hermite_e.hermegauss(7)
        weights = weights / weights.sum()
        self._expected = [
            sum(w * spline(s + self._spread * x) for x, w in zip(nodes, weights, strict=True))
            for s in self.separations
        ]

    def draw(self) -> tuple[Array, list[list[NDArray[np.float32]]], list[float]]:
        """Returns targets ``(N, L)``, scores by model and seed, and both models' true mAP."""
        targets = self._targets()
        seen = np.flatnonzero(targets.any(axis=0) & ~targets.all(axis=0))
        targets = targets[:, seen]
        hard = np.where(self.rng.random(targets.shape) < 0.5, HARD, -HARD)
        common = IMAGE * self.rng.normal(size=(len(targets), 1)) + LABEL * self._noise(targets)
        common = common + targets * hard
        scores = []
        for separation in self.separations:
            own = common + MODEL * self._noise(targets)
            runs = []
            for _ in range(self.design.seeds):
                raised = separation[seen] + self._spread * self.rng.normal(size=len(seen))
                noise = SEED * self._noise(targets)
                runs.append((own + noise + targets * raised).astype(np.float32))
            scores.append(runs)
        counts = np.log(targets.sum(axis=0))
        truth = [
            float(np.mean([np.interp(n, np.log(self._counts), table[:, label])
                           for n, label in zip(counts, seen, strict=True)]))
            for table in self._expected
        ]  # fmt: skip
        return targets.astype(np.float64), scores, truth

    def _noise(self, like: NDArray[np.bool_]) -> NDArray[np.float32]:
        return self.rng.standard_normal(like.shape, dtype=np.float32)

    def _targets(self) -> NDArray[np.bool_]:
        count, labels = self.design.images, self.design.labels
        groups = self.rng.normal(size=(count, -(-labels // GROUP)))[:, np.arange(labels) // GROUP]

        def draw(which: NDArray[np.intp]) -> NDArray[np.bool_]:
            own = self.rng.normal(size=(count, len(which)))
            latent = np.sqrt(TOGETHER) * groups[:, which] + np.sqrt(1 - TOGETHER) * own
            return latent > self._above[which]

        targets = draw(np.arange(labels))
        while self.design.tail == "five":
            few = np.flatnonzero(targets.sum(axis=0) < 5)
            if not len(few):
                break
            targets[:, few] = draw(few)
        return targets


def expected_ap(images: int) -> tuple[NDArray[np.int64], Array]:
    """E[AP] by number of positives and separation.

    Returns:
        Numbers of positives ``(K,)`` and the table ``(K, len(SEPARATIONS))``.
    """
    grown = np.geomspace(13, 0.8 * images, 24).astype(np.int64)
    counts = np.unique(np.concatenate([np.arange(1, 13), grown]))
    nodes, weights = np.polynomial.legendre.leggauss(140)
    least = np.log(1e-9)  # t = 1 − w, w on a logarithmic scale
    w = np.exp(least * (1 - nodes) / 2)
    weights = weights / 2 * -least * w
    normal, shares = np.polynomial.hermite_e.hermegauss(24)
    shares = shares / shares.sum()
    table = np.zeros((len(counts), len(SEPARATIONS)))
    for column, separation in enumerate(SEPARATIONS):
        for shift in (-HARD, HARD):
            x = normal + separation + shift
            q = _share_above(x, separation)[:, None]
            other, positive = np.log1p(-ndtr(-x)[:, None] * w), np.log1p(-q * w)
            for row, count in enumerate(counts):
                first = np.exp((count - 1) * positive)
                rest = (1 - w) * (count - 1) * q * np.exp((count - 2) * positive)
                inner = ((first + rest) * np.exp((images - count) * other)) @ weights
                table[row, column] += 0.5 * (shares * inner).sum()
    return counts, table


def _share_above(x: Array, separation: float) -> Array:
    result: Array = 0.5 * (ndtr(separation + HARD - x) + ndtr(separation - HARD - x))
    return result
