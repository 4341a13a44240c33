"""The weights of the learner ``similar``, chosen on base labels that are treated as novel."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import t as student
from torch import Tensor

from gatlabel.baselines.moments import Moments
from gatlabel.baselines.ridge import ridge_start
from gatlabel.baselines.similarity.sources import normalised
from gatlabel.fewshot.episodes import support_rows
from gatlabel.fewshot.learners import Knowledge, Scorer, lda, similar
from gatlabel.fewshot.splits import with_any
from gatlabel.metrics import average_precision, harden

#: Candidate λ of ``lda``, in units of the features' mean square.
PENALTIES = (1.0, 3.0, 10.0, 30.0, 100.0, 300.0)
#: Candidate α of ``similar``.
WEIGHTS = (0.0, 0.1, 0.2, 0.3)
#: Candidate γ of ``similar``.
POPULATIONS = (0.0, 0.3, 3.0)
#: γ unless another is better. Where only images with a novel label are judged, other training
#: images are not what a novel label has to be told from.
DEFAULT, DEFAULT_WITH_NOVEL = 0.3, 0.0
#: Chance of leaving the default γ without reason: one standard error, if labels are many.
LEVEL = 0.16
#: Gains of α below this many standard errors over labels are ignored.
CRITICAL = 2.0
#: λ if there are too few base labels to choose it.
DEFAULT_PENALTY = 100.0
GROUPS = 8
MOST_IMAGES = 4000


@dataclass(frozen=True)
class Strengths:
    """The strengths chosen on the base labels.

    Attributes:
        penalty: λ of ``lda``, in squared units of the features.
        weight: α of ``similar``, by the number of shots.
        population: γ of ``similar``, by the number of shots.
    """

    penalty: float
    weight: dict[int, float]
    population: dict[int, float] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Trial:
    """A group of base labels that plays the novel ones, at one number of shots."""

    shots: int
    labels: list[int]
    known: Knowledge
    features: Tensor
    targets: Tensor

    def precision(self, scorer: Scorer) -> NDArray[np.float64]:
        """Average precision of each label of the group, NaN where there is none."""
        found: NDArray[np.float64] = average_precision(scorer(self.features), self.targets).numpy()
        return found


@torch.no_grad()
def choose_strengths(
    features: Tensor,
    targets: Tensor,
    similarity: Tensor,
    shots: Sequence[int],
    novel: int,
    *,
    with_novel: bool = False,
    seed: int = 0,
) -> Strengths:
    """Chooses the strengths of ``lda`` and ``similar`` from base labels alone.

    Training images are halved. Groups of base labels play the novel ones: they are shown by K
    images each of the first half, from which the classifiers of the other base labels come too, and
    average precision on the second half decides. λ has the largest mean. So has γ, unless a t-test
    over labels leaves it at its default (one-sided, at ``LEVEL``). α has the largest mean gain over
    α = 0, times the share ``(1 − 4 / z²)₊`` that chance over labels leaves, z being the gain over
    its standard error.

    Args:
        features: ``(N, D)`` of the training images.
        targets: ``(N, B)`` of the base labels, -1 for unknown; soft labels are binarised.
        similarity: ``(B, B)``, row = target, of the base labels to each other.
        shots: The numbers of shots; 0 is not used.
        novel: Number of labels in a group.
        with_novel: Whether to evaluate only on images with a label of the group.
        seed: Seed of the halves and groups.
    """
    targets = harden(targets).to(targets.dtype)
    rng = np.random.default_rng([seed, 1])
    order = rng.permutation(len(features))[:MOST_IMAGES]
    first, second = order[: len(order) // 2], order[len(order) // 2 :]
    usual = DEFAULT_PENALTY * float(features.double().var(0, correction=0).mean())
    counts = [K for K in shots if K > 0]
    default = DEFAULT_WITH_NOVEL if with_novel else DEFAULT
    able = _able(targets, first, second, max(counts, default=1))
    if not counts or len(able) < 2 or targets.shape[1] < 3:
        return Strengths(usual, dict.fromkeys(shots, 0.0), dict.fromkeys(shots, default))
    trials = list(_trials(features, targets, similarity, counts, (first, second), able, novel,
                          usual, with_novel, rng))  # fmt: skip
    unit = Moments.of(features[first]).mean_square
    by_penalty = [
        sum(
            float(np.nanmean(t.precision(lda(replace(t.known, penalty=share * unit)))))
            for t in trials
        )
        for share in PENALTIES
    ]
    penalty = PENALTIES[int(np.nan_to_num(by_penalty).argmax())] * unit
    weights, populations = dict.fromkeys(shots, 0.0), dict.fromkeys(shots, default)
    for K in counts:
        mine = [replace(t, known=replace(t.known, penalty=penalty)) for t in trials if t.shots == K]
        populations[K] = _population(mine, default)
        found = _by_label(mine, [(populations[K], alpha) for alpha in WEIGHTS])
        weights[K] = _supported(found - found[:, :1])
    return Strengths(penalty, weights, populations)


def _trials(
    features: Tensor,
    targets: Tensor,
    similarity: Tensor,
    counts: Sequence[int],
    halves: tuple[NDArray[np.int64], NDArray[np.int64]],
    able: NDArray[np.int64],
    novel: int,
    penalty: float,
    with_novel: bool,
    rng: np.random.Generator,
) -> Iterator[Trial]:
    first, second = halves
    learned = ridge_start(features[first], targets[first]).weight.double()
    moments = Moments.of(features[first])
    for K in counts:
        for group, seeded in _groups(able, targets.shape[1], novel, rng):
            rest = np.setdiff1d(np.arange(targets.shape[1]), group)
            rows = first[support_rows(targets[first].numpy(), group.tolist(), K, seeded, 0)]
            suggested = normalised(similarity[group][:, rest]).double() @ learned[rest]
            shown = targets[rows][:, group]
            known = Knowledge(moments, features[rows], shown, suggested, penalty, 0.0)
            judged = second
            if with_novel:
                judged = second[with_any(targets[second][:, group].numpy())]
            yield Trial(K, group.tolist(), known, features[judged], targets[judged][:, group])


def _by_label(trials: Sequence[Trial], cases: Sequence[tuple[float, float]]) -> NDArray[np.float64]:
    """Average precision of ``similar`` for pairs γ, α, mean over trials: ``(labels, pairs)``."""
    found: dict[int, list[NDArray[np.float64]]] = {}
    for trial in trials:
        tried = [
            trial.precision(similar(replace(trial.known, population=gamma, weight=alpha)))
            for gamma, alpha in cases
        ]
        for label, values in zip(trial.labels, np.array(tried).T, strict=True):
            found.setdefault(label, []).append(np.nan_to_num(values))
    return np.array([np.mean(found[label], axis=0) for label in sorted(found)])


def _population(trials: Sequence[Trial], default: float) -> float:
    """Returns the γ with the largest mean, or the default if its gain may be chance."""
    found = _by_label(trials, [(gamma, 0.0) for gamma in POPULATIONS])
    best = int(found.mean(0).argmax())
    gains, count = found[:, best] - found[:, POPULATIONS.index(default)], len(found)
    if POPULATIONS[best] == default or count < 2:
        return default
    error = float(gains.std(ddof=1)) / count**0.5
    return POPULATIONS[best] if gains.mean() > student.isf(LEVEL, count - 1) * error else default


def _supported(gains: NDArray[np.float64]) -> float:
    """Returns α from the gains of labels over α = 0, ``(labels, weights)``."""
    mean = gains.mean(0)
    best = int(mean.argmax())
    error = float(gains[:, best].std(ddof=1)) / len(gains) ** 0.5 if len(gains) > 1 else np.inf
    if mean[best] <= CRITICAL * error:
        return 0.0
    return float(WEIGHTS[best] * (1 - (CRITICAL * error / mean[best]) ** 2))


def _able(
    targets: Tensor, first: NDArray[np.int64], second: NDArray[np.int64], shots: int
) -> NDArray[np.int64]:
    """Base labels with enough images in both halves."""
    present, absent = (targets == 1).numpy(), (targets == 0).numpy()
    enough = (present[first].sum(0) >= shots) & present[second].any(0) & absent[second].any(0)
    return np.flatnonzero(enough)


def _groups(
    able: NDArray[np.int64], labels: int, novel: int, rng: np.random.Generator
) -> Iterator[tuple[NDArray[np.int64], int]]:
    """Draws groups of labels, excluding at least one label, and a seed for each group."""
    size = max(2, min(novel, len(able), labels - 1, max(2, len(able) // 2)))
    for _ in range(GROUPS):
        yield np.sort(rng.choice(able, size, replace=False)), int(rng.integers(2**31))
