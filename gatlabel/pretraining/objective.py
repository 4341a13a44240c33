"""Self-supervision as an objective of the engine."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from gatlabel.batch import LABELS, Batch
from gatlabel.engine.objectives import Objective
from gatlabel.labels import UNKNOWN
from gatlabel.model import Network
from gatlabel.pretraining.methods import Method
from gatlabel.pretraining.probing import probe, spread
from gatlabel.pretraining.views import VIEW


class Features(nn.Module):
    """Wraps the shared features of a model as a module.

    Args:
        model: From images to tasks.
    """

    def __init__(self, model: Network) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> Tensor:
        """Normalised images ``(B, 3, S, S)`` -> features ``(B, D)``."""
        return self.model.features(images)


class SelfSupervised(Objective):
    """Minimises the loss of a method on the views of a batch.

    Validation batches hold whole images, labelled or not. Their features are evaluated after every
    epoch: ``val_spread``, and with labels ``val_neighbours`` and ``val_linear``
    (:class:`~gatlabel.pretraining.probing.Probe`).

    Args:
        method: The loss with its projection head.
        model: The model to train; the method creates modules that depend on its encoder.
        steps: Total number of training steps.
    """

    def __init__(self, method: Method, model: Network, steps: int) -> None:
        super().__init__()
        self.method, self.steps = method, steps
        self.done = 0  # steps
        self._features: list[Tensor] = []
        self._targets: list[Tensor] = []
        method.prepare(Features(model))

    def step(self, model: Network, batch: Batch, epoch: int) -> dict[str, Tensor]:
        """Returns the loss of a batch of views."""
        names = [VIEW.format(number) for number in range(len(batch.inputs))]
        views = [batch.inputs[name] for name in names]
        progress = min(1.0, self.done / self.steps)
        self.done += 1
        return {"views": self.method.loss(Features(model), views, progress)}

    def validation_step(self, model: Network, batch: Batch) -> None:
        """Collects the features of whole images."""
        self._features.append(model.features(batch.inputs).float().cpu())
        self._targets.append(batch.targets[LABELS].cpu())

    def validation_metrics(self, epoch: int) -> dict[str, Tensor | float]:
        """Returns the metrics of the features."""
        features, targets = torch.cat(self._features), torch.cat(self._targets)
        self._features, self._targets = [], []
        if bool((targets == UNKNOWN).all()):
            return {"val_spread": spread(features)}
        found = probe(features, targets)
        return {
            "val_spread": found.spread,
            "val_neighbours": found.neighbours,
            "val_linear": found.linear,
        }

    def memory(self) -> dict[str, Any]:
        """Returns the number of steps, which schedules of the method depend on."""
        return {"done": self.done}

    def recall(self, memory: dict[str, Any]) -> None:
        """Restores the number of steps."""
        self.done = int(memory["done"])
