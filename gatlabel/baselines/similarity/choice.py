"""The chosen similarity: its source, its strength, and how labels share classifiers by it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from gatlabel.baselines.similarity.evidence import Evidence, SourceEvidence
from gatlabel.labels import LabelSet
from gatlabel.nn.heads.shared_classifier import weights_by_presences

#: Labels that a line of explanation names.
NAMED = 5


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
            rows of labels that do not share are zero. Heads share along it, also where a map
            predicts.
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
        shares = torch.as_tensor(weights_by_presences(self.strength, self.positives))
        strength = torch.where(self.seen, shares, self.strength_unseen)
        return torch.where(self.similarity.any(1), strength, 0.0)

    def sharing(self) -> Tensor | None:
        """Returns C ``(L, L)``, float64: classifiers are ``C V``; ``None`` where none share."""
        if self.linear:
            return None
        identity = torch.eye(len(self.seen), dtype=torch.float64)
        return identity + self.strengths()[:, None] * self.similarity

    def explain(self, labels: LabelSet | None = None) -> list[str]:
        """Returns one line for labels with positives, one for labels without: what and why.

        Args:
            labels: The L labels; with them the second line names those without positives.
        """
        without = ""
        if labels is not None and not self.seen.all():
            names = [labels[int(i)] for i in (~self.seen).nonzero()[:, 0]]
            more = ", …" if len(names) > NAMED else ""
            without = f" ({len(names)}: {', '.join(names[:NAMED])}{more})"
        return [
            self._line("with positives", self.source, self.strength, "seen"),
            self._line(
                f"without positives{without}", self.source_unseen, self.strength_unseen, "unseen"
            ),
        ]

    def by_label(self, labels: LabelSet) -> dict[str, dict[str, float]]:
        """Returns, of each label that shares, how much of which label's classifier it takes.

        Args:
            labels: The L labels.

        Returns:
            ``κ_i s_ij`` by the names of i and j, the largest first.
        """
        weight = self.strengths()[:, None] * self.similarity
        found = {}
        for i in weight.any(1).nonzero()[:, 0].tolist():
            order = weight[i].argsort(descending=True, stable=True)
            found[labels[i]] = {
                labels[j]: float(weight[i, j]) for j in order.tolist() if weight[i, j]
            }
        return found

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


def _figures(one: Evidence, test: str) -> str:
    what = "image-out: gain" if test == "seen" else "label-out: AUC"
    return (
        f"leave-one-{what} {one.effect:.3f}, under permuted names {one.null_mean:.3f} ± "
        f"{one.null_sd:.3f}, p {one.p:.3f}, {one.labels} labels"
    )
