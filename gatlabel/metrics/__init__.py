"""Multi-label metrics: functions, and torchmetrics classes on top of them.

Scores and targets are ``(N, L)``. Targets are 1, 0, or -1 for unknown; unknown entries are ignored.
Three protocols of average precision are in use and differ by several points. Every result
therefore states its protocol and which labels had no positive, and thus no AP:

    >>> import torch
    >>> from gatlabel.metrics import mean_average_precision
    >>> logits = torch.tensor([[3.0, 0.1, 2.0], [-1.0, 0.2, 1.0], [2.0, 0.3, 0.0]])
    >>> targets = torch.tensor([[1, 0, 0], [1, 1, 0], [0, 1, -1]])
    >>> for protocol in ("uninterpolated", "voc2010", "voc2007"):
    ...     print(mean_average_precision(logits, targets, protocol, labels=["a", "b", "c"]))
    mAP 0.9167 (uninterpolated, mean over 2 labels; without positives: c)
    mAP 0.9167 (voc2010, mean over 2 labels; without positives: c)
    mAP 0.9242 (voc2007, mean over 2 labels; without positives: c)

Ranking metrics should get logits: in float32, the sigmoid rounds confident predictions to 1.
Decisions need a threshold on probabilities. With ``logits=True``, the threshold is transformed
instead of the scores:

    >>> from gatlabel.metrics import f1_scores
    >>> scores = f1_scores(logits, targets, 0.5, logits=True)
    >>> round(scores.cf1, 3), round(scores.of1, 3), scores.rule
    (0.656, 0.545, 'p >= 0.5')

:func:`evaluate_scores` computes all metrics at once. The classes (``AveragePrecision``,
``MeanAveragePrecision``, ``AUROC``, ``F1Scores``, ``MultiLabelReport``) accumulate batches;
torchmetrics is imported on their first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gatlabel.lazy import lazy_names

if TYPE_CHECKING:
    from gatlabel.metrics.agreement import ce_loss
    from gatlabel.metrics.f1 import TOP_K_RULES, F1Result, f1_scores
    from gatlabel.metrics.inputs import harden
    from gatlabel.metrics.modules import (
        AUROC,
        AveragePrecision,
        CEMeasure,
        F1Scores,
        MeanAveragePrecision,
        MultiLabelReport,
    )
    from gatlabel.metrics.ranking import (
        AP_PROTOCOLS,
        MeanAPResult,
        average_precision,
        mean_average_precision,
    )
    from gatlabel.metrics.report import MetricsReport, evaluate_scores
    from gatlabel.metrics.roc import auroc, mean_auroc
    from gatlabel.metrics.sequences import edit_distance, sequence_metrics
else:
    __getattr__, __dir__ = lazy_names(__name__)

__all__ = [
    "AP_PROTOCOLS",
    "AUROC",
    "TOP_K_RULES",
    "AveragePrecision",
    "CEMeasure",
    "F1Result",
    "F1Scores",
    "MeanAPResult",
    "MeanAveragePrecision",
    "MetricsReport",
    "MultiLabelReport",
    "auroc",
    "average_precision",
    "ce_loss",
    "edit_distance",
    "evaluate_scores",
    "f1_scores",
    "harden",
    "mean_auroc",
    "mean_average_precision",
    "sequence_metrics",
]
