"""Both tests over all sources: what each found, and the strength that it supports."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from gatlabel.baselines.similarity import unseen as lolo
from gatlabel.baselines.similarity.evidence import (
    MOST_STRENGTH,
    Evidence,
    Family,
    permutation_tests,
)
from gatlabel.baselines.similarity.held_out import HeldOut
from gatlabel.baselines.similarity.label_map import MAP_PENALTIES, predictions
from gatlabel.baselines.similarity.seen import ImageJudge, among
from gatlabel.baselines.similarity.sources import SimilaritySource

#: Chance that anything is chosen where names and targets mean nothing; half for either test.
LEVEL = 0.05
#: A smaller strength is none: it would change nothing but the time that heads take.
LEAST_STRENGTH = 0.01


@dataclass(frozen=True)
class UnseenResult:
    """What leave-one-label-out found of one source, by its better rule."""

    source: SimilaritySource
    map_penalty: float | None
    evidence: Evidence
    gain: float  # AUC of the predicted classifiers themselves, above ½

    @property
    def rule(self) -> str:
        """What predicts classifiers."""
        return "neighbours" if self.map_penalty is None else "map"


def judge_seen(
    judge: ImageJudge, sources: Sequence[SimilaritySource], permutations: int, seed: int
) -> dict[str, Evidence]:
    """Leave-one-image-out for labels with positives, by the name of the source."""
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


def judge_unseen(
    held: HeldOut, sources: Sequence[SimilaritySource], permutations: int, seed: int
) -> dict[str, UnseenResult]:
    """Leave-one-label-out for labels without positives, by the name of the source."""
    candidates = [
        (source, penalty, predictions(source.matrix, source.vectors, held.seen, penalty))
        for source in sources
        if source.matrix is not None
        for penalty in ((None,) if source.vectors is None else (None, *MAP_PENALTIES))
    ]
    if not candidates:
        return {}
    table, weights = lolo.rank_table(held), lolo.label_weights(held)
    inside = [prediction[held.seen][:, held.seen] for _, _, prediction in candidates]
    pairs = [[lolo.pair_of(prediction, table, weights)] for prediction in inside]
    family = permutation_tests(pairs, permutations, LEVEL / 2, seed)
    kept = family.shrinkage(family.z)
    found: dict[str, UnseenResult] = {}
    labels = int((~table.isnan()).any(1).sum())
    reference: dict[str, Tensor] = {}
    for at, (source, penalty, _) in enumerate(candidates):
        best = lolo.slope(held, inside[at])
        strength = _strength(family, at, float(kept[at]), best)
        one = _evidence(family, at, float(family.z[at]), strength, labels, 1.0, 0.5)
        aucs = lolo.label_aucs(held, inside[at])
        gain = float((weights * (aucs - 0.5).nan_to_num()).sum()) if strength else 0.0
        known = found.get(source.name)
        if known is None or _beats(gain, known.gain, aucs, reference[source.name], weights):
            found[source.name] = UnseenResult(source, penalty, one, gain)
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
