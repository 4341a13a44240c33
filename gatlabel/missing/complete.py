"""Completion: unknown labels become targets if image and label graph indicate their presence."""

from __future__ import annotations

import torch
from torch import Tensor

from gatlabel.errors import InputError
from gatlabel.graph import LabelGraph
from gatlabel.labels import ABSENT
from gatlabel.missing.base import Completion, label_rates
from gatlabel.missing.evidence import neighbour_evidence, neighbour_weights
from gatlabel.nn.heads.shared_classifier import (
    SIMILARITY_WEIGHT,
    ClassifierMixing,
    weights_by_presences,
)
from gatlabel.targets import Targets

LEAST_RATE = 1e-6  # keeps log-odds finite if labels are never or always present


class Complete(Completion):
    r"""Sets unknown targets to present if the image and the known labels indicate it.

    The estimate of an unknown entry is the E-step of a conditional random field over the labels of
    an image. It adds to the model's logit, computed from the image, the evidence of the known
    labels along the edges of the label graph:

    .. math:: \operatorname{logit} q_{ni} = z_{ni} + \sum_{j \to i,\; j \text{ known}}
              w_{ij} (y_{nj} - \pi_j),

    with the label frequencies pi among the known entries. The weights w are fitted once to the
    known entries (:func:`~gatlabel.missing.evidence.neighbour_weights`). In the M-step, entries
    with ``q > threshold`` get the target ``sigmoid(sharpness * logit q)``, and all others stay
    unknown: likely presences are few and informative, the remaining entries many and uninformative.

    Wrong presences teach the model to find more wrong ones, so their number is bounded: at most
    ``share * π_i * #unknown`` entries of label i are filled in, those with the highest estimates.
    No entry is filled in before ``warmup``, when logits are still unreliable; afterwards every
    update decides again.

    Without edges this is self-training on the image alone. With all labels known it equals
    ``ignore``.

    On a graph of **similarity** (``graph.relation``), edges also indicate which classifiers are
    similar. A linear classifier fitted to these targets, and its estimates, then use the prior
    :meth:`mixing_matrix` (:func:`~gatlabel.baselines.ridge.ridge_start`).

    **Only presences known** (single positive labels): if no entry is known to be absent, label
    frequencies are undetermined, and ignoring unknown entries would make every label present
    everywhere. An image is then assumed to have ``positives`` labels on average, divided among the
    labels like the known ones. That frequency (at most 0.5) is the initial target of unknown
    entries; entries found present later are raised above it.

    Args:
        targets: See :class:`Completion`.
        graph: The graph whose edges contribute evidence; without one, only the image is used.
        warmup: Share of training before anything is filled in, at least 0 and below 1.
        share: Maximum number of entries filled in, relative to the expected number of presences;
            above 0 and at most 1.
        threshold: Lower bound of the estimate for filling in, at least 0.5 and below 1.
        sharpness: Factor on the log-odds of an estimate used as a target, at least 1.
        shrinkage: Shrinkage of the weights w, above 0; see :func:`neighbour_weights`.
        neighbours: Maximum number of in-neighbours per label, at least 1.
        positives: Mean number of labels per image if only presences are known; above 0.
        similarity_weight: Weight of similar labels in a classifier on a graph of similarity: at
            least 0 and below 1; smaller for labels with known presences
            (:func:`weights_by_presences`).

    Raises:
        InputError: As :class:`Completion`, or if an option is out of range.
    """

    def __init__(
        self,
        targets: Targets | Tensor,
        graph: LabelGraph | None = None,
        *,
        warmup: float = 0.4,
        share: float = 0.5,
        threshold: float = 0.5,
        sharpness: float = 2.0,
        shrinkage: float = 1.0,
        neighbours: int = 16,
        positives: float = 2.0,
        similarity_weight: float = SIMILARITY_WEIGHT,
    ) -> None:
        super().__init__(targets, graph)
        for name, value, fits, range_ in (
            ("warmup", warmup, 0 <= warmup < 1, "at least 0 and below 1"),
            ("share", share, 0 < share <= 1, "above 0 and at most 1"),
            ("threshold", threshold, 0.5 <= threshold < 1, "at least 0.5 and below 1"),
            ("sharpness", sharpness, sharpness >= 1, "at least 1"),
            ("shrinkage", shrinkage, shrinkage > 0, "above 0"),
            ("neighbours", neighbours, neighbours >= 1, "at least 1"),
            ("positives", positives, positives > 0, "above 0"),
            (
                "similarity_weight",
                similarity_weight,
                0 <= similarity_weight < 1,
                "at least 0 and below 1",
            ),
        ):
            if not fits:
                raise InputError(f"completion: {name}={value}: must be {range_}")
        self.warmup, self.share = warmup, share
        self.threshold, self.sharpness = threshold, sharpness
        self.only_present = bool(self.known.any()) and bool((self.targets[self.known] == 1).all())
        if self.only_present and not bool(self.known.all()):
            self.rates = _assumed_rates(self.known, positives)
            self.evidence = torch.zeros_like(
                self.targets
            )  # association cannot be estimated without absences
            self.targets = torch.where(self.known, self.targets, self.rates)
        else:
            rates = label_rates(self.targets, self.known)
            self.rates = rates.clamp(LEAST_RATE, 1 - LEAST_RATE)
            self.evidence = self._evidence(graph, shrinkage, neighbours)
        self._unfilled = self.targets
        self._mixing = None
        if (
            graph is not None
            and graph.relation == "similarity"
            and graph.num_edges
            and similarity_weight
        ):
            shown = torch.where(self.known, self.targets, 0.0).sum(0)
            each = weights_by_presences(similarity_weight, shown)
            self._mixing = ClassifierMixing(
                graph.edge_index, graph.edge_weight, len(graph.names), each
            )

    def observed_targets(self) -> Tensor:
        """Returns known targets, and absences if only presences are known.

        Classifiers then separate an image with a label from all others; the assumed frequency of
        the label only shifts the latter. See :meth:`Completion.observed_targets`.
        """
        if self.only_present:
            return torch.where(self.known, self.targets, ABSENT)
        return super().observed_targets()

    def mixing_matrix(self) -> Tensor | None:
        """Returns how similar labels share classifiers; see :meth:`Completion.mixing_matrix`."""
        return None if self._mixing is None else self._mixing.matrix()

    def _evidence(self, graph: LabelGraph | None, shrinkage: float, neighbours: int) -> Tensor:
        if graph is None or graph.num_edges == 0 or bool(self.known.all()):
            return torch.zeros_like(self.targets)
        values = torch.where(self.known, self.targets - self.rates, 0.0)
        edges, weights = neighbour_weights(
            values, self.targets, self.known, self.rates, graph,
            shrinkage=shrinkage, neighbours=neighbours,
        )  # fmt: skip
        return neighbour_evidence(values, edges, weights)

    def log_odds(self, logits: Tensor | None = None) -> Tensor:
        """Combines image and graph, as log-odds.

        Args:
            logits: The model's ``(N, L)``; by default the labels' frequencies replace the image.

        Returns:
            float32 ``(N, L)``, on the CPU; values of known entries are not used.
        """
        image = torch.logit(self.rates) if logits is None else logits.detach().cpu().float()
        return image + self.evidence

    def update(self, logits: Tensor, progress: float) -> None:
        """Decides which unknown entries are present; see :meth:`Completion.update`.

        Entries of images without logits (NaN) keep their targets.
        """
        super().update(logits, progress)
        if progress < self.warmup or not len(logits):
            return
        belief = self.log_odds(logits)
        seen = ~belief.isnan()
        judged = torch.where(seen & ~self.known, belief, -torch.inf)
        found = judged > torch.maximum(
            self._least(judged), torch.logit(torch.tensor(self.threshold))
        )
        now = torch.where(found, torch.sigmoid(self.sharpness * belief), self._unfilled)
        self.targets = torch.where(seen, now, self.targets)

    def estimates(self, logits: Tensor) -> Tensor:
        """Returns ``q`` of unknown entries; see :meth:`Completion.estimates`.

        For images without logits (NaN) it returns the current targets.
        """
        belief = self.log_odds(logits)
        fixed = self.known | belief.isnan()
        return torch.where(fixed, self.targets, belief.sigmoid())

    def _least(self, judged: Tensor) -> Tensor:
        """Returns the lower bound of each label's estimates that limits their number: ``(L,)``."""
        expected = self.rates * (judged > -torch.inf).sum(0)
        most = (self.share * expected).round().long().clamp(max=len(judged) - 1)
        return judged.sort(0, descending=True).values.gather(0, most[None])[0]


def _assumed_rates(known: Tensor, positives: float) -> Tensor:
    """Divides the assumed number of labels per image in proportion to the known ones: ``(L,)``."""
    count = known.sum(0).float()
    return (positives * count / count.sum()).clamp(LEAST_RATE, 0.5)
