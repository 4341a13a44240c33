"""Pseudo-labels: the best and worst ranked unknown entries of each label become its targets."""

from __future__ import annotations

import torch
from torch import Tensor

from gatlabel.errors import InputError
from gatlabel.graph import LabelGraph
from gatlabel.labels import UNKNOWN
from gatlabel.missing.base import Completion, label_rates
from gatlabel.missing.complete import LEAST_RATE
from gatlabel.missing.evidence import neighbour_evidence, neighbour_weights
from gatlabel.targets import Targets


class Pseudo(Completion):
    r"""Class-aware pseudo-labels (CAP; Xie et al., NeurIPS 2023, section 3.2).

    Label i is assumed to be as frequent among its n unknown entries as among its known ones,
    :math:`\pi_i`. After every epoch the entries are ranked by the model's logit. Of the
    :math:`\pi_i n` first a share ``positives`` becomes present, of the others the last share
    ``negatives`` becomes absent, and the entries between stay unknown. Only ranks count, so the
    logits need no calibration.

    A label with :math:`\pi_i n < 1` gets no presence. (In the released code of CAP all of its
    entries become present.) Before ``warmup`` all unknown entries stay unknown.

    With ``by_graph`` entries are ranked by the posterior of image and label graph: the logit plus
    ``sum_j w_ij (p_j - pi_j)`` over the in-neighbours j of a label, with ``p_j`` the target where
    it is known and the model's probability where not. The weights are those of
    :func:`~gatlabel.missing.evidence.neighbour_weights`.

    Args:
        targets: See :class:`Completion`. Images without any label are rows of -1.
        graph: Used with ``by_graph`` only, which needs it.
        warmup: Share of training before entries are filled in, at least 0 and below 1.
        positives: Share of the assumed presences that is used, above 0 and at most 1.
        negatives: Share of the assumed absences that is used, above 0 and at most 1.
        by_graph: Whether to rank by image and label graph together.

    Raises:
        InputError: As :class:`Completion`, or if an option is out of range, the graph is missing,
            or no label has a known absence, so that frequencies cannot be estimated.
    """

    def __init__(
        self,
        targets: Targets | Tensor,
        graph: LabelGraph | None = None,
        *,
        warmup: float = 0.4,
        positives: float = 0.7,
        negatives: float = 0.7,
        by_graph: bool = False,
    ) -> None:
        super().__init__(targets, graph)
        if by_graph and graph is None:
            raise InputError(
                "pseudo-labels by graph need a label graph: give one, or omit by_graph"
            )
        for name, value, fits, range_ in (
            ("warmup", warmup, 0 <= warmup < 1, "at least 0 and below 1"),
            ("positives", positives, 0 < positives <= 1, "above 0 and at most 1"),
            ("negatives", negatives, 0 < negatives <= 1, "above 0 and at most 1"),
        ):
            if not fits:
                raise InputError(f"pseudo-labels: {name}={value}: must be {range_}")
        if bool(self.known.any()) and not bool((self.targets[self.known] < 1).any()):
            raise InputError(
                "pseudo-labels need known absences to estimate label frequencies, and there are "
                "only presences: use unknown=complete"
            )
        self.warmup, self.positives, self.negatives = warmup, positives, negatives
        self.rates = label_rates(self.targets, self.known).clamp(LEAST_RATE, 1 - LEAST_RATE)
        self._edges: tuple[Tensor, Tensor] | None = None
        if by_graph and graph is not None and graph.num_edges and not bool(self.known.all()):
            values = torch.where(self.known, self.targets - self.rates, 0.0)
            self._edges = neighbour_weights(values, self.targets, self.known, self.rates, graph)

    def scores(self, logits: Tensor) -> Tensor:
        """Returns the scores to rank entries by: float32 ``(N, L)``, NaN without logits."""
        scores = logits.detach().cpu().float()
        if self._edges is None:
            return scores
        chances = torch.where(self.known, self.targets, scores.sigmoid())
        values = torch.where(chances.isnan(), 0.0, chances - self.rates)
        return scores + neighbour_evidence(values, *self._edges)

    def update(self, logits: Tensor, progress: float) -> None:
        """Recomputes the pseudo-labels; see :meth:`Completion.update`.

        Entries of images without logits (NaN) keep their targets.
        """
        super().update(logits, progress)
        if progress < self.warmup or not len(logits):
            return
        scores = self.scores(logits)
        ranked = ~self.known & ~scores.isnan()
        count = ranked.sum(0)
        present = (self.rates * count).floor()
        first = (self.positives * present).round().clamp(min=(present > 0).float()).long()
        last = (self.negatives * (count - present)).floor().long()
        order = torch.where(ranked, scores, -torch.inf).argsort(dim=0, descending=True, stable=True)
        ranks = torch.empty_like(order).scatter_(
            0, order, torch.arange(len(order))[:, None].expand_as(order).contiguous()
        )
        chosen = torch.full_like(self.targets, UNKNOWN)
        chosen[ranks >= count - last] = 0.0
        chosen[ranks < first] = 1.0
        self.targets = torch.where(ranked, chosen, self.targets)

    def estimates(self, logits: Tensor) -> Tensor:
        """Returns probabilities of unknown entries; see :meth:`Completion.estimates`."""
        scores = self.scores(logits)
        return torch.where(self.known | scores.isnan(), self.targets, scores.sigmoid())
