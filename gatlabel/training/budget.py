"""Time of a run with the recipe auto: for further image sizes and for training the encoder."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from gatlabel.engine.probing import PROBE
from gatlabel.engine.rate_finding import STEPS
from gatlabel.model import MultiLabelClassifier
from gatlabel.training.clock import Clock
from gatlabel.training.comparing import compares_heads
from gatlabel.training.config import TrainConfig
from gatlabel.training.durations import seconds_per_image, seconds_per_training_image
from gatlabel.training.options import Auto
from gatlabel.training.starting import Start

#: Minimum number of training images for training the encoder on informative features. Measured:
#: 952 photographs gain a point on frequent labels, 508 nothing beyond chance. The bound of best is
#: a judgement (docs/studies/auto.md).
FINE_TUNED_FROM = {"fast": math.inf, "good": 1000, "best": 200}
#: Seconds for training the encoder on uninformative features of fewer images, without ``--time``.
WITHIN = {"fast": 0.0, "good": 120.0, "best": 1800.0}
#: Epochs if the encoder is trained: maximum, minimum, and total number of images in all epochs.
EPOCHS = {"fast": (6, 2, 6_000), "good": (12, 3, 40_000), "best": (24, 6, 120_000)}
#: The same after a closed-form initialisation on informative features. On the one fold with both,
#: 12 epochs of 952 photographs gain no more than 4 (docs/studies/auto.md).
EPOCHS_INFORMATIVE = {"fast": (0, 0, 0), "good": (4, 3, 40_000), "best": (8, 6, 120_000)}
#: The minimum with a time limit and uninformative features, and from how many images one epoch is
#: enough.
#: Measured: 2 epochs of 100 and one of 500 gain (docs/studies/auto.md).
FEWEST_EPOCHS, ENOUGH_FOR_ONE = 2, 200
#: Factor on estimated durations of passes and epochs, which leave out decoding and the optimiser.
MARGIN = 1.2
#: Seconds for choosing stages and similarity, evaluation and the report. Measured: 1.7 with 160
#: images and 20 labels, 2.0 with 560.
REST = 2.0


def preset_of(config: TrainConfig) -> str:
    """Returns the preset of the recipe auto; other recipes have none."""
    return config.recipe.preset if isinstance(config.recipe, Auto) else "good"


@dataclass(frozen=True)
class Cost:
    """Estimated seconds of training.

    Attributes:
        epoch: Of an epoch of the model, and of the same epoch in all folds.
        once: Before and after the epochs.
    """

    epoch: float
    once: float

    def of(self, epochs: int) -> float:
        """Returns the seconds of training for a number of epochs."""
        return self.once + epochs * self.epoch


@dataclass(frozen=True)
class Budget:
    """The time limit of a run, and what its images take of it.

    Attributes:
        config: The options.
        train: Number of training images.
        val: Number of validation images.
        clock: The clock with the time limit.
        measured: Durations per image that were measured before, by what was measured.
    """

    config: TrainConfig
    train: int
    val: int
    clock: Clock
    measured: dict[tuple[object, ...], float] = field(default_factory=dict)

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
        left = limited._left(start)
        if MARGIN * start.seconds * area > left:
            return False
        passes = self._image_seconds(model) * (self.train + self.val)
        seconds = MARGIN * max(passes, start.seconds * area)
        if seconds <= left and self._trains(start) and not start.informative:
            cost = self._cost(model, start)
            if self._fewest_epochs(start) * cost.epoch / area <= left:
                seconds += cost.of(self._full_epochs(start))
        return seconds <= left

    def size(self, model: MultiLabelClassifier, sizes: Sequence[int]) -> int:
        """Returns the image size of a model without a closed-form initialisation.

        It is the model's. With a time limit it is the largest up to that at which there is time for
        all epochs, otherwise the smallest: epochs pay more than resolution (docs/studies/auto.md).

        Args:
            model: The model; its image size is changed in place.
            sizes: Image sizes to try.
        """
        own = model.image_size
        if self.clock.limit is None:
            return own
        for size in sorted({own, *(s for s in sizes if s < own)}, reverse=True):
            model.image_size = size
            if self._cost(model).of(self._full_epochs(None)) <= self.clock.left:
                break
        return model.image_size

    def epochs(self, model: MultiLabelClassifier, start: Start | None) -> int:
        """Returns the number of epochs, by the table and the remaining time.

        Args:
            model: The model.
            start: Its closed-form initialisation. A model without one is trained for at least one
                epoch.
        """
        table = self._full_epochs(start)
        if start is not None and not self._trains(start):
            return 0
        limited = self._limited(start)
        if limited.clock.limit is None:
            return table
        if start is None:
            cost = self._cost(model)
            return max(int(min((limited.clock.left - cost.once) / cost.epoch, table)), 1)
        left, fewest = limited._left(start), min(self._fewest_epochs(start), table)
        if left < fewest * self._least_epoch(start):
            return 0
        cost = self._cost(model, start)
        possible = int(min((left - cost.once) / cost.epoch, table))
        return possible if possible >= fewest else 0

    def _fewest_epochs(self, start: Start) -> int:
        """The smallest number of epochs that pays with a time limit."""
        if start.informative:
            return self._table(start)[1]
        return 1 if self.train >= ENOUGH_FOR_ONE else FEWEST_EPOCHS

    def _full_epochs(self, start: Start | None) -> int:
        """Returns the number of epochs without a time limit."""
        if self.config.run.epochs is not None:
            return self.config.run.epochs
        if self.config.data.name == "scenes":
            return 3  # and classifiers fitted again, in less time than 4 (docs/studies/auto.md)
        most, least, in_all = self._table(start)
        return min(most, max(least, round(in_all / self.train)))

    def _table(self, start: Start | None) -> tuple[int, int, int]:
        of = EPOCHS if start is None or not start.informative else EPOCHS_INFORMATIVE
        return of[preset_of(self.config)]

    @property
    def few(self) -> bool:
        """Whether so few images are given that informative features are not trained on them."""
        return (
            self.config.data.name != "scenes"
            and self.train < FINE_TUNED_FROM[preset_of(self.config)]
        )

    def _trains(self, start: Start) -> bool:
        if self.config.encoder.freeze == "encoder" or self.config.run.epochs == 0:
            return False
        if not self.few:
            return True
        return not start.informative and WITHIN[preset_of(self.config)] > 0

    def _limited(self, start: Start | None) -> Budget:
        """Returns the budget with the limit of the preset, if it is needed."""
        if self.clock.limit is not None or start is None or not self.few or start.informative:
            return self
        return replace(self, clock=self.clock.limited(WITHIN[preset_of(self.config)]))

    def _left(self, start: Start) -> float:
        """Returns the seconds for passes and epochs: others are needed for folds and at the end."""
        regressions = MARGIN * (self.config.run.folds or 0) * start.fit_seconds
        return self.clock.left - regressions - REST

    def _least_epoch(self, start: Start) -> float:
        """Returns a lower bound of the seconds of an epoch, without measuring: a forward pass.

        It is 0 if the features were cached.
        """
        return (start.seconds - start.fit_seconds) * self.train / (self.train + self.val)

    def _image_seconds(self, model: MultiLabelClassifier) -> float:
        """Measures the forward pass per image, once for every image size."""
        return self._measured_as("forward", model, seconds_per_image)

    def _step_seconds(self, model: MultiLabelClassifier) -> float:
        """Measures a training step per image, once for every image size."""
        return self._measured_as("step", model, seconds_per_training_image)

    def _measured_as(
        self,
        name: str,
        model: MultiLabelClassifier,
        measure: Callable[[MultiLabelClassifier, TrainConfig], float],
    ) -> float:
        key = (name, model.image_size, model.encoder.stages)
        if key not in self.measured:
            self.measured[key] = measure(model, self.config)
        return self.measured[key]

    def _cost(self, model: MultiLabelClassifier, start: Start | None = None) -> Cost:
        """Measures what training takes, with folds, comparison and the search of a rate.

        Args:
            model: The model.
            start: Its closed-form initialisation, if it has one.
        """
        step, image = self._step_seconds(model), self._image_seconds(model)
        folds, runs = self.config.run.folds or 0, 1 + compares_heads(self.config)
        # K folds have K - 1 times the images in all, and each image is evaluated in one of them
        trained = runs + max(folds - 1, 0)
        evaluated = runs * self.val + (self.train if folds else 0)
        # validation images are evaluated after every epoch of the run itself alone
        epoch = step * self.train * trained + image * self.val
        # afterwards both initialisation and result are evaluated, and features are extracted: for
        # their moments, or of every training, where its classifiers are fitted again
        refits = self.config.run.refit or (start is not None and not start.informative)
        once = image * (self.train * (trained if refits else 1) + self.val + evaluated)
        if self.config.optimizer.lr == "find":
            batch = min(self.config.run.images_per_step, self.train)
            ramps = 1 if start is not None else 2  # see gatlabel.engine.rate_finding
            once += ramps * STEPS * (step * batch + image * min(max(batch, PROBE), self.train))
        return Cost(MARGIN * epoch, MARGIN * once)
