"""One or several numbers per image."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import torch
from torch import Tensor, nn

from gatlabel.errors import InputError
from gatlabel.losses.values import squared_error
from gatlabel.metrics.values import mean_absolute_error, r2_score, root_mean_squared_error
from gatlabel.tasks.task import Loss, Task, mean_of


class RegressionTask(Task):
    """V numbers per image.

    Targets are float ``(B, V)`` in their own units, and NaN for unknown. Outputs are ``(B, V)`` in
    units of ``scale`` above ``offset``: the loss is in these units, metrics in those of targets.

    Args:
        name: See :class:`Task`.
        values: The V names of the numbers.
        head: From features to outputs.
        loss: Default: :func:`~gatlabel.losses.values.squared_error`.
        offset: The target that an output of 0 stands for, one number per value; default 0.
        scale: Target units per unit of output, one number above 0 per value; default 1.

    Raises:
        InputError: If there are not as many numbers as values, or one is out of range.

    Example:
        >>> from gatlabel.nn import LinearHead
        >>> head = LinearHead(4, labels=1)
        >>> task = RegressionTask("count", ["things"], head, offset=[3.0], scale=[2.0])
        >>> task.decide(torch.tensor([[0.5]]))
        tensor([[4.]])
    """

    kind = "regression"

    def __init__(
        self,
        name: str,
        values: Sequence[str],
        head: nn.Module,
        loss: Loss | None = None,
        *,
        offset: Sequence[float] | None = None,
        scale: Sequence[float] | None = None,
    ) -> None:
        super().__init__(name, tuple(values), head, loss)
        self.offset = self._numbers("offset", offset, 0.0)
        self.scale = self._numbers("scale", scale, 1.0)
        if not all(value > 0 for value in self.scale):
            raise InputError(f"task {name!r}: scale={list(self.scale)}: give numbers above 0")

    @classmethod
    def standardised(
        cls,
        name: str,
        values: Sequence[str],
        head: nn.Module,
        targets: Tensor,
        loss: Loss | None = None,
    ) -> Self:
        """Makes a task whose outputs have mean 0 and variance 1 over the known targets.

        Args:
            name: See :class:`Task`.
            values: The V names.
            head: From features to outputs.
            targets: ``(N, V)`` of the training images, NaN for unknown.
            loss: See the class.
        """
        true = targets.double()
        mean = true.nanmean(0)
        spread = (true - mean).square().nanmean(0).sqrt()
        spread = spread.where(spread > 0, 1.0)  # of constant and of unknown values
        return cls(name, values, head, loss, offset=mean.nan_to_num().tolist(),
                   scale=spread.nan_to_num(1.0).tolist())  # fmt: skip

    def _numbers(
        self, what: str, given: Sequence[float] | None, default: float
    ) -> tuple[float, ...]:
        numbers = tuple(map(float, given)) if given is not None else (default,) * self.width
        if len(numbers) != self.width or not torch.tensor(numbers).isfinite().all():
            raise InputError(
                f"task {self.name!r}: {what}={list(numbers)}: give {self.width} finite numbers, "
                "one per value"
            )
        return numbers

    def default_loss(self) -> Loss:
        """The squared error."""
        return squared_error

    def known(self, targets: Tensor) -> Tensor:
        """Values other than NaN: bool ``(B, V)``."""
        return ~targets.isnan()

    def absent(self, rows: int) -> Tensor:
        """NaN, float32 ``(rows, V)``."""
        return torch.full((rows, self.width), torch.nan)

    def losses(
        self, features: Tensor, targets: Tensor, epoch: int = 0
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Returns outputs and losses in units of the scale; see :meth:`Task.losses`."""
        return super().losses(features, self.standardise(targets), epoch)

    def loss_of(self, outputs: Tensor, targets: Tensor, epoch: int = 0) -> Tensor:
        """Returns the loss in units of the scale; see :meth:`Task.loss_of`."""
        return super().loss_of(outputs, self.standardise(targets), epoch)

    def standardise(self, targets: Tensor) -> Tensor:
        """Returns targets ``(B, V)`` in units of the scale above the offset."""
        return (targets - targets.new_tensor(self.offset)) / targets.new_tensor(self.scale)

    def activation(self, outputs: Tensor) -> Tensor:
        """Values ``(B, V)`` in the units of targets."""
        return outputs * outputs.new_tensor(self.scale) + outputs.new_tensor(self.offset)

    def decide(self, outputs: Tensor) -> Tensor:
        """The values ``(B, V)``."""
        return self.activation(outputs)

    def metrics(self, outputs: Tensor, targets: Tensor) -> dict[str, float]:
        """``MAE``, ``RMSE`` and ``R2``, each the mean over the values that are known."""
        values = self.activation(outputs)
        return {
            "MAE": mean_of(mean_absolute_error(values, targets)),
            "RMSE": mean_of(root_mean_squared_error(values, targets)),
            "R2": mean_of(r2_score(values, targets)),
        }

    @property
    def score_name(self) -> str:
        """R²."""
        return "R2"

    @property
    def config(self) -> dict[str, Any]:
        """See :attr:`Task.config`."""
        return {**super().config, "offset": list(self.offset), "scale": list(self.scale)}
