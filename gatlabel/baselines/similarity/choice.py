"""The chosen similarity: its source, its strength, and how labels share classifiers by it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from gatlabel.baselines.similarity.evidence import Evidence, SourceEvidence
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
        rule: How these are predicted: ``neighbours`` or ``map``
            (:func:`~gatlabel.baselines.similarity.label_map.map_weights`).
        evidence: What the tests found, by source.
        seen: bool ``(L,)``: labels with a known presence and a known absence.
        positives: float64 ``(L,)``, known presences.
        similarity: float64 ``(L, L)``, row = target: the weights of similar labels, sum 1 or 0;
            rows of labels that do not share are zero.
        prediction: float64 ``(L, L)``: weights of the seen labels' classifiers in those of labels
            without positives; other rows are zero.
    """

    source: str | None
    strength: float
    source_unseen: str | None
    strength_unseen: float
    rule: str
    evidence: tuple[SourceEvidence, ...]
    seen: Tensor
    positives: Tensor
    similarity: Tensor
    prediction: Tensor

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
            _line("with positives", self.source, self.strength, "seen", self.evidence),
            _line(
                "without positives", self.source_unseen, self.strength_unseen, "unseen",
                self.evidence, self.rule,
            ),
        ]  # fmt: skip

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


def _line(
    which: str, source: str | None, strength: float, test: str,
    evidence: tuple[SourceEvidence, ...], rule: str = "neighbours",
) -> str:  # fmt: skip
    found = {one.name: getattr(one, test) for one in evidence if getattr(one, test) is not None}
    start = f"similarity, labels {which}: "
    if source is not None:
        how = ", by a map from vectors to classifiers" if rule == "map" else ""
        return f"{start}{source}, strength {strength:.2f}{how} ({_figures(found[source], test)})"
    if not found:
        return f"{start}none, no source to test"
    best = min(found, key=lambda name: (found[name].p, -found[name].z))
    return f"{start}none; nearest was {best} ({_figures(found[best], test)})"


def _figures(one: Evidence, test: str) -> str:
    what = "image-out: gain" if test == "seen" else "label-out: AUC"
    return (
        f"leave-one-{what} {one.effect:.3f}, under permuted names {one.null_mean:.3f} ± "
        f"{one.null_sd:.3f}, p {one.p:.3f}, {one.labels} labels"
    )
