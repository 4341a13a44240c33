"""Episodes of few-shot learning on features, for every learner and number of shots."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from gatlabel.baselines.moments import Moments
from gatlabel.baselines.ridge import ridge_start
from gatlabel.baselines.similarity.label_map import predictions
from gatlabel.baselines.similarity.sources import SimilaritySource
from gatlabel.errors import InputError
from gatlabel.fewshot.episode_file import EpisodeFile, EpisodeRecord, fingerprint
from gatlabel.fewshot.episodes import support_rows
from gatlabel.fewshot.learners import ZERO_SHOT, Knowledge, scorer_of
from gatlabel.fewshot.options import FewShotOptions
from gatlabel.fewshot.results import FewShotResult
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
from gatlabel.metrics import average_precision, harden
from gatlabel.targets import PRESENT_FROM, Targets

#: Options that episodes depend on; their number is none.
_PLAN = ("shots", "novel", "learners", "with_novel", "seed")


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


@torch.no_grad()
def run_episodes(
    data: LabelledFeatures,
    source: SimilaritySource | None,
    options: FewShotOptions,
    kept: EpisodeFile | None = None,
) -> FewShotResult:
    """Runs every learner in every episode.

    In each episode, novel labels are unknown in all training images except the support images,
    whose novel labels are all known. Base classifiers, penalties and strengths are learned without
    the novel labels.

    Args:
        data: Features and targets.
        source: Which labels are similar; ``None`` leaves out the learner ``similar``.
        options: What to run.
        kept: Finished episodes, which are not run again; further ones are added to it.

    Raises:
        InputError: If no label has enough images, or nothing can learn from zero shots.
    """
    learners = [n for n in options.learners if n != "similar" or source is not None]
    asked = [(n, K) for K in options.shots for n in learners if K or n in ZERO_SHOT]
    if not asked:
        raise InputError("zero shots need the learner similar, and a similarity between labels")
    episodes = [] if kept is None else kept.finished[: options.episodes]
    for number in range(len(episodes), options.episodes):
        one = _episode(data, source, options, asked, number)
        if kept is not None:
            kept.add(one)
        episodes = [*episodes, one]
    return FewShotResult.of(episodes, _protocol(options))


def episodes_key(
    data: LabelledFeatures, source: SimilaritySource | None, options: FewShotOptions
) -> str:
    """Returns what identifies the episodes of a measurement, whose number may differ."""
    plan = {name: value for name, value in options.to_dict().items() if name in _PLAN}
    alike = () if source is None else (source.name, source.matrix, source.vectors)
    parts = (data.features, data.targets, data.judged, data.judged_targets)
    return fingerprint(repr(plan), repr(list(data.labels)), *parts, *alike)


def _episode(
    data: LabelledFeatures,
    source: SimilaritySource | None,
    options: FewShotOptions,
    asked: Sequence[tuple[str, int]],
    episode: int,
) -> EpisodeRecord:
    split = _split(data, options, episode)
    wanted = harden(data.judged_targets[:, list(split.novel)])
    rows = np.arange(len(data.judged))
    if options.judged_with_novel:
        rows = with_any(wanted.numpy())
    values, positives = {}, {}
    found, strengths = _knowledge(data, source, options, split, episode)
    for K, known in zip(options.shots, found, strict=True):
        count = (known.targets >= PRESENT_FROM).double().sum(0)
        positives[K] = float(count.mean()) if len(known.targets) else 0.0
        for name in (name for name, shots in asked if shots == K):
            scores = scorer_of(name, known)(data.judged[rows])
            values[name, K] = float(average_precision(scores, wanted[rows]).nanmean())
    novel = [data.labels[place] for place in split.novel]
    return EpisodeRecord(novel, values, positives, strengths)


def _split(data: LabelledFeatures, options: FewShotOptions, episode: int) -> LabelSplit:
    known, judged, most = Targets(data.targets), Targets(data.judged_targets), max(options.shots)
    if isinstance(options.novel, float):
        return drawn_split(known, judged, most, options.novel, options.seed, episode)
    if options.is_laso:
        split = laso_split(data.labels)
    else:
        split = named_split(data.labels, options.novel_names)
    return require_images(known, judged, data.labels, split, most)


def _knowledge(
    data: LabelledFeatures,
    source: SimilaritySource | None,
    options: FewShotOptions,
    split: LabelSplit,
    episode: int,
) -> tuple[list[Knowledge], Strengths]:
    """What learners know in one episode, by the number of shots, and what was chosen for it."""
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
        with_novel=options.judged_with_novel,
        seed=options.seed + episode,
    )
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
                population=chosen.population[K],
            )
        )
    return found, chosen


def _protocol(options: FewShotOptions) -> tuple[str, ...]:
    judged = "with at least one novel label" if options.judged_with_novel else "of the judged split"
    share = isinstance(options.novel, float)
    which = "drawn again in each episode" if share else "the same in every episode"
    return (
        f"mean over novel labels of uninterpolated AP on the images {judged}; novel labels are "
        f"{which}, and unknown in base training",
        f"{options.episodes} episodes of seed {options.seed}; 95 % t intervals over episodes, "
        "differences paired by episode; all episodes share the evaluation images, so the "
        "intervals do not include their sampling error",
    )
