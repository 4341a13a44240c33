"""What a model learns: an output space, a head, a loss, metrics and a decision."""

from __future__ import annotations

import inspect
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from gatlabel.errors import InputError
from gatlabel.nn.heads.protocols import forward_losses
from gatlabel.values import shown

#: ``loss(outputs, targets)``, a scalar; ``loss(outputs, targets, epoch=...)`` where it takes one.
Loss = Callable[..., Tensor]
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,63}")


class Task(ABC):
    """One of the tasks that a model learns from shared features. Losses belong to tasks only.

    A batch has a tensor of targets for each task. Where an image is not labelled for a task, its
    targets there are *absent* (:meth:`absent`): they contribute neither loss nor gradient.

    Args:
        name: The key of its outputs and targets: letters, digits, ``_`` and ``-``.
        outputs: Names of the output space: labels, classes or values.
        head: From features to outputs.
        loss: Takes outputs and targets, returns a scalar, and is exactly 0 where all targets are
            absent; a loss with an argument ``epoch`` is passed the epoch, counted from 0. Default:
            that of the kind of task.

    Attributes:
        kind: The name of the kind in :data:`gatlabel.tasks.TASKS`.

    Raises:
        InputError: If the name is invalid, or the head has another number of outputs.
    """

    kind: ClassVar[str]

    def __init__(
        self, name: str, outputs: Sequence[str], head: nn.Module, loss: Loss | None = None
    ) -> None:
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise InputError(
                f"task {shown(name)}: a name begins with a letter and has letters, digits, _ and -"
            )
        self.name = name
        self.outputs: Sequence[str] = outputs
        self.head = head
        self.loss = self.default_loss() if loss is None else loss
        self._takes_epoch: tuple[Loss | None, bool] = (None, False)  # of which loss
        width = getattr(head, "out_features", None)
        if width is not None and width != self.width:
            raise InputError(
                f"task {name!r}: the head has {width} outputs, but {self.width} are needed for "
                f"{len(outputs)} names"
            )

    @property
    def width(self) -> int:
        """Number of outputs of the head per image."""
        return len(self.outputs)

    @abstractmethod
    def default_loss(self) -> Loss:
        """Returns the loss of this kind of task."""

    @abstractmethod
    def known(self, targets: Tensor) -> Tensor:
        """Returns which entries of targets are known: bool, of the targets' shape."""

    @abstractmethod
    def absent(self, rows: int) -> Tensor:
        """Returns the targets of images that are not labelled for this task, ``(rows, ...)``."""

    @abstractmethod
    def activation(self, outputs: Tensor) -> Tensor:
        """Converts outputs of the head to probabilities or values."""

    @abstractmethod
    def decide(self, outputs: Tensor) -> Tensor:
        """Returns the decision for each image, in the form of targets."""

    @abstractmethod
    def metrics(self, outputs: Tensor, targets: Tensor) -> dict[str, float]:
        """Returns metrics by name; NaN where one is undefined.

        Args:
            outputs: Of the head for N images.
            targets: Of these images.
        """

    @property
    def score_name(self) -> str:
        """Name of the metric in :meth:`metrics` used to compare epochs; greater is better."""
        return "mAP"

    def score(self, outputs: Tensor, targets: Tensor) -> float:
        """Returns the metric named by :attr:`score_name`."""
        return self.metrics(outputs, targets)[self.score_name]

    def loss_of(self, outputs: Tensor, targets: Tensor, epoch: int = 0) -> Tensor:
        """Returns the loss of outputs of the head."""
        return self.criterion(epoch)(outputs, targets)

    @property
    def config(self) -> dict[str, Any]:
        """Primitives that, with the head, restore the task; losses are not saved."""
        return {"kind": self.kind, "name": self.name, "outputs": list(self.outputs)}

    def criterion(self, epoch: int) -> Callable[[Tensor, Tensor], Tensor]:
        """Returns the loss as it is in an epoch: a function of outputs and targets."""
        if self._takes_epoch[0] is not self.loss:
            self._takes_epoch = self.loss, takes_epoch(self.loss)
        if not self._takes_epoch[1]:
            return self.loss
        return lambda outputs, targets: self.loss(outputs, targets, epoch=epoch)

    def losses(
        self, features: Tensor, targets: Tensor, epoch: int = 0
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Returns outputs, and the losses whose sum training lowers.

        Args:
            features: Of B images, in the form that the head takes.
            targets: Of these images.
            epoch: Counted from 0.

        Returns:
            Outputs of the head, and scalars; the first is the loss of those outputs, others are
            those of parts of the head (:class:`~gatlabel.nn.AuxiliaryLosses`).
        """
        return forward_losses(self.head, features, targets, self.criterion(epoch))

    def __repr__(self) -> str:
        loss = getattr(self.loss, "__name__", type(self.loss).__name__)
        return (
            f"{type(self).__name__}({self.name!r}, {len(self.outputs)} outputs, "
            f"head={type(self.head).__name__}, loss={loss})"
        )


def takes_epoch(loss: Loss) -> bool:
    """Whether a loss has an argument named ``epoch``."""
    call = loss.forward if isinstance(loss, nn.Module) else loss
    try:
        return "epoch" in inspect.signature(call).parameters
    except (TypeError, ValueError):  # functions without a Python signature
        return False


def by_name(tasks: Sequence[Task]) -> Mapping[str, Task]:
    """Returns tasks by their names.

    Raises:
        InputError: If there is none, or two have one name.
    """
    found = {task.name: task for task in tasks}
    if not tasks:
        raise InputError("a model needs a task: give at least one")
    if len(found) < len(tasks):
        names = [task.name for task in tasks]
        twice = next(name for name in names if names.count(name) > 1)
        raise InputError(f"two tasks are called {twice!r}: give each a name of its own")
    return found


def all_absent(task: Task, targets: Tensor) -> Tensor:
    """Returns which images are not labelled for a task at all: bool ``(B,)``."""
    known = task.known(targets)
    return ~known.flatten(1).any(1) if known.ndim > 1 else ~known


def mean_of(values: Tensor) -> float:
    """Mean of the numbers that are defined; NaN where none is."""
    return float(torch.as_tensor(values).detach().nanmean())
