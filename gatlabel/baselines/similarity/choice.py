"""The chosen similarity: its source, its strength, and the resulting mixing matrix."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from gatlabel.baselines.similarity.evidence import Evidence, SourceEvidence
from gatlabel.labels import LabelSet
from gatlabel.nn.heads.shared_classifier import weights_by_presences

#: Maximum number of labels named in an explanation.
NAMED = 5
#: The two groups of labels in explanations. A label present in every image is in the second.
WITH, WITHOUT = (f"{word} known presences and absences" for word in ("with", "without"))


@dataclass(frozen=True, eq=False)
class SimilarityChoice:
    """Which labels share classifiers, and how strongly.

    Attributes:
        source: The source for seen labels, or ``None``.
        strength: κ of a label without known presences, at least 0 and below 1; a label with n
            presences has ``κ · 3 / (3 + n)``. At 0 the classifiers are the independent ones.
        source_unseen: The source for all other labels, or ``None``.
        strength_unseen: Its strength.
        map_penalty: Penalty of the map from label vectors to classifiers
            (:func:`~gatlabel.baselines.similarity.label_map.map_weights`); ``None`` if labels that
            are not seen get the average of similar labels' classifiers.
        evidence: Results of the tests, by source.
        seen: bool ``(L,)``: labels with a known presence and a known absence.
        positives: float64 ``(L,)``, known presences.
        similarity: float64 ``(L, L)``, row = target: weights of similar labels, with row sums 1 or
            0; rows of labels that do not share are zero. Heads use it even if a map is used for
            prediction.
        prediction: float64 ``(L, L)``: weights of the seen labels' classifiers in those of other
            labels; rows of seen labels are zero.
        reason: Why no test was made, if so.
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
        """The predictor of classifiers of labels not seen: ``neighbours`` or ``map``."""
        return "neighbours" if self.map_penalty is None else "map"

    @property
    def linear(self) -> bool:
        """Whether no labels share, so that the classifiers are the independent ones."""
        return self.strength == 0 and self.strength_unseen == 0

    def strengths(self) -> Tensor:
        """Returns κ of each label, float64 ``(L,)``; 0 for labels without similar ones."""
        shares = torch.as_tensor(weights_by_presences(self.strength, self.positives))
        strength = torch.where(self.seen, shares, self.strength_unseen)
        return torch.where(self.similarity.any(1), strength, 0.0)

    def without_map(self) -> SimilarityChoice:
        """Returns the choice with averages of similar labels' classifiers in place of the map."""
        averages = torch.where(self.seen[:, None], 0.0, self.similarity)
        return replace(self, map_penalty=None, prediction=averages)

    def sharing(self) -> Tensor | None:
        """Returns C, float64 ``(L, L)``, of classifiers ``C V``; ``None`` if none share."""
        if self.linear:
            return None
        identity = torch.eye(len(self.seen), dtype=torch.float64)
        return identity + self.strengths()[:, None] * self.similarity

    def explain(self, labels: LabelSet | None = None) -> list[str]:
        """Returns one line each for seen and other labels: the choice and its reason.

        Args:
            labels: The L labels; if given, the second line names those that are not seen.
        """
        return [
            f"similarity, labels {which}: {text}" for which, text in self.reasons(labels).items()
        ]

    def reasons(self, labels: LabelSet | None = None) -> dict[str, str]:
        """Returns the choice and its reason by the labels that it is for, seen ones first.

        Args:
            labels: The L labels; if given, those that are not seen are named.
        """
        without = ""
        if labels is not None and not self.seen.all():
            names = [labels[int(i)] for i in (~self.seen).nonzero()[:, 0]]
            more = ", …" if len(names) > NAMED else ""
            without = f" ({len(names)}: {', '.join(names[:NAMED])}{more})"
        return {
            WITH: self._reason(self.source, self.strength, "seen"),
            f"{WITHOUT}{without}": self._reason(self.source_unseen, self.strength_unseen, "unseen"),
        }

    def by_label(self, labels: LabelSet) -> dict[str, dict[str, float]]:
        """Returns the weights of other labels' classifiers in those of each label that shares.

        Args:
            labels: The L labels.

        Returns:
            ``κ_i s_ij`` by the names of i and j, in descending order.
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
        """Returns the choice and the test results as JSON values."""
        return {
            "source": self.source,
            "strength": self.strength,
            "source_unseen": self.source_unseen,
            "strength_unseen": self.strength_unseen,
            "rule": self.rule,
            "labels_seen": int(self.seen.sum()),
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

    def _reason(self, source: str | None, strength: float, test: str) -> str:
        tests = {one.name: getattr(one, test) for one in self.evidence}
        found: dict[str, Evidence] = {n: one for n, one in tests.items() if one is not None}
        if source is not None:
            mapped = test == "unseen" and self.rule == "map"
            how = ", by a map from vectors to classifiers" if mapped else ""
            numbers = f" ({_numbers(found[source], test)})" if source in found else ""
            return f"{source}, strength {strength:.2f}{how}{numbers}"
        if not found:
            return f"none ({self.reason or 'no source to test'})"
        best = min(found, key=lambda name: (found[name].p, -found[name].z))
        return f"none; closest was {best} ({_numbers(found[best], test)})"


def _numbers(one: Evidence, test: str) -> str:
    what = "image-out: gain" if test == "seen" else "label-out: AUC"
    return (
        f"leave-one-{what} {one.effect:.3f}, under permuted names {one.null_mean:.3f} ± "
        f"{one.null_sd:.3f}, p {one.p:.3f}, {one.labels} labels"
    )
