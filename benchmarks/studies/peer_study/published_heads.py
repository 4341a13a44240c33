"""CSRA, ML-Decoder and ML-GCN: gatlabel's heads, which are the papers', under their own recipes.

The heads compute what the papers' formulas say (``docs/heads.md``; tests compare them). What is
taken from each paper and its published code is the recipe: loss, optimiser, rates, batches and
augmentation. Epochs are as many as fit, and schedules are shares of them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader

from gatlabel import Cooccurrence
from gatlabel.data import (
    Augmentation,
    FileImages,
    ImageDataset,
    training_transform,
)
from gatlabel.encoders import create_encoder
from gatlabel.labels import LabelSet
from gatlabel.losses import asymmetric_loss
from gatlabel.model import MultiLabelClassifier
from gatlabel.nn import CSRAHead, GCNHead, QueryHead
from peer_study.clock import Clock, epochs_that_fit
from peer_study.probing import seconds_a_batch
from peer_study.task import Fitted, Scores, Task


@dataclass(frozen=True)
class Recipe:
    """How a head was trained by those who published it.

    Attributes:
        head: Makes the head of the feature width, the task and its training targets.
        loss: Of logits and targets.
        optimizer: Makes the optimiser of parameter groups.
        rates: Of encoder and head, the largest.
        schedule: Factor on the rates, of the share of the run that is over.
        batch: Images a step.
        augmentation: Of training images.
        pooling: From map to features, for heads that take features.
        clip: Largest norm of the gradient, or none.
    """

    head: Callable[[int, Task, Tensor], nn.Module]
    loss: Callable[[Tensor, Tensor], Tensor]
    optimizer: Callable[[list[dict[str, Any]]], torch.optim.Optimizer]
    rates: tuple[float, float]
    schedule: Callable[[float], float]
    batch: int
    augmentation: str | Augmentation
    pooling: str = "average"
    clip: float | None = None


def _sgd(groups: list[dict[str, Any]]) -> torch.optim.Optimizer:
    return torch.optim.SGD(groups, lr=0.01, momentum=0.9, weight_decay=1e-4)


def _adam(groups: list[dict[str, Any]]) -> torch.optim.Optimizer:
    return torch.optim.Adam(groups, lr=1e-4, weight_decay=1e-4)


def _warm_then_thirds(share: float) -> float:
    """Up over a sixth of the run, a tenth of the rate after each third.

    CSRA's code has 2 epochs of warm-up and decays every 4 on VOC; after the twelfth of its 30 the
    rates are a thousandth.
    """
    return min(1.0, 6 * share + 1e-3) * float(10.0 ** -int(3 * min(share, 0.999)))


def _one_cycle(share: float) -> float:
    """Torch's one-cycle with ``pct_start`` 0.2 and its other defaults."""
    if share < 0.2:
        return float(1 / 25 + (1 - 1 / 25) * (1 - np.cos(np.pi * share / 0.2)) / 2)
    return float(1e-6 + (1 + np.cos(np.pi * (share - 0.2) / 0.8)) / 2)


def _gcn(width: int, task: Task, targets: Tensor) -> nn.Module:
    counts = Cooccurrence.from_targets(targets, task.data.labels)
    vectors = task.shared / "label-statistics" / "voc-glove300.npz"
    return GCNHead(width, counts.graph("mlgcn_code"), node_features=vectors)


RECIPES = {
    # Zhu & Wu, ICCV 2021, section 4.1 and the published main.py
    "csra": Recipe(
        lambda width, task, _: CSRAHead(width, list(task.data.labels), heads=1, lam=0.1),
        F.binary_cross_entropy_with_logits, _sgd, (0.01, 0.1), _warm_then_thirds, 16,
        Augmentation(area=(0.7, 1.0)),
    ),
    # Ridnik et al., WACV 2023, section 4 and the published train.py. Their moving average (0.9997)
    # reaches back further than any run here; their code also judges the weights without it.
    "ml-decoder": Recipe(
        lambda width, task, _: QueryHead(
            width, list(task.data.labels), hidden=768, heads=8, feedforward=2048
        ),
        lambda logits, y: asymmetric_loss(logits, y, reduction="sum"), _adam, (1e-4, 1e-4),
        _one_cycle, 56, Augmentation(crop="none", flip=0.0, randaugment=2, cutout=0.5),
    ),
    # Chen et al., CVPR 2019, section 4.1 and the published demo_voc2007_gcn.py, whose 20 epochs
    # have no decay
    "ml-gcn": Recipe(
        _gcn, F.multilabel_soft_margin_loss, _sgd, (0.01, 0.1), lambda share: 1.0, 16, "mlgcn",
        "max", 10.0,
    ),
}  # fmt: skip


def fit_published(name: str) -> Callable[[Task, Clock], Fitted]:
    """Returns what trains encoder and head by the recipe, for as many epochs as fit."""

    def fit(task: Task, clock: Clock) -> Fitted:
        recipe = RECIPES[name]
        model, loader = _prepared(task, recipe)

        def begin(trained: nn.Module, epochs: int) -> Callable[[Any], None]:
            return _Training(trained, recipe, epochs * len(loader)).run

        with clock.outside():
            epoch = seconds_a_batch(model, begin, loader) * len(loader)
        epochs = epochs_that_fit(task.seconds - clock.seconds, epoch)
        run = begin(model, epochs)
        for _ in range(epochs):
            run(loader)
        return Fitted(lambda: _predicted(model, task), {"epochs": epochs})

    return fit


def _source(task: Task, which: Any) -> FileImages:
    data, names = task.data, [task.data.names[k] for k in which]
    return FileImages(data.root, LabelSet(data.labels), names, data.present[which])


def _prepared(task: Task, recipe: Recipe) -> tuple[MultiLabelClassifier, DataLoader[Any]]:
    encoder = create_encoder("efficientnet_lite0", "default")
    source = _source(task, task.train)
    head: Any = recipe.head(encoder.out_features, task, source.targets.to_dense())
    model = MultiLabelClassifier(
        encoder, head, list(task.data.labels), pooling=recipe.pooling, image_size=task.size
    )
    images = ImageDataset(source, training_transform(task.size, recipe.augmentation))
    return model, DataLoader(images, batch_size=recipe.batch, shuffle=True)


class _Training:
    """Steps of one run.

    Args:
        model: Learns in place.
        recipe: How.
        steps: How many there will be.
    """

    def __init__(self, model: Any, recipe: Recipe, steps: int) -> None:
        self.model, self.recipe = model, recipe
        rates = zip((model.encoder, model.head), recipe.rates, strict=True)
        self.optimizer = recipe.optimizer(
            [{"params": list(part.parameters()), "lr": rate} for part, rate in rates]
        )
        self.schedule = torch.optim.lr_scheduler.LambdaLR(
            self.optimizer, lambda step: recipe.schedule(step / steps)
        )

    def run(self, batches: Any) -> None:
        """Takes a step on every batch."""
        self.model.train()
        for images, targets, *_ in batches:
            loss = self.recipe.loss(self.model(images), targets)
            self.optimizer.zero_grad()
            loss.backward()
            if self.recipe.clip is not None:
                nn.utils.clip_grad_norm_(self.model.parameters(), self.recipe.clip)
            self.optimizer.step()
            self.schedule.step()


def _predicted(model: MultiLabelClassifier, task: Task) -> Scores:
    from gatlabel.inference import predict_logits

    return predict_logits(model, _source(task, task.data.test)).numpy()
