"""Predictions of a model on a split, and their metrics."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from gatlabel.data import ImageSource
from gatlabel.decisions.decision import Decision
from gatlabel.deploy.exported_model import ExportedModel
from gatlabel.errors import InputError
from gatlabel.inference import predict_logits
from gatlabel.metrics import MetricsReport, evaluate_scores
from gatlabel.model import MultiLabelClassifier


@dataclass(frozen=True)
class Evaluation:
    """Predictions on one split with their metrics.

    Attributes:
        split: Name of the split.
        source: Images of the split.
        logits: float32 ``(N, L)`` on the CPU.
        targets: float32 ``(N, L)``.
        report: The metrics and their protocol.
        decision: The decision of the ``decision_`` metrics, if there is one.
    """

    split: str
    source: ImageSource
    logits: Tensor
    targets: Tensor
    report: MetricsReport
    decision: Decision | None = None


def evaluate(
    model: MultiLabelClassifier | ExportedModel,
    source: ImageSource,
    split: str,
    *,
    batch_size: int = 64,
    workers: int = 0,
) -> Evaluation:
    """Evaluates a model or an exported model on a split.

    Raises:
        InputError: If the split's labels are not the model's, or it has no images.
    """
    logits = predict_logits(model, source, batch_size=batch_size, workers=workers)
    return evaluation_of(logits, source, split, model.labels)


def evaluation_of(
    logits: Tensor, source: ImageSource, split: str, labels: Sequence[str]
) -> Evaluation:
    """Evaluates logits ``(N, L)`` for the images of a split.

    Raises:
        InputError: If the split has another label or no images.
    """
    targets = aligned_targets(source, labels)
    return Evaluation(split, source, logits, targets, evaluate_scores(logits, targets, labels))


def aligned_targets(source: ImageSource, labels: Sequence[str]) -> Tensor:
    """Returns the targets ``(N, L)`` of a source in the order of the given labels.

    Labels that the source does not have are unknown (-1).

    Raises:
        InputError: If the source has another label.
    """
    extra = [name for name in source.labels if name not in labels]
    if extra:
        names = ", ".join(repr(name) for name in extra[:10])
        more = f" and {len(extra) - 10} more" if len(extra) > 10 else ""
        raise InputError(
            f"the data has labels that the model does not have: {names}{more}; train a model with "
            "them, or exclude them by a classes file"
        )
    order = [source.labels.index(name) if name in source.labels else -1 for name in labels]
    return source.targets.columns(order).to_dense()
