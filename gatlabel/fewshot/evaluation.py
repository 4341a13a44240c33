"""Episodes of few-shot learning on features, for every learner and number of shots."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from scipy.special import stdtrit
from torch import Tensor

from gatlabel.baselines.moments import Moments
from gatlabel.baselines.ridge import ridge_start
from gatlabel.baselines.similarity.label_map import predictions
from gatlabel.baselines.similarity.sources import SimilaritySource
from gatlabel.errors import InputError, unknown_choice
from gatlabel.fewshot.episodes import support_rows
from gatlabel.fewshot.learners import LEARNERS, ZERO_SHOT, Knowledge, scorer_of
from gatlabel.fewshot.splits import (
    LabelSplit,
    drawn_split,
    laso_split,
    named_split,
    require_images,
    with_any,
)
from gatlabel.fewshot.strengths import Strengths, choose_strengths
from gatlabel.labels import UNKNOWN, LabelSet
from gatlabel.metrics import average_precision
from gatlabel.targets import Targets

#: The learners that ``similar`` is compared with.
COMPARED = ("ridge", "lda")


@dataclass(frozen=True, eq=False)
class LabelledFeatures:
    """Features and targets of one data set, for training and evaluation.

    Attributes:
        labels: The L labels.
        features: ``(N, D)`` of the training images.
        targets: ``(N, L)`` of the training images.
        judged: ``(J, D)``, features of the evaluation images.
        judged_targets: ``(J, L)`` of the evaluation images.
    """

    labels: LabelSet
    features: Tensor
    targets: Tensor
    judged: Tensor
    judged_targets: Tensor


@dataclass(frozen=True)
class FewShotOptions:
    """The options of few-shot episodes.

    Attributes:
        shots: Numbers of images per novel label, from 0.
        episodes: Number of episodes.
        novel: ``laso``, names of novel labels, or the share of labels that are drawn again in each
            episode.
        learners: Names in :data:`~gatlabel.fewshot.learners.LEARNERS`.
        with_novel: Evaluate only on images with at least one novel label, as LaSO does.
        seed: The same seed draws the same episodes.

    Raises:
        InputError: If a number is out of range or a learner unknown.
    """

    shots: tuple[int, ...] = (1, 2, 5, 10)
    episodes: int = 10
    novel: str | float | tuple[str, ...] = 0.25
    learners: tuple[str, ...] = tuple(LEARNERS)
    with_novel: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        if not self.shots or min(self.shots) < 0 or len(set(self.shots)) < len(self.shots):
            raise InputError(f"shots={self.shots}: give different numbers, at least 0")
        if self.episodes < 2:
            raise InputError(f"episodes={self.episodes}: an interval needs at least 2")
        if self.seed < 0:
            raise InputError(f"seed={self.seed}: must be at least 0")
        if isinstance(self.novel, float) and not 0 < self.novel < 1:
            raise InputError(f"novel={self.novel}: a share of labels is above 0 and below 1")
        for name in self.learners:
            if name not in LEARNERS:
                raise unknown_choice("learner", name, LEARNERS)


@dataclass(frozen=True)
class Interval:
    """A mean over episodes with its 95 % interval, in points."""

    mean: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Interval:
        """Student's t interval of values, one per episode."""
        found = np.asarray(values, dtype=np.float64)
        mean = float(found.mean())
        if len(found) < 2:
            return cls(mean, mean, mean)
        error = float(found.std(ddof=1)) / len(found) ** 0.5
        half = float(stdtrit(len(found) - 1, 0.975)) * error
        return cls(mean, mean - half, mean + half)


@dataclass(frozen=True, eq=False)
class FewShotResult:
    """The results of all episodes.

    Attributes:
        values: mAP of the novel labels, 0 to 1, by ``(learner, shots)``: one per episode.
        positives: Actual positives per novel label, by shots: one mean per episode.
        novel: Names of the novel labels, by episode.
        strengths: Strengths chosen on the base labels, by episode.
        protocol: The protocol, in sentences.
    """

    values: dict[tuple[str, int], list[float]]
    positives: dict[int, list[float]]
    novel: list[list[str]]
    strengths: list[Strengths] = field(default_factory=list)
    protocol: tuple[str, ...] = ()

    def interval(self, learner: str, shots: int) -> Interval:
        """Returns mAP in points, over episodes."""
        return Interval.of([100 * value for value in self.values[learner, shots]])

    def difference(self, other: str, shots: int, learner: str = "similar") -> Interval:
        """Returns the mAP of a learner minus that of another, paired by episode, in points."""
        pairs = zip(self.values[learner, shots], self.values[other, shots], strict=True)
        return Interval.of([100 * (ours - theirs) for ours, theirs in pairs])

    def rows(self) -> list[dict[str, Any]]:
        """One record per learner and number of shots."""
        found = []
        for (name, shots), values in self.values.items():
            one: dict[str, Any] = {
                "learner": name,
                "shots": shots,
                "positives": float(np.mean(self.positives[shots])),
                **vars(self.interval(name, shots)),
                "episodes": [round(100 * value, 4) for value in values],
            }
            for other in COMPARED:
                if name == "similar" and (other, shots) in self.values:
                    one[f"minus {other}"] = vars(self.difference(other, shots))
            found.append(one)
        return found

    def to_dict(self) -> dict[str, Any]:
        """Returns primitive values for JSON."""
        return {
            "rows": self.rows(),
            "novel": self.novel,
            "strengths": [
                {
                    "penalty": one.penalty,
                    "weight": {str(shots): weight for shots, weight in one.weight.items()},
                }
                for one in self.strengths
            ],
            "protocol": list(self.protocol),
        }


@torch.no_grad()
def run_episodes(
    data: LabelledFeatures,
    source: SimilaritySource | None,
    options: FewShotOptions,
    advance: Callable[[], None] = lambda: None,
) -> FewShotResult:
    """Runs every learner in every episode.

    In each episode, novel labels are unknown in all training images except the support images,
    whose novel labels are all known. Base classifiers, penalties and strengths are learned without
    the novel labels.

    Args:
        data: Features and targets.
        source: Which labels are similar; ``None`` leaves out the learner ``similar``.
        options: What to run.
        advance: Called after every episode.

    Raises:
        InputError: If no label has enough images, or nothing can learn from zero shots.
    """
    learners = [n for n in options.learners if n != "similar" or source is not None]
    asked = [(n, K) for K in options.shots for n in learners if K or n in ZERO_SHOT]
    if not asked:
        raise InputError("zero shots require the learner similar, and a similarity between labels")
    values: dict[tuple[str, int], list[float]] = {pair: [] for pair in asked}
    positives: dict[int, list[float]] = {K: [] for K in options.shots}
    novel: list[list[str]] = []
    strengths: list[Strengths] = []
    for episode in range(options.episodes):
        split = _split(data, options, episode)
        novel.append([data.labels[place] for place in split.novel])
        found = _episode(data, source, options, split, episode, strengths)
        for K, known in zip(options.shots, found, strict=True):
            count = known.targets.clamp(min=0).sum(0)
            positives[K].append(float(count.mean()) if len(known.targets) else 0.0)
            rows = np.arange(len(data.judged))
            wanted = data.judged_targets[:, list(split.novel)]
            if options.with_novel:
                rows = with_any(wanted.numpy())
            for name in learners:
                if (name, K) in values:
                    scores = scorer_of(name, known)(data.judged[rows])
                    precision = average_precision(scores, wanted[rows])
                    values[name, K].append(float(precision.nanmean()))
        advance()
    return FewShotResult(values, positives, novel, strengths, _protocol(options))


def _split(data: LabelledFeatures, options: FewShotOptions, episode: int) -> LabelSplit:
    known, judged, most = Targets(data.targets), Targets(data.judged_targets), max(options.shots)
    if isinstance(options.novel, float):
        return drawn_split(known, judged, most, options.novel, options.seed, episode)
    if options.novel == "laso":
        split = laso_split(data.labels)
    else:
        names = (options.novel,) if isinstance(options.novel, str) else options.novel
        split = named_split(data.labels, names)
    return require_images(known, judged, data.labels, split, most)


def _episode(
    data: LabelledFeatures,
    source: SimilaritySource | None,
    options: FewShotOptions,
    split: LabelSplit,
    episode: int,
    strengths: list[Strengths],
) -> list[Knowledge]:
    """Builds the inputs of the learners in one episode, by the number of shots."""
    base, novel = list(split.base), list(split.novel)
    known = torch.full_like(data.targets, UNKNOWN)  # novel labels are unknown, not absent
    known[:, base] = data.targets[:, base]
    start = ridge_start(data.features, known[:, base])
    own = torch.zeros(len(base), len(base), dtype=torch.float64)
    suggested = torch.zeros(len(novel), data.features.shape[1], dtype=torch.float64)
    if source is not None:
        similarity = source.at(data.features, known)
        own = similarity[base][:, base]
        seen = torch.zeros(len(data.labels), dtype=torch.bool)
        seen[base] = True
        weights = predictions(similarity, source.vectors, seen, None)[novel][:, base]
        suggested = weights @ start.weight.double()
    chosen = choose_strengths(
        data.features,
        known[:, base],
        own,
        options.shots,
        len(novel),
        with_novel=options.with_novel,
        seed=options.seed + episode,
    )
    strengths.append(chosen)
    moments = Moments.of(data.features)
    found = []
    for K in options.shots:
        rows = support_rows(data.targets.numpy(), novel, K, options.seed, episode)
        found.append(
            Knowledge(
                moments,
                data.features[rows],
                data.targets[rows][:, novel],
                suggested,
                chosen.penalty,
                chosen.weight[K],
                seed=options.seed + episode,
            )
        )
    return found


def _protocol(options: FewShotOptions) -> tuple[str, ...]:
    judged = "with at least one novel label" if options.with_novel else "of the evaluation split"
    share = isinstance(options.novel, float)
    which = "drawn again in each episode" if share else "the same in every episode"
    return (
        f"mean over novel labels of uninterpolated AP on the images {judged}; novel labels are "
        f"{which}, and unknown in base training",
        f"{options.episodes} episodes of seed {options.seed}; 95 % t intervals over episodes, "
        "differences paired by episode; all episodes share the evaluation images, so the "
        "intervals do not include their sampling error",
    )
