"""Runs both tests on all sources: their results and the supported strengths."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from gatlabel.baselines.similarity import unseen as lolo
from gatlabel.baselines.similarity.evidence import (
    MOST_STRENGTH,
    Evidence,
    permutation_tests,
)
from gatlabel.baselines.similarity.held_out import HeldOut
from gatlabel.baselines.similarity.label_map import MAP_PENALTIES, predictions
from gatlabel.baselines.similarity.seen import ImageTester, among
from gatlabel.baselines.similarity.sources import SimilaritySource

#: Probability of a false choice for labels with known presences and absences, and for the others,
#: if names and targets are uninformative. The larger share goes to the test where similarity gains
#: most.
LEVEL_SEEN, LEVEL_UNSEEN = 0.005, 0.025
#: Smaller strengths are set to 0, since they would only cost computing time.
LEAST_STRENGTH = 0.01
#: Largest number of tested labels for maps: a map has one weight per pair of labels, all
#: of which change in every permutation.
MOST_MAPPED = 600


@dataclass(frozen=True)
class UnseenResult:
    """Result of leave-one-label-out for one source, by its better rule."""

    source: SimilaritySource
    map_penalty: float | None
    evidence: Evidence
    gain: float  # AUC of the predicted classifiers themselves, minus ½

    @property
    def rule(self) -> str:
        """The predictor of classifiers."""
        return "neighbours" if self.map_penalty is None else "map"


def evaluate_seen(
    tester: ImageTester, sources: Sequence[SimilaritySource], permutations: int, seed: int
) -> dict[str, Evidence]:
    """Runs leave-one-image-out for labels with known presences and absences; results by source."""
    tests = [tester.test(source) for source in sources]
    family = permutation_tests([test.pairs for test in tests], permutations, LEVEL_SEEN, seed)
    z = torch.minimum(family.z, torch.tensor([test.z for test in tests]).double())
    kept = family.shrinkage(z)
    labels = len(tester.share)
    found = {}
    for at, (source, test) in enumerate(zip(sources, tests, strict=True)):
        strength = _strength(float(kept[at]), test.best)
        if strength and source.matrix is not None:
            similarity = among(source.matrix, tester.held.seen)
            strength *= tester.lowers_error(similarity, strength)
        unit = 2 / labels
        found[source.name] = Evidence(
            unit * float(family.own[at]), unit * float(family.mean[at]),
            unit * float(family.sd[at]), float(z[at]), float(family.p[at]), strength, labels,
        )  # fmt: skip
    return found


def evaluate_unseen(
    held: HeldOut, sources: Sequence[SimilaritySource], permutations: int, seed: int
) -> dict[str, UnseenResult]:
    """Runs leave-one-label-out for all other labels; results by source."""
    candidates = [
        (source, penalty, predictions(source.matrix, source.vectors, held.seen, penalty))
        for source in sources
        if source.matrix is not None
        for penalty in (None, *_map_penalties(source, held))
    ]
    if not candidates:
        return {}
    tables, weights = lolo.pair_tables(held), lolo.label_weights(held)
    inside = [prediction[held.seen][:, held.seen] for _, _, prediction in candidates]
    family, shown = (
        permutation_tests(
            [[lolo.pair_of(prediction, table, weights)] for prediction in inside],
            permutations, LEVEL_UNSEEN, seed,
        )
        for table in tables
    )  # fmt: skip
    kept = family.shrinkage(family.z)
    found: dict[str, UnseenResult] = {}
    labels = int(held.seen.sum())
    reference: dict[str, Tensor] = {}
    for at, (source, penalty, _) in enumerate(candidates):
        best = lolo.slope(held, inside[at])
        strength = _strength(float(kept[at]), best)
        one = Evidence(
            float(shown.own[at]) + 0.5, float(shown.mean[at]) + 0.5, float(shown.sd[at]),
            float(family.z[at]), float(family.p[at]), strength, labels,
        )  # fmt: skip
        aucs = lolo.label_aucs(held, inside[at])
        gain = float((weights * (aucs - 0.5).nan_to_num()).sum()) if strength else 0.0
        known = found.get(source.name)
        if known is None or _beats(gain, known.gain, aucs, reference[source.name], weights):
            found[source.name] = UnseenResult(source, penalty, one, gain)
            reference[source.name] = aucs
    return found


def _map_penalties(source: SimilaritySource, held: HeldOut) -> tuple[float, ...]:
    """Returns the penalties of maps to try; none without vectors or with too many labels."""
    mapped = source.vectors is not None and len(held.positives) <= MOST_MAPPED
    return MAP_PENALTIES if mapped else ()


def _beats(gain: float, other: float, aucs: Tensor, others: Tensor, weights: Tensor) -> bool:
    """Whether another rule is better by more than one standard error over labels."""
    if other == 0 or gain == 0:
        return gain > other
    difference = (aucs - others).nan_to_num()
    mean = float((weights * difference).sum())
    error = float((weights * (difference - mean)).square().sum().sqrt())
    return mean > error


def _strength(kept: float, best: float) -> float:
    """Returns the strength of least error times its shrinkage, between 0 and the maximum."""
    strength = min(kept * best, MOST_STRENGTH)
    return strength if strength >= LEAST_STRENGTH else 0.0
