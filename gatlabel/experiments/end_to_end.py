"""Runs that train encoder and head end to end, by the training recipe."""

from __future__ import annotations

import dataclasses
import functools
import operator
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass

import torch

from gatlabel.data import ImageSource
from gatlabel.devices import choose_device
from gatlabel.experiments.graphs import complete_targets, make_graph, with_edges
from gatlabel.experiments.methods import Method
from gatlabel.experiments.outcome import (
    Condition,
    Outcome,
    inference_microseconds,
    parameter_count,
)
from gatlabel.experiments.preparation import Task, read_task
from gatlabel.experiments.splits import share_of, split_for_tuning
from gatlabel.graph import Cooccurrence
from gatlabel.inference import device_of, outputs, predict_logits, whole_images
from gatlabel.metrics import harden, mean_average_precision
from gatlabel.model import MultiLabelClassifier
from gatlabel.nn import GraphAblatable
from gatlabel.nn.options import HeadOptions
from gatlabel.training.building import build_model
from gatlabel.training.config import TrainConfig
from gatlabel.training.data import training_loader
from gatlabel.training.fitting import fit

#: The training options that a trial scales, by their names in trials.
_SCALED = {
    "lr": "optimizer.lr",
    "weight_decay": "optimizer.weight_decay",
    "shrinkage": "head.residual_decay",
}
TIMED = 32  # number of images for timing inference


@functools.lru_cache(maxsize=1)
def _task(train: TrainConfig) -> Task:
    """Reads the images once per process, not once per run, as reading checks all of them."""
    return read_task(train)


@dataclass(frozen=True)
class EndToEndBackend:
    """Trains whole models; small enough to be sent to another process.

    Attributes:
        train: All options of training; trials are factors on some of them.
        heads: Options of the heads, by name.
    """

    train: TrainConfig
    heads: Mapping[str, HeadOptions]

    def tune(
        self, method: Method, condition: Condition, options: dict[str, float], seed: int
    ) -> float:
        """Trains once and returns the mAP on the tuning split."""
        task = _task(self.train)
        learn, judged = task.roles.train, task.roles.tune
        if judged is None:
            rows, held = split_for_tuning(learn.targets, seed, learn.groups)
            learn, judged = learn.subset(rows.tolist()), learn.subset(held.tolist())
        model, _ = self._trained(method, condition, options, seed, learn)
        targets = harden(judged.targets.to_dense())
        return mean_average_precision(predict_logits(model, judged), targets).value

    def run(
        self,
        method: Method,
        condition: Condition,
        options: dict[str, float],
        seed: int,
        ablate: bool,
    ) -> list[Outcome]:
        """Trains once and scores the reported split; with ``ablate`` also without edges."""
        task = _task(self.train)
        learn = task.roles.train
        model, seconds = self._trained(method, condition, options, seed, learn)
        heads = {method: model.head}
        if ablate and isinstance(model.head, GraphAblatable):
            heads[dataclasses.replace(method, edges="ablated")] = model.head.without_edges().eval()
        parameters = parameter_count(model.head)
        found = []
        for method, head in heads.items():
            model.head = head
            logits = predict_logits(model, task.roles.report).numpy()
            speed = self._head_microseconds(model, task.roles.report)
            found.append(Outcome(method, logits, parameters, seconds, speed))
        return found

    def _trained(
        self,
        method: Method,
        condition: Condition,
        options: dict[str, float],
        seed: int,
        learn: ImageSource,
    ) -> tuple[MultiLabelClassifier, float]:
        """Returns the trained model and the training time in seconds."""
        config = self._config(method, condition, options, seed)
        rows = share_of(learn.targets, condition.fraction, seed, learn.groups)
        learn = learn.subset(rows.tolist())
        targets = learn.targets.mask(condition.masked, seed)
        counts = Cooccurrence.from_targets(targets, learn.labels)
        own = make_graph(method.graph, counts) if method.graph else counts.graph("identity")
        completion = complete_targets(method, targets.to_dense(), own, counts, config, seed)
        learn = learn.with_targets(targets)
        torch.manual_seed(seed)
        model = build_model(config, with_edges(own, method.edges, counts, seed))
        began = time.perf_counter()
        batches = training_loader(learn, model, config)
        fit(model, config, (batches, None), None, completion=completion)
        seconds = time.perf_counter() - began
        return model.to(choose_device(config.run.device)), seconds

    def _config(
        self, method: Method, condition: Condition, options: dict[str, float], seed: int
    ) -> TrainConfig:
        base = self.train.with_options({"head": self.heads[method.head]}).resolved()
        scaled = {}
        for name, factor in options.items():
            path = _SCALED[name]
            with suppress(AttributeError):  # not every head has a residual
                scaled[path] = operator.attrgetter(path)(base) * factor
        run = {"run.seed": seed, "run.progress": False, "run.keep": "last", "run.patience": 0}
        return base.with_options({**scaled, **run})

    def _head_microseconds(self, model: MultiLabelClassifier, source: ImageSource) -> float:
        few = source.subset(range(min(TIMED, len(source))))
        (found,) = outputs(model, whole_images(model, few, batch_size=TIMED), model.features)
        return inference_microseconds(model.head, found.to(device_of(model)))
