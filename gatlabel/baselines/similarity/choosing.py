"""Chooses source and strength of similarity from the training set alone, in closed form."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import torch
from torch import Tensor

from gatlabel.baselines.similarity.assembly import Used, assembled
from gatlabel.baselines.similarity.choice import WITH, SimilarityChoice
from gatlabel.baselines.similarity.evidence import Evidence, SourceEvidence
from gatlabel.baselines.similarity.held_out import fit, learnable
from gatlabel.baselines.similarity.judging import UnseenResult, evaluate_seen, evaluate_unseen
from gatlabel.baselines.similarity.seen import ImageTester
from gatlabel.baselines.similarity.sources import SimilaritySource
from gatlabel.errors import InputError

PERMUTATIONS = 999
#: With fewer labels there are too few permutations for significance.
LEAST_LABELS = 4
#: With more labels, tables of pairs would take gigabytes.
MOST_LABELS = 4000


@torch.no_grad()
def choose_similarity(
    features: Tensor,
    targets: Tensor,
    sources: Sequence[SimilaritySource],
    *,
    groups: Sequence[Hashable] | None = None,
    seed: int = 0,
    permutations: int = PERMUTATIONS,
) -> SimilarityChoice:
    """Chooses which labels share classifiers, and how strongly.

    Two tests, with a total level of 3 % (:mod:`~gatlabel.baselines.similarity.judging`), each
    corrected for the number of sources:

    - **Labels with known presences and absences**, by leave-one-image-out: does the error on
      left-out images decrease as the strength leaves 0
      (:class:`~gatlabel.baselines.similarity.seen.ImageTester`)? It must decrease more than under
      permuted names, and significantly over images.
    - **All other labels**, by leave-one-label-out: do the classifiers of similar labels
      separate a label's images better than those under permuted names
      (:mod:`~gatlabel.baselines.similarity.unseen`)?

    The strength is that of the least squared error, times the shrinkage of the effect for its
    uncertainty (:meth:`~gatlabel.baselines.similarity.evidence.Family.shrinkage`). Without a
    significant effect it is 0.

    Args:
        features: ``(N, D)``, of the training images.
        targets: ``(N, L)`` in [0, 1], -1 for unknown.
        sources: The candidates; see :func:`candidate_sources`.
        groups: The group of each image, N values; images of one group are left out together.
        seed: Seed of folds and permutations.
        permutations: Number of random permutations.

    Raises:
        InputError: If features, targets or a source do not match each other, or there are fewer
            than 99 permutations.
    """
    _check(features, targets, sources, permutations)
    seen_labels = learnable(targets)
    count = int(seen_labels.sum())
    if not sources:
        return assembled(targets, reason="no source to test")
    if not LEAST_LABELS <= count <= MOST_LABELS:
        return assembled(
            targets,
            reason=f"{count} labels {WITH}, the tests need {LEAST_LABELS} to {MOST_LABELS}",
        )
    held = fit(features, targets, groups)
    assert held is not None
    tester = ImageTester(held, features, targets, seed)
    seen = evaluate_seen(tester, sources, permutations, seed)
    unseen = evaluate_unseen(held, sources, permutations, seed)
    by_name = {source.name: source for source in sources}
    best = max(seen, key=lambda name: seen[name].strength * seen[name].effect)
    best_unseen = max(unseen.values(), key=lambda found: found.gain, default=None)
    return assembled(
        targets,
        _used(by_name[best], seen[best].strength, features, targets),
        None
        if best_unseen is None
        else _used(best_unseen.source, best_unseen.evidence.strength, features, targets),
        None if best_unseen is None else best_unseen.map_penalty,
        evidence=tuple(_evidence_of(name, seen, unseen) for name in by_name),
    )


def _used(
    source: SimilaritySource, strength: float, features: Tensor, targets: Tensor
) -> Used | None:
    if strength == 0:
        return None
    return Used(source.name, strength, source.at(features, targets), source.vectors)


def _evidence_of(
    name: str, seen: dict[str, Evidence], unseen: dict[str, UnseenResult]
) -> SourceEvidence:
    if name not in unseen:
        return SourceEvidence(name, seen[name])
    return SourceEvidence(name, seen[name], unseen[name].evidence, unseen[name].rule)


def _check(
    features: Tensor, targets: Tensor, sources: Sequence[SimilaritySource], permutations: int
) -> None:
    if features.ndim != 2 or targets.ndim != 2 or len(features) != len(targets):
        raise InputError(
            f"the choice of similarity expects features (N, D) and targets (N, L) of the same "
            f"images, got {tuple(features.shape)} and {tuple(targets.shape)}"
        )
    if not features.isfinite().all():
        raise InputError("the choice of similarity expects finite features, but some are not")
    if permutations < 99:
        raise InputError(f"permutations={permutations}: expected at least 99")
    names = [source.name for source in sources]
    for source in sources:
        if names.count(source.name) > 1:
            raise InputError(f"two similarity sources have the name {source.name!r}: rename one")
        for part in (source.matrix, source.vectors):
            if part is not None and len(part) != targets.shape[1]:
                raise InputError(
                    f"similarity source {source.name!r} is for {len(part)} labels, the targets "
                    f"have {targets.shape[1]}"
                )
