"""Assembles a choice of similarity from the selected sources."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from gatlabel.baselines.similarity.choice import SimilarityChoice
from gatlabel.baselines.similarity.evidence import SourceEvidence
from gatlabel.baselines.similarity.held_out import learnable
from gatlabel.baselines.similarity.label_map import predictions
from gatlabel.baselines.similarity.sources import normalised


@dataclass(frozen=True, eq=False)
class Used:
    """A selected source with its strength.

    Attributes:
        name: The source.
        strength: At least 0 and below 1.
        similarity: ``(L, L)``, row = target.
        vectors: ``(L, F)``, if any.
    """

    name: str
    strength: float
    similarity: Tensor
    vectors: Tensor | None = None


def assembled(
    targets: Tensor,
    seen_by: Used | None = None,
    unseen_by: Used | None = None,
    map_penalty: float | None = None,
    *,
    evidence: tuple[SourceEvidence, ...] = (),
    reason: str = "",
) -> SimilarityChoice:
    """Assembles a choice from its parts, which :func:`choose_similarity` finds.

    Args:
        targets: ``(N, L)``, -1 for unknown.
        seen_by: The source for labels with known presences and absences.
        unseen_by: The source for all other labels.
        map_penalty: See :class:`SimilarityChoice`.
        evidence: Results of the tests.
        reason: Why no test was made.
    """
    seen = learnable(targets)
    similarity = torch.zeros(len(seen), len(seen), dtype=torch.float64)
    prediction = torch.zeros_like(similarity)
    if seen_by is not None:
        similarity[seen] = normalised(seen_by.similarity * seen)[seen]
    if unseen_by is not None:
        similarity[~seen] = normalised(unseen_by.similarity * seen)[~seen]
        found = predictions(unseen_by.similarity, unseen_by.vectors, seen, map_penalty)
        prediction[~seen] = found[~seen]
    return SimilarityChoice(
        None if seen_by is None else seen_by.name,
        0.0 if seen_by is None else seen_by.strength,
        None if unseen_by is None else unseen_by.name,
        0.0 if unseen_by is None else unseen_by.strength,
        None if unseen_by is None else map_penalty,
        evidence,
        seen,
        targets.double().clamp(min=0).sum(0),
        similarity,
        prediction,
        reason,
    )
