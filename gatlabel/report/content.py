"""Contents of a report: plain values and arrays, independent of the kind of run."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from gatlabel.decisions.decision import Decision
from gatlabel.decisions.threshold_values import DEFAULT
from gatlabel.errors import InputError
from gatlabel.labels import LabelSet
from gatlabel.targets import Targets


class GraphLike(Protocol):
    """The fields of a label graph that the report uses."""

    @property
    def names(self) -> Sequence[str]:
        """The L label names, in the order of the label set."""

    @property
    def edge_index(self) -> Any:
        """``(2, E)``: row 0 sources, row 1 targets."""

    @property
    def edge_weight(self) -> Any:
        """``(E,)``: the prior weight of each edge."""


class LabelResult(NamedTuple):
    """Results for one label.

    Attributes:
        label: Its name.
        train_frequency: Share of the training images (with a known target) with the label, 0 to 1.
        positives: Images of the evaluated split with the label.
        ap: Average precision, 0 to 1, or NaN without positives.
        auroc: Area under the ROC curve, 0 to 1, or NaN.
        precision: Precision of the decision, 0 to 1, or NaN without predictions.
        recall: Recall of the decision, 0 to 1, or NaN without positives.
        f1: F1 of the decision, 0 to 1, or NaN without positives.
    """

    label: str
    train_frequency: float
    positives: int
    ap: float
    auroc: float = math.nan
    precision: float = math.nan
    recall: float = math.nan
    f1: float = math.nan


class Baseline(NamedTuple):
    """A baseline for the model's mAP.

    Attributes:
        name: Its name (``"linear head"``, ``"oracle"``).
        value: Its mAP on the same split under the same protocol, 0 to 1.
    """

    name: str
    value: float


class Sharing(NamedTuple):
    """A label with similar labels' classifiers in its own.

    Attributes:
        label: Its name.
        strength: Sum of their weights; that of its own classifier is 1.
        others: Number of similar labels.
        similar: The weights of those with the largest, in descending order.
    """

    label: str
    strength: float
    others: int
    similar: Mapping[str, float]


@dataclass(frozen=True)
class ReportContent:
    """The contents of one report. Only the first five fields and the predictions are required.

    Attributes:
        title: Heading of the report.
        data_name: Name of the data set.
        labels: The L labels.
        protocol: The protocol, in the order to print: ``{"AP": "uninterpolated",
            "labels left out": "none", "device": "cpu", …}``.
        metrics: Split -> metric -> value (NaN if undefined); ``"mAP"`` of the evaluated split is
            the headline.
        logits: ``(N, L)`` scores of the images to show; probability = sigmoid.
        targets: ``(N, L)``: 1 present, 0 absent, in between soft (present from 0.5), -1 unknown.
        ids: N names, one per image.
        thumbnail: Returns image ``index`` (0 to N - 1) as uint8 ``(3, height, width)``; called
            for the images on the page only (about 36). ``None`` shows names instead.
        split: Name of the evaluated split, to which the predictions and ``per_label`` belong.
        decision: From logits to label sets, with the data it was chosen on. Without one, a label
            counts as predicted from a probability of 0.5 on.
        curves: One row per epoch: ``{"epoch": 1, "train_loss": …, "val_mAP": …, "lr": …}``; any
            numeric keys, each drawn as a line. Keys may be missing in some rows.
        per_label: One row per label, in any order; may be empty.
        graph: The label graph, or ``None``.
        attention: Learned attention on each edge of ``graph``, ``(E,)`` or ``(E, H)`` by head:
            non-negative, summing to 1 over the in-neighbours of a label. ``None`` if not learned.
        baselines: Baselines on the same split, shown next to the headline.
        notes: Sentences about the data and the run.
        sharing: Labels that share classifiers with similar ones.

    Raises:
        InputError: If shapes or names do not match, or logits are NaN.
    """

    title: str
    data_name: str
    labels: LabelSet
    protocol: Mapping[str, str]
    metrics: Mapping[str, Mapping[str, float]]
    logits: ArrayLike | Tensor
    targets: ArrayLike | Tensor
    ids: Sequence[str]
    thumbnail: Callable[[int], Tensor] | None = None
    split: str = "val"
    decision: Decision | None = None
    curves: Sequence[Mapping[str, float]] = ()
    per_label: Sequence[LabelResult] = ()
    graph: GraphLike | None = None
    attention: ArrayLike | Tensor | None = None
    baselines: Sequence[Baseline] = ()
    notes: Sequence[str] = ()
    sharing: Sequence[Sharing] = ()

    def __post_init__(self) -> None:
        N, L = len(self.ids), len(self.labels)
        logits, targets = as_array(self.logits), as_array(self.targets)
        for what, values in (("logits", logits), ("targets", targets)):
            if values.shape != (N, L):
                raise InputError(
                    f"report: {what} have shape {values.shape}, expected {(N, L)}: "
                    "one row per image name, one column per label"
                )
        Targets(targets, self.labels)  # refuses values out of range
        if np.isnan(logits).any():
            row, column = (int(k) for k in np.argwhere(np.isnan(logits))[0])
            raise InputError(
                f"report: the logit of {self.ids[row]}, label {self.labels[column]!r}, is NaN: "
                "the model has diverged"
            )
        if self.decision is not None and self.decision.labels != self.labels:
            raise InputError("report: the decision's labels are not the report's, in this order")
        for result in self.per_label:
            self.labels.index(result.label)
        if self.graph is not None:
            self._check_graph(self.graph)
        elif self.attention is not None:
            raise InputError("report: attention needs the graph whose edges it belongs to")

    def _check_graph(self, graph: GraphLike) -> None:
        if tuple(graph.names) != self.labels.names:
            raise InputError("report: the graph's labels are not the report's, in this order")
        E = as_array(graph.edge_index).shape[1]
        if self.attention is None:
            return
        attention = as_array(self.attention)
        if attention.ndim not in (1, 2) or len(attention) != E or attention.shape[-1] == 0 < E:
            raise InputError(
                f"report: attention has shape {attention.shape}, expected ({E},) or ({E}, H): "
                "one row per edge of the graph"
            )
        if not (attention >= 0).all():  # also refuses NaN
            raise InputError("report: attention has negative or NaN weights")


def scored(content: ReportContent) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Returns logits ``(N, L)``, calibrated, and the thresholds ``(L,)`` of their probabilities."""
    logits, decision = as_array(content.logits), content.decision
    if decision is None:
        return logits, np.full(len(content.labels), DEFAULT)
    return decision.calibrated(logits), decision.limits


def as_array(values: Any) -> NDArray[np.float64]:
    """Returns an array-like, or a tensor on any device, as a float64 array."""
    if isinstance(values, Tensor):
        values = values.detach().cpu().double().numpy()
    return np.asarray(values, dtype=np.float64)
