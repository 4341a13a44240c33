"""Models of several tasks on given inputs, trained by the plain loop, for the studies of tasks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from scipy.stats import t, ttest_1samp
from torch import Tensor

from gatlabel.batch import FEATURES, Batch
from gatlabel.data.seeds import mixed
from gatlabel.engine.balancing import create_balancer
from gatlabel.engine.loop import train
from gatlabel.engine.optimizers import make_optimizer, make_schedule
from gatlabel.engine.options import OptimizerOptions
from gatlabel.engine.specs import FitSpec
from gatlabel.engine.supervised import Supervised
from gatlabel.model import Model

BATCH = 32


def objective_of(model: Model, balancing: str, weights: Mapping[str, float] | None) -> Supervised:
    """The objective of a run with this balancing; ``weights`` are those of ``fixed``."""
    if balancing == "equal":
        return Supervised()
    options: dict[str, Any] = {}
    if balancing == "fixed":
        options["fixed"] = weights
    if balancing == "uncertainty":
        tasks = model.tasks.values()
        options["regression"] = [task.name for task in tasks if task.kind == "regression"]
    return Supervised(balancer=create_balancer(balancing, list(model.tasks), **options))


def fitted(
    model: Model,
    inputs: Tensor,
    targets: Mapping[str, Tensor],
    *,
    rate: float,
    epochs: int,
    seed: int,
    balancing: str = "equal",
    weights: Mapping[str, float] | None = None,
    encoder_lr: float = 1.0,
) -> Model:
    """Trains a model in place and returns it.

    Args:
        model: Its only input is called ``features``.
        inputs: ``(N, …)``, or with a second axis of two views, of which each step takes one.
        targets: Of these N, by task.
        rate: Largest learning rate of the heads (AdamW, one cycle).
        epochs: Passes over all N.
        seed: Of the order, the views and what balancers draw.
        balancing: Name of the balancer.
        weights: Those of ``fixed``.
        encoder_lr: Rate of the encoder in parts of that of the heads.
    """
    objective = objective_of(model, balancing, weights)
    options = OptimizerOptions(lr=rate, encoder_lr=encoder_lr)
    spec = FitSpec(epochs=epochs, device="cpu")
    optimizer = make_optimizer(model, options, spec, list(objective.parameters()))
    steps = max(len(inputs) // BATCH, 1)
    schedule = make_schedule(optimizer, options.schedule, epochs, steps)

    def batches(epoch: int) -> Iterator[Batch]:
        random = torch.Generator().manual_seed(mixed(seed, epoch))
        order = torch.randperm(len(inputs), generator=random)
        for k in range(steps):
            rows = order[k * BATCH : (k + 1) * BATCH]
            given = inputs[rows]
            if given.ndim == 5:  # views of feature maps
                view = torch.randint(given.shape[1], (len(rows),), generator=random)
                given = given[torch.arange(len(rows)), view]
            yield Batch({FEATURES: given}, {n: own[rows] for n, own in targets.items()}, rows)

    torch.manual_seed(seed)
    train(model, objective, batches, optimizer, schedule, epochs)
    return model


@torch.no_grad()
def outputs_of(model: Model, inputs: Tensor) -> dict[str, Tensor]:
    """Outputs of all inputs by task."""
    parts = [model({FEATURES: part}) for part in inputs.split(64)]
    return {name: torch.cat([part[name] for part in parts]) for name in model.tasks}


def paired(values: np.ndarray, base: np.ndarray, digits: int = 2) -> dict[str, Any]:
    """The mean difference over seeds, its 95 % interval and the p-value of Student's t."""
    gained = np.asarray(values) - np.asarray(base)
    if not gained.any():
        return {"difference": 0.0}
    wide = t.ppf(0.975, len(gained) - 1) * gained.std(ddof=1) / len(gained) ** 0.5
    ends = [round(float(gained.mean() + side * wide), digits) for side in (-1, 1)]
    p = float(ttest_1samp(gained, 0.0).pvalue)
    return {"difference": round(float(gained.mean()), digits), "interval": ends, "p": p}
