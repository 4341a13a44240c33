"""The chosen similarity: its source, its strength, and how labels share classifiers by it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from gatlabel.baselines.similarity.evidence import Evidence, SourceEvidence
from gatlabel.baselines.similarity.held_out import learnable
from gatlabel.baselines.similarity.label_map import predictions
from gatlabel.baselines.similarity.sources import normalised
from gatlabel.nn.heads.kin import kinship_of


@dataclass(frozen=True, eq=False)
class SimilarityChoice:
    """Which labels share classifiers, and how strongly.

    Attributes:
        source: The source for labels with positives, or ``None``.
        strength: κ of a label without known presences, at least 0 and below 1; one with n has
            ``κ · 3 / (3 + n)``. At 0 classifiers are exactly the linear ones.
        source_unseen: The source for labels without positives, or ``None``.
        strength_unseen: Theirs.
        map_penalty: Penalty of the map from vectors to classifiers that predicts these
            (:func:`~gatlabel.baselines.similarity.label_map.map_weights`); ``None`` where they have
            the average of similar labels' classifiers.
        evidence: What the tests found, by source.
        seen: bool ``(L,)``: labels with a known presence and a known absence.
        positives: float64 ``(L,)``, known presences.
        similarity: float64 ``(L, L)``, row = target: the weights of similar labels, sum 1 or 0;
            rows of labels that do not share are zero.
        prediction: float64 ``(L, L)``: weights of the seen labels' classifiers in those of labels
            without positives; other rows are zero.
        reason: Why nothing was tested, where nothing was.
    """

    source: str | None
    strength: float
    source_unseen: str | None
    strength_unseen: float
    map_penalty: float | None
    evidence: tuple[SourceEvidence, ...]
    seen: Tensor
    positives: Tensor
    similarity: Tensor
    prediction: Tensor
    reason: str = ""

    @property
    def rule(self) -> str:
        """What predicts the classifiers of labels without positives: ``neighbours`` or ``map``."""
        return "neighbours" if self.map_penalty is None else "map"

    @property
    def linear(self) -> bool:
        """Whether no label shares, so that classifiers are exactly the linear ones."""
        return self.strength == 0 and self.strength_unseen == 0

    def strengths(self) -> Tensor:
        """Returns κ of each label, float64 ``(L,)``; 0 for a label without similar ones."""
        shares = torch.as_tensor(kinship_of(self.strength, self.positives))
        strength = torch.where(self.seen, shares, self.strength_unseen)
        return torch.where(self.similarity.any(1), strength, 0.0)

    def sharing(self) -> Tensor | None:
        """Returns C ``(L, L)``, float64: classifiers are ``C V``; ``None`` where none share."""
        if self.linear:
            return None
        identity = torch.eye(len(self.seen), dtype=torch.float64)
        return identity + self.strengths()[:, None] * self.similarity

    def explain(self) -> list[str]:
        """Returns one line for labels with positives, one for labels without: what and why."""
        return [
            self._line("with positives", self.source, self.strength, "seen"),
            self._line("without positives", self.source_unseen, self.strength_unseen, "unseen"),
        ]

    def record(self) -> dict[str, Any]:
        """Returns what was chosen and found, as JSON values."""
        return {
            "source": self.source,
            "strength": self.strength,
            "source_unseen": self.source_unseen,
            "strength_unseen": self.strength_unseen,
            "rule": self.rule,
            "labels_with_positives": int(self.seen.sum()),
            "labels": len(self.seen),
            "evidence": [
                {
                    "name": one.name,
                    "rule": one.rule,
                    "seen": vars(one.seen),
                    "unseen": None if one.unseen is None else vars(one.unseen),
                }
                for one in self.evidence
            ],
        }

    def _line(self, which: str, source: str | None, strength: float, test: str) -> str:
        tests = {one.name: getattr(one, test) for one in self.evidence}
        found: dict[str, Evidence] = {n: one for n, one in tests.items() if one is not None}
        start = f"similarity, labels {which}: "
        if source is not None:
            mapped = test == "unseen" and self.rule == "map"
            how = ", by a map from vectors to classifiers" if mapped else ""
            figures = f" ({_figures(found[source], test)})" if source in found else ""
            return f"{start}{source}, strength {strength:.2f}{how}{figures}"
        if not found:
            return f"{start}none ({self.reason or 'no source to test'})"
        best = min(found, key=lambda name: (found[name].p, -found[name].z))
        return f"{start}none; nearest was {best} ({_figures(found[best], test)})"


@dataclass(frozen=True, eq=False)
class Used:
    """A source that is used, at a strength.

    Attributes:
        name: The source.
        strength: At least 0 and below 1.
        similarity: ``(L, L)``, row = target.
        vectors: ``(L, F)``, if it has some.
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
    """Makes a choice of its parts; :func:`choose_similarity` finds them.

    Args:
        targets: ``(N, L)``, -1 for unknown.
        seen_by: For labels with positives.
        unseen_by: For labels without.
        map_penalty: See :class:`SimilarityChoice`.
        evidence: What the tests found.
        reason: Why nothing was tested.
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


def _figures(one: Evidence, test: str) -> str:
    what = "image-out: gain" if test == "seen" else "label-out: AUC"
    return (
        f"leave-one-{what} {one.effect:.3f}, under permuted names {one.null_mean:.3f} ± "
        f"{one.null_sd:.3f}, p {one.p:.3f}, {one.labels} labels"
    )
