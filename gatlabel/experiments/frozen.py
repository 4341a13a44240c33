"""Runs on frozen features: build a head, train it in seconds, score it."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from gatlabel.baselines.classical import CLASSICAL, ClassicalClassifier, ClassicalOptions
from gatlabel.baselines.similarity.edges import similarity_graph
from gatlabel.experiments.config import SIMILARITY, Start
from gatlabel.experiments.fitting import Features, fit_head, predict
from gatlabel.experiments.graphs import complete_targets, make_graph, with_edges
from gatlabel.experiments.methods import Method
from gatlabel.experiments.optimizing import FitOptions
from gatlabel.experiments.outcome import (
    Condition,
    Outcome,
    Reasons,
    inference_microseconds,
    parameter_count,
)
from gatlabel.experiments.preparation import FrozenData, SplitFeatures
from gatlabel.experiments.similarity import chosen_similarity, control_of, reasons_of, share
from gatlabel.experiments.splits import share_of, split_for_tuning
from gatlabel.experiments.starting import linear_start
from gatlabel.features import FeatureFile, Kind
from gatlabel.graph import Cooccurrence, LabelGraph
from gatlabel.labels import UNKNOWN
from gatlabel.metrics import harden, mean_average_precision
from gatlabel.nn import HEADS, GraphAblatable, Head
from gatlabel.nn.options import HeadOptions
from gatlabel.targets import Targets
from gatlabel.training.config import TrainConfig

Rows = NDArray[np.int64]
TIMED = 256  # batch size for timing inference


@cache
def _opened(file: FeatureFile) -> NDArray[Any]:
    return file.open()


class Trained(NamedTuple):
    """A trained head.

    Attributes:
        head: The head.
        scale: Divisor of its features.
        seconds: Training time.
        similarity: What was chosen for the graph ``similarity``, and why.
    """

    head: Head
    scale: float
    seconds: float
    similarity: Reasons = ()


@dataclass(frozen=True)
class FrozenBackend:
    """Trains heads on features stored on disk; small enough to be sent to another process.

    Attributes:
        data: Features and targets.
        train: Options of all runs.
        heads: Options of the heads, by name.
        fit: Options of the fit; trials change some of them.
        start: Initialisation of linear classifiers, alone or in other heads.
    """

    data: FrozenData
    train: TrainConfig
    heads: Mapping[str, HeadOptions]
    fit: FitOptions
    start: Start = "ridge"

    def tune(
        self, method: Method, condition: Condition, options: dict[str, float], seed: int
    ) -> float:
        """Trains once and returns the mAP on the tuning split."""
        rows: Rows = np.arange(len(self.data.train.targets))
        if self.data.tune is None:
            rows, judged = split_for_tuning(self.data.train.targets, seed, self.data.train.groups)
            split = self.data.train
        else:
            split, judged = self.data.tune, np.arange(len(self.data.tune.targets))
        trained = self._trained(method, condition, options, seed, rows)
        head = trained.head
        features = Features(self._array(split, head), judged, trained.scale)
        targets = harden(split.targets[judged])
        return mean_average_precision(predict(head, features), targets).value

    def run(
        self,
        method: Method,
        condition: Condition,
        options: dict[str, float],
        seed: int,
        ablate: bool,
    ) -> list[Outcome]:
        """Trains once and scores the reported split; with ``ablate`` also without edges."""
        rows = np.arange(len(self.data.train.targets))
        trained = self._trained(method, condition, options, seed, rows)
        head = trained.head
        features = Features(self._array(self.data.report, head), scale=trained.scale)
        batch = features[np.arange(min(TIMED, len(features)))]
        heads = {method: head}
        if ablate and isinstance(head, GraphAblatable):
            heads[dataclasses.replace(method, edges="ablated")] = head.without_edges().eval()
        return [
            Outcome(
                method,
                predict(each, features).numpy(),
                parameter_count(head),
                trained.seconds,
                inference_microseconds(each, batch),
                trained.similarity,
            )
            for method, each in heads.items()
        ]

    def _trained(
        self, method: Method, condition: Condition, options: dict[str, float], seed: int, rows: Rows
    ) -> Trained:
        groups = self.data.train.groups and [self.data.train.groups[row] for row in rows]
        part = share_of(self.data.train.targets[rows], condition.fraction, seed, groups)
        rows, groups = rows[part], groups and [groups[row] for row in part]
        targets = np.asarray(Targets(self.data.train.targets[rows]).mask(condition.masked, seed))
        # the graph is built from the training images and targets only
        counts = Cooccurrence.from_targets(targets, self.data.names)
        if method.head in CLASSICAL:
            return self._fitted(method, rows, targets, seed, groups)
        chosen = None
        if method.graph == SIMILARITY:
            pooled = torch.tensor(_opened(self.data.train.files["pooled"])[rows])
            known = torch.from_numpy(targets)
            edgeless = counts.graph("identity")
            treated = complete_targets(method, known, edgeless, counts, self.train, seed)
            observed = known if treated is None else treated.observed_targets()
            chosen = chosen_similarity(pooled, observed, counts, self._train(method), seed, groups)
            own: LabelGraph | None = similarity_graph(chosen, counts.labels, counts)
        else:
            own = make_graph(method.graph, counts) if method.graph else None
        graph = counts.graph("identity") if own is None else own
        file = self.data.train.files[_kind(method.head)]
        array = _opened(file)
        torch.manual_seed(seed)
        choice = None if chosen is None else control_of(chosen, method.edges, seed)
        edges = (
            with_edges(graph, method.edges, counts, seed)
            if choice is None
            else similarity_graph(choice, counts.labels, counts)
        )
        head = self._head(method, edges, array.shape[1])
        shares = choice is not None and share(head, choice)
        head.init_bias(torch.from_numpy(counts.base_rates))  # as in training, for every head
        features = Features(array, rows)
        known = torch.from_numpy(targets)
        completion = complete_targets(method, known, graph, counts, self.train, seed)
        ridge = self.start == "ridge" and not head.needs_map
        start = partial(linear_start, file, features, groups=groups) if ridge else None
        fit = dataclasses.replace(self.fit, **options)  # type: ignore[arg-type]
        seconds = fit_head(
            head, features, known, fit, seed, completion, start, groups=groups,
            choice=choice if shares else None,
        )  # fmt: skip
        reasons: Reasons = ()
        if chosen is not None:  # only linear classifiers start by the map
            used = chosen if shares and ridge else chosen.without_map()
            reasons = reasons_of(used, counts.labels)
        return Trained(head, features.scale, seconds, reasons)

    def _fitted(
        self,
        method: Method,
        rows: Rows,
        targets: NDArray[np.float32],
        seed: int,
        groups: Sequence[Hashable] | None,
    ) -> Trained:
        """Fits a classical method, as :meth:`_trained`."""
        features = Features(_opened(self.data.train.files["pooled"]), rows)
        options = self.heads[method.head]
        assert isinstance(options, ClassicalOptions)
        known = torch.from_numpy(targets)
        if method.unknown == "negative":
            known = torch.where(known == UNKNOWN, 0.0, known)
        began = time.perf_counter()
        classifier = ClassicalClassifier(options, seed)
        classifier.fit(features[np.arange(len(features))], known, groups)
        seconds = time.perf_counter() - began
        return Trained(classifier.as_head().eval(), features.scale, seconds)

    def _head(self, method: Method, graph: LabelGraph, width: int) -> Head:
        # heads without edges take the label names from the graph
        options = self.heads[method.head].arguments()
        return HEADS[method.head](width, graph=graph, **options)  # type: ignore[call-arg]

    def _train(self, method: Method) -> TrainConfig:
        return self.train.with_options({"head": self.heads[method.head]})

    def _array(self, split: SplitFeatures, head: Head) -> NDArray[Any]:
        return _opened(split.files[_kind(head.kind)])


def _kind(head: str) -> Kind:
    return "map" if head in HEADS and HEADS[head].needs_map else "pooled"
