"""Chooses source and strength of similarity from the training set alone, in closed form."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from gatlabel.baselines.similarity import unseen as lolo
from gatlabel.baselines.similarity.choice import SimilarityChoice
from gatlabel.baselines.similarity.evidence import (
    MOST_STRENGTH,
    Evidence,
    Family,
    SourceEvidence,
    permutation_tests,
)
from gatlabel.baselines.similarity.held_out import HeldOut, fit, learnable
from gatlabel.baselines.similarity.label_map import MAP_PENALTIES, map_weights
from gatlabel.baselines.similarity.seen import ImageJudge, among
from gatlabel.baselines.similarity.sources import SimilaritySource, normalised
from gatlabel.errors import InputError

#: Chance that anything is chosen where names and targets mean nothing; half for either test.
LEVEL = 0.05
PERMUTATIONS = 999
#: A smaller strength is none: it would change nothing but the time that heads take.
LEAST_STRENGTH = 0.01
#: With fewer labels there are too few permutations to find anything.
LEAST_LABELS = 4


@torch.no_grad()
def choose_similarity(
    features: Tensor,
    targets: Tensor,
    sources: Sequence[SimilaritySource],
    *,
    seed: int = 0,
    permutations: int = PERMUTATIONS,
) -> SimilarityChoice:
    """Chooses which labels share classifiers, and how strongly.

    Two tests, each at half of :data:`LEVEL`, each corrected for the number of sources:

    - **Labels with positives**, by leave-one-image-out: does the error of images left out fall as
      the strength leaves 0 (:class:`~gatlabel.baselines.similarity.seen.ImageJudge`)? It must fall
      more than under permuted names, and beyond chance over images.
    - **Labels without**, by leave-one-label-out: do the classifiers of similar labels order a
      label's images better than those of permuted names
      (:mod:`~gatlabel.baselines.similarity.unseen`)?

    The strength is that of the least squared error, times the share of the effect that its
    uncertainty leaves (:meth:`~gatlabel.baselines.similarity.evidence.Family.shrinkage`). Where
    nothing is found it is 0.

    Args:
        features: ``(N, D)``, of the training images.
        targets: ``(N, L)`` in [0, 1], -1 for unknown.
        sources: The candidates; see :func:`candidate_sources`.
        seed: Of folds and permutations.
        permutations: Number of random permutations.

    Raises:
        InputError: If features, targets or a source do not fit each other, or there are fewer than
            99 permutations.
    """
    _check(features, targets, sources, permutations)
    held = fit(features, targets)
    if held is None or int(held.seen.sum()) < LEAST_LABELS or not sources:
        return _choice(targets, ())
    judge = ImageJudge(held, features, targets, seed)
    seen = _judge_seen(judge, sources, permutations, seed)
    unseen = _judge_unseen(held, sources, permutations, seed)
    evidence = tuple(
        SourceEvidence(source.name, seen[source.name], found.evidence, found.rule)
        if (found := unseen.get(source.name))
        else SourceEvidence(source.name, seen[source.name])
        for source in sources
    )
    by_name = {source.name: source for source in sources}
    best = max(seen, key=lambda name: seen[name].strength * seen[name].effect)
    best_unseen = max(unseen, key=lambda name: unseen[name].gain, default=None)
    return _choice(
        targets,
        evidence,
        None if seen[best].strength == 0 else (by_name[best], seen[best].strength),
        None if best_unseen is None else unseen[best_unseen],
        features,
    )


@dataclass(frozen=True)
class _Unseen:
    """What leave-one-label-out found of one source, by its better rule."""

    source: SimilaritySource
    rule: str
    prediction: Tensor  # (L, L)
    evidence: Evidence
    gain: float


def _judge_seen(
    judge: ImageJudge, sources: Sequence[SimilaritySource], permutations: int, seed: int
) -> dict[str, Evidence]:
    tests = [judge.test(source) for source in sources]
    family = permutation_tests([test.pairs for test in tests], permutations, LEVEL / 2, seed)
    z = torch.minimum(family.z, torch.tensor([test.z for test in tests]).double())
    kept = family.shrinkage(z)
    labels = len(judge.share)
    found = {}
    for at, (source, test) in enumerate(zip(sources, tests, strict=True)):
        strength = _strength(family, at, float(kept[at]), test.best)
        if strength and source.matrix is not None:
            similarity = among(source.matrix, judge.held.seen)
            strength *= judge.lowers_error(similarity, strength)
        found[source.name] = _evidence(family, at, float(z[at]), strength, labels, 2 / labels)
    return found


def _judge_unseen(
    held: HeldOut, sources: Sequence[SimilaritySource], permutations: int, seed: int
) -> dict[str, _Unseen]:
    candidates = [
        (source, rule, prediction)
        for source in sources
        if source.matrix is not None
        for rule, prediction in _predictions(source, held.seen)
    ]
    if not candidates:
        return {}
    table, weights = lolo.rank_table(held), lolo.label_weights(held)
    inside = [prediction[held.seen][:, held.seen] for _, _, prediction in candidates]
    pairs = [[lolo.pair_of(prediction, table, weights)] for prediction in inside]
    family = permutation_tests(pairs, permutations, LEVEL / 2, seed)
    kept = family.shrinkage(family.z)
    found: dict[str, _Unseen] = {}
    labels = int((~table.isnan()).any(1).sum())
    reference: dict[str, Tensor] = {}
    for at, (source, rule, prediction) in enumerate(candidates):
        best = lolo.slope(held, inside[at])
        strength = _strength(family, at, float(kept[at]), best)
        one = _evidence(family, at, float(family.z[at]), strength, labels, 1.0, 0.5)
        aucs = lolo.label_aucs(held, inside[at])
        gain = float((weights * (aucs - 0.5).nan_to_num()).sum()) if strength else 0.0
        known = found.get(source.name)
        if known is None or _beats(gain, known.gain, aucs, reference[source.name], weights):
            found[source.name] = _Unseen(source, rule, prediction, one, gain)
            reference[source.name] = aucs
    return found


def _beats(gain: float, other: float, aucs: Tensor, others: Tensor, weights: Tensor) -> bool:
    """Whether a further rule is better by more than the standard error over labels."""
    if other == 0 or gain == 0:
        return gain > other
    difference = (aucs - others).nan_to_num()
    mean = float((weights * difference).sum())
    error = float((weights * (difference - mean)).square().sum().sqrt())
    return mean > error


def _predictions(source: SimilaritySource, seen: Tensor) -> list[tuple[str, Tensor]]:
    """Ways to predict the classifier of a label from those of the seen ones, ``(L, L)``."""
    assert source.matrix is not None
    ways = [("neighbours", normalised(source.matrix * seen))]
    if source.vectors is not None:
        maps = [map_weights(source.vectors, seen, penalty) for penalty in MAP_PENALTIES]
        ways += [("map", weights) for weights in maps]
    return ways


def _strength(family: Family, at: int, kept: float, best: float) -> float:
    strength = min(kept * best, MOST_STRENGTH)
    return strength if float(family.p[at]) <= LEVEL / 2 and strength >= LEAST_STRENGTH else 0.0


def _evidence(
    family: Family, at: int, z: float, strength: float, labels: int, unit: float, offset: float = 0
) -> Evidence:
    return Evidence(
        unit * float(family.own[at]) + offset,
        unit * float(family.mean[at]) + offset,
        unit * float(family.sd[at]),
        z,
        float(family.p[at]),
        strength,
        labels,
    )


def _choice(
    targets: Tensor,
    evidence: tuple[SourceEvidence, ...],
    seen_choice: tuple[SimilaritySource, float] | None = None,
    unseen_choice: _Unseen | None = None,
    features: Tensor | None = None,
) -> SimilarityChoice:
    labels = targets.shape[1]
    seen = learnable(targets.double())
    similarity = torch.zeros(labels, labels, dtype=torch.float64)
    prediction = torch.zeros_like(similarity)
    if seen_choice is not None and features is not None:
        whole = normalised(seen_choice[0].at(features, targets) * seen)
        similarity[seen] = whole[seen]
    if unseen_choice is not None and unseen_choice.evidence.strength:
        assert unseen_choice.source.matrix is not None
        similarity[~seen] = normalised(unseen_choice.source.matrix * seen)[~seen]
        prediction[~seen] = unseen_choice.prediction[~seen]
    else:
        unseen_choice = None
    return SimilarityChoice(
        None if seen_choice is None else seen_choice[0].name,
        0.0 if seen_choice is None else seen_choice[1],
        None if unseen_choice is None else unseen_choice.source.name,
        0.0 if unseen_choice is None else unseen_choice.evidence.strength,
        "neighbours" if unseen_choice is None else unseen_choice.rule,
        evidence,
        seen,
        targets.double().clamp(min=0).sum(0),
        similarity,
        prediction,
    )


def _check(
    features: Tensor, targets: Tensor, sources: Sequence[SimilaritySource], permutations: int
) -> None:
    if features.ndim != 2 or targets.ndim != 2 or len(features) != len(targets):
        raise InputError(
            f"the choice of similarity takes features (N, D) and targets (N, L) of the same "
            f"images, got {tuple(features.shape)} and {tuple(targets.shape)}"
        )
    if permutations < 99:
        raise InputError(f"permutations={permutations}: expected at least 99")
    names = [source.name for source in sources]
    for source in sources:
        if names.count(source.name) > 1:
            raise InputError(f"two similarity sources are called {source.name!r}: rename one")
        for part in (source.matrix, source.vectors):
            if part is not None and len(part) != targets.shape[1]:
                raise InputError(
                    f"similarity source {source.name!r} is for {len(part)} labels, the targets "
                    f"have {targets.shape[1]}"
                )
