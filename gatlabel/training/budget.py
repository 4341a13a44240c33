"""Time of a run with the recipe auto: for further image sizes and for training the encoder."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from gatlabel.devices import choose_device
from gatlabel.inference import on_device
from gatlabel.model import MultiLabelClassifier
from gatlabel.nn.modes import evaluating
from gatlabel.training.clock import Clock
from gatlabel.training.config import TrainConfig
from gatlabel.training.options import Auto
from gatlabel.training.starting import Start

#: Minimum number of training images for training the encoder on informative features. Measured:
#: with 508 photographs six epochs changed nothing beyond chance (docs/studies/auto.md). The bounds
#: themselves are judgements.
FINE_TUNED_FROM = {"fast": math.inf, "good": 1000, "best": 200}
#: Seconds for training the encoder on uninformative features of fewer images, without ``--time``.
WITHIN = {"fast": 0.0, "good": 120.0, "best": 1800.0}
#: Epochs if the encoder is trained: maximum, minimum, and total number of images in all epochs.
EPOCHS = {"fast": (6, 2, 6_000), "good": (12, 3, 40_000), "best": (24, 6, 120_000)}
#: The minimum with a time limit and few images.
FEWEST_EPOCHS = 2
#: Factor on estimated durations of passes and epochs, which leave out decoding and the optimiser.
MARGIN = 1.2


def preset_of(config: TrainConfig) -> str:
    """Returns the preset of the recipe auto; other recipes have none."""
    return config.recipe.preset if isinstance(config.recipe, Auto) else "good"


@dataclass(frozen=True)
class Budget:
    """The time limit of a run, and what its images take of it.

    Attributes:
        config: The options.
        train: Number of training images.
        val: Number of validation images.
        clock: The clock with the time limit.
    """

    config: TrainConfig
    train: int
    val: int
    clock: Clock

    def allows_size(self, model: MultiLabelClassifier, start: Start) -> bool:
        """Whether there is time to extract features at another size.

        On uninformative features, training the encoder pays more than a larger size. So all epochs
        must be possible afterwards, if some are possible now.

        Args:
            model: The model with the other size.
            start: The initialisation at the present size.
        """
        limited = self._limited(start)
        if limited.clock.limit is None:
            return True
        area = (model.image_size / start.size) ** 2
        seconds = MARGIN * max(
            seconds_per_image(model, self.config) * (self.train + self.val), start.seconds * area
        )
        if seconds <= limited.clock.left and self._trains(start) and not start.informative:
            epoch = self._epoch(model)
            if FEWEST_EPOCHS * epoch / area <= limited.clock.left:
                seconds += self._full_epochs() * epoch
        return seconds <= limited.clock.left

    def epochs(self, model: MultiLabelClassifier, start: Start | None) -> int:
        """Returns the number of epochs, by the table and the remaining time.

        Args:
            model: The model.
            start: Its closed-form initialisation, if it has one.
        """
        table = self._full_epochs()
        if start is None:
            return table
        if not self._trains(start):
            return 0
        limited = self._limited(start)
        if limited.clock.limit is None:
            return table
        image = seconds_per_image(model, self.config)
        # afterwards both initialisation and result are evaluated, and features are extracted, for
        # uninformative ones once more: the classifiers are fitted again
        passes = 1 if start.informative else 2
        left = limited.clock.left - MARGIN * image * (passes * self.train + 2 * self.val)
        least = FEWEST_EPOCHS if self.few else EPOCHS[preset_of(self.config)][1]
        possible = int(min(left / self._epoch(model), table))
        return possible if possible >= min(least, table) else 0

    def _full_epochs(self) -> int:
        """Returns the number of epochs without a time limit."""
        if self.config.data.name == "scenes":
            return 4
        most, least, in_all = EPOCHS[preset_of(self.config)]
        return min(most, max(least, round(in_all / self.train)))

    @property
    def few(self) -> bool:
        """Whether so few images are given that informative features are not trained on them."""
        return (
            self.config.data.name != "scenes"
            and self.train < FINE_TUNED_FROM[preset_of(self.config)]
        )

    def _trains(self, start: Start) -> bool:
        if self.config.encoder.freeze == "encoder":
            return False
        if not self.few:
            return True
        return not start.informative and WITHIN[preset_of(self.config)] > 0

    def _limited(self, start: Start) -> Budget:
        """Returns the budget with the limit of the preset, if it is needed."""
        if self.clock.limit is not None or not self.few or start.informative:
            return self
        return replace(self, clock=self.clock.limited(WITHIN[preset_of(self.config)]))

    def _epoch(self, model: MultiLabelClassifier) -> float:
        """Measures the duration of an epoch."""
        step = seconds_per_training_image(model, self.config)
        return MARGIN * (step * self.train + seconds_per_image(model, self.config) * self.val)


def seconds_per_image(model: MultiLabelClassifier, config: TrainConfig, images: int = 8) -> float:
    """Measures the duration of the model's encoder per image, without cached features."""
    with torch.inference_mode():
        return _measured(model, config, images, lambda found: found.sum().item())


def seconds_per_training_image(
    model: MultiLabelClassifier, config: TrainConfig, images: int = 4
) -> float:
    """Measures the duration of the encoder's forward and backward pass per image."""
    copied = copy.deepcopy(model).requires_grad_(True)
    return _measured(copied, config, images, lambda found: found.sum().backward())


def _measured(
    model: MultiLabelClassifier,
    config: TrainConfig,
    images: int,
    finish: Callable[[Tensor], object],
) -> float:
    """Returns seconds per image; ``finish`` uses the features, so that the device is waited for.

    The shortest of three measurements: other processes only ever lengthen one.
    """
    size = model.image_size
    batch = torch.zeros(images, 3, size, size, dtype=torch.uint8)
    device = choose_device(config.run.device)
    with on_device(model, device), evaluating(model):
        finish(model.features(batch[:2].to(device)))  # the first call allocates memory
        took = []
        for _ in range(3):
            began = time.perf_counter()
            finish(model.features(batch.to(device)))
            if device.type == "cuda":
                torch.cuda.synchronize(device)
            took.append(time.perf_counter() - began)
        return min(took) / images
