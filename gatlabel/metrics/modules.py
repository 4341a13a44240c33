"""Metrics that accumulate batches, as torchmetrics classes; the only importer of torchmetrics."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities.data import dim_zero_cat

from gatlabel.errors import InputError, unknown_choice
from gatlabel.losses.document import Form
from gatlabel.metrics.agreement import ce_loss
from gatlabel.metrics.f1 import (
    F1Result,
    confusion_counts,
    decide,
    f1_from_counts,
    rule_in_words,
)
from gatlabel.metrics.inputs import check_scores, precision_of
from gatlabel.metrics.ranking import (
    AP_PROTOCOLS,
    average_precision,
    mean_average_precision,
)
from gatlabel.metrics.report import MetricsReport, evaluate_scores
from gatlabel.metrics.roc import auroc


class _Collected(Metric):
    """Stores all scores and targets, since a ranking needs all of them at once."""

    full_state_update = False
    scores: list[Tensor]
    targets: list[Tensor]

    def __init__(self, label_count: int) -> None:
        super().__init__()
        self.label_count = label_count
        self.add_state("scores", default=[], dist_reduce_fx="cat")
        self.add_state("targets", default=[], dist_reduce_fx="cat")

    def update(self, scores: Tensor, targets: Tensor) -> None:
        """Adds a batch: scores ``(B, L)``, preferably logits, and targets ``(B, L)``.

        Raises:
            InputError: If the number of labels differs.
        """
        _check_labels(scores, targets, self.label_count)
        self.scores.append(scores.detach())
        self.targets.append(targets.detach())

    def _all(self) -> tuple[Tensor, Tensor]:
        if isinstance(self.scores, list) and not self.scores:
            nothing = torch.empty(0, self.label_count, device=self.device)
            return nothing, nothing
        return dim_zero_cat(self.scores), dim_zero_cat(self.targets)


class AveragePrecision(_Collected):
    """:func:`gatlabel.metrics.average_precision` over all batches: ``(L,)`` float64.

    Args:
        label_count: L.
        protocol: ``"uninterpolated"``, ``"voc2007"`` or ``"voc2010"``.
    """

    higher_is_better = True
    is_differentiable = False

    def __init__(self, label_count: int, protocol: str = "uninterpolated") -> None:
        super().__init__(label_count)
        if protocol not in AP_PROTOCOLS:
            raise unknown_choice("AP protocol", protocol, AP_PROTOCOLS)
        self.protocol = protocol

    def compute(self) -> Tensor:
        """Returns the AP of each label, NaN without positives."""
        return average_precision(*self._all(), self.protocol)


class MeanAveragePrecision(AveragePrecision):
    """:func:`gatlabel.metrics.mean_average_precision` over all batches: a float64 scalar.

    Args:
        label_count: L.
        protocol: ``"uninterpolated"``, ``"voc2007"`` or ``"voc2010"``.
    """

    def compute(self) -> Tensor:
        """Returns the mean AP over labels with positives."""
        value = mean_average_precision(*self._all(), self.protocol).value
        return torch.tensor(value, dtype=torch.float64, device=self.device)


class CEMeasure(_Collected):
    """:func:`gatlabel.metrics.ce_loss` of logits over all batches: a float64 scalar.

    Args:
        label_count: L.
        form: ``"printed"``, at most 0, or ``"well_posed"``, at least 0; 0 is optimal for both.
    """

    is_differentiable = False

    def __init__(self, label_count: int, form: Form = "printed") -> None:
        super().__init__(label_count)
        self.form: Form = form

    def compute(self) -> Tensor:
        """Returns the measure."""
        value = ce_loss(*self._all(), form=self.form, logits=True)
        return torch.tensor(value, dtype=torch.float64, device=self.device)


class AUROC(_Collected):
    """:func:`gatlabel.metrics.auroc` over all batches: ``(L,)`` float64.

    Args:
        label_count: L.
    """

    higher_is_better = True
    is_differentiable = False

    def compute(self) -> Tensor:
        """Returns the AUROC of each label, NaN where one class is missing."""
        return auroc(*self._all())


class MultiLabelReport(_Collected):
    """:func:`gatlabel.metrics.evaluate_scores` over all batches of logits.

    Args:
        labels: The L names.
        threshold: A probability.
        k: Number of labels per image for the top-k metrics.
    """

    def __init__(self, labels: Sequence[str], threshold: float = 0.5, k: int = 3) -> None:
        super().__init__(len(labels))
        self.labels = tuple(labels)
        self.threshold = threshold
        self.k = k

    def report(self) -> MetricsReport:
        """Returns the report over all batches of this process."""
        return evaluate_scores(*self._all(), self.labels, threshold=self.threshold, k=self.k)

    def compute(self) -> dict[str, Tensor]:
        """Returns the report's flat metrics as float64 scalars, for logging."""
        return _scalars(self.report().metrics, self.device)


class F1Scores(Metric):
    """:func:`gatlabel.metrics.f1_scores` over all batches; stores counts only.

    Args:
        label_count: L.
        threshold: A probability.
        logits: Whether scores are logits. The default is true, unlike that of the function, since
            networks return logits.
        k: Consider only the k best labels per image.
        top_k: ``"thresholded"`` or ``"plain"``.
    """

    full_state_update = False
    higher_is_better = True
    is_differentiable = False
    counts: Tensor

    def __init__(
        self,
        label_count: int,
        threshold: float = 0.5,
        *,
        logits: bool = True,
        k: int | None = None,
        top_k: str = "thresholded",
    ) -> None:
        super().__init__()
        self.threshold, self.logits, self.k, self.top_k = threshold, logits, k, top_k
        counts = torch.zeros(3, label_count, dtype=torch.int64)  # TP, FP, FN
        self.add_state("counts", default=counts, dist_reduce_fx="sum")

    def update(self, scores: Tensor, targets: Tensor) -> None:
        """Counts a batch: scores ``(B, L)`` and targets ``(B, L)`` of 1, 0, -1.

        Raises:
            InputError: If the number of labels differs, or as :func:`f1_scores`.
        """
        _check_labels(scores, targets, self.counts.shape[1])
        score, target = check_scores(scores, targets)
        decided = decide(
            score,
            target,
            self.threshold,
            logits=self.logits,
            k=self.k,
            top_k=self.top_k,
            precision=precision_of(scores),
        )
        self.counts += torch.stack(confusion_counts(decided, target))

    def compute(self) -> dict[str, Tensor]:
        """Returns CP, CR, CF1, OP, OR, OF1 as float64 scalars, for logging."""
        return _scalars(self.result().as_dict(), self.device)

    def result(self) -> F1Result:
        """Returns these and the numbers per label, over all batches of this process."""
        tp, fp, fn = self.counts.unbind()
        return f1_from_counts(tp, fp, fn, rule_in_words(self.threshold, self.k, self.top_k))


def _check_labels(scores: Tensor, targets: Tensor, label_count: int) -> None:
    # without this check, broadcasting would add the counts of one label to all
    if scores.ndim != 2 or scores.shape[1] != label_count or scores.shape != targets.shape:
        raise InputError(
            f"scores {tuple(scores.shape)} and targets {tuple(targets.shape)} must both be "
            f"(B, {label_count}), the number of labels of this metric"
        )


def _scalars(values: dict[str, float], device: torch.device) -> dict[str, Tensor]:
    # torchmetrics does not accept frozen dataclasses as results
    return {k: torch.tensor(v, dtype=torch.float64, device=device) for k, v in values.items()}
