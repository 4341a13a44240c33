"""Supervised training: one or several tasks, completion of unknown targets, balanced losses."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from gatlabel.batch import Batch
from gatlabel.engine.balancing import Balancer
from gatlabel.engine.completing import Completing
from gatlabel.engine.nonfinite import DivergedError
from gatlabel.engine.objectives import Objective
from gatlabel.errors import InputError
from gatlabel.losses import set_progress
from gatlabel.missing import Completion
from gatlabel.model import Network
from gatlabel.tasks import Task

#: A function from the inputs and targets of a batch to other targets.
Teacher = Callable[[Mapping[str, Tensor], Tensor], Tensor]


class Supervised(Objective):
    """Minimises the losses of the model's tasks on the targets of the batches.

    Images without a target of a task do not contribute to it. The validation metrics are
    ``val_loss`` and the score of each task. A single multi-label task has ``val_mAP``; several
    tasks have ``val_things_mAP`` and so on, and ``val_score``, the mean over the tasks.

    Args:
        completions: Completions by task, which replace the targets of the batches. They are
            updated by the outputs of every epoch, and checkpoints contain their state. One of
            some of the images only is given as :class:`~gatlabel.engine.completing.Completing`.
        teachers: Functions by task, from inputs and targets of a batch to the targets to train on
            (distillation).
        weights: Weight of the losses of each task, at least 0; the default is 1.
        balancer: Combines the losses of all tasks, instead of their sum.

    Raises:
        InputError: If a weight is negative, or weights and a balancer are both given.

    Example:
        >>> from gatlabel.model import Model
        >>> from gatlabel.nn import LinearHead
        >>> from gatlabel.tasks import MultiLabelTask
        >>> head = LinearHead(8, labels=["cat", "dog"])
        >>> model = Model({}, [MultiLabelTask("things", ["cat", "dog"], head)])
        >>> batch = Batch({"features": torch.randn(4, 8)}, {"things": torch.ones(4, 2)},
        ...               torch.arange(4))
        >>> list(Supervised().step(model, batch, epoch=0))
        ['things']
    """

    def __init__(
        self,
        *,
        completions: Mapping[str, Completion | Completing] | None = None,
        teachers: Mapping[str, Teacher] | None = None,
        weights: Mapping[str, float] | None = None,
        balancer: Balancer | None = None,
    ) -> None:
        super().__init__()
        if weights and balancer is not None:
            raise InputError("weights and a balancer are both given: use the balancer fixed")
        for name, weight in (weights or {}).items():
            if not 0 <= weight < float("inf"):
                raise InputError(f"weight {weight} of task {name!r}: give a number of at least 0")
        self.completing = {
            name: own if isinstance(own, Completing) else Completing(own)
            for name, own in (completions or {}).items()
        }
        self.teachers = dict(teachers or {})
        self.weights = dict(weights or {})
        self.balancer = balancer
        # for the balancer: features of the last step, and tasks with a target in the batch
        self._features: Tensor | None = None
        self._present: list[str] = []
        self._raw: dict[str, list[Tensor]] = {}  # losses of the epoch, with numbers of images
        self._outputs: list[dict[str, Tensor]] = []  # outputs of validation batches
        self._targets: list[dict[str, Tensor]] = []
        self._validated: list[Tensor] = []  # positions of their images
        self._tasks: Mapping[str, Task] = {}

    def prepare(self, model: Network, validation: DataLoader[Any] | None) -> None:
        """Checks the names of tasks, and selects the metric by which epochs are compared.

        Raises:
            InputError: If weights, completions or the balancer are for other tasks.
        """
        self._tasks = model.tasks
        given = [
            *self.weights,
            *self.completing,
            *self.teachers,
            *getattr(self.balancer, "tasks", ()),
        ]
        for name in given:
            if name not in self._tasks:
                raise InputError(
                    f"there is no task {name!r}: the model has {', '.join(self._tasks)}"
                )
        first = next(iter(self._tasks.values()))
        self.monitor = f"val_{first.score_name}" if len(self._tasks) == 1 else "val_score"
        if self.balancer is not None and self.ranks is not None:
            ranks = self.ranks
            self.balancer.total = lambda value: ranks.mean(value) * ranks.size

    def begin_epoch(self, model: Network, epoch: int, epochs: int) -> None:
        """Passes the progress of training to losses that depend on it."""
        for task in model.tasks.values():
            if isinstance(task.loss, nn.Module):
                set_progress(task.loss, epoch / (epochs or 1), epoch)

    def step(self, model: Network, batch: Batch, epoch: int) -> dict[str, Tensor]:
        """Returns the losses by task; auxiliary losses of a head are ``task/1`` and so on."""
        outputs, losses = self.outputs_and_losses(model, batch, epoch)
        for name, completing in self.completing.items():
            completing.keep(outputs[name], batch.index)
        return losses

    def outputs_and_losses(
        self, model: Network, batch: Batch, epoch: int
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Returns the outputs of each task, and the losses of :meth:`step`."""
        targets = self.current_targets(batch)
        features = model.features(batch.inputs)
        own: Mapping[str, Tensor] = model.task_features(features)
        if self.balancer is not None and self.ranks is None:
            own = self.balancer.share(features, own)
        outputs: dict[str, Tensor] = {}
        found: dict[str, Tensor] = {}
        counts = []
        for name, task in model.tasks.items():
            outputs[name], losses = task.losses(own[name], targets[name], epoch)
            if self.ranks is not None or self.balancer is not None:
                counts.append(task.known(targets[name]).sum())
            if self.ranks is not None:  # every loss is a mean over known targets
                weight = self.ranks.weight(counts[-1])
                losses = tuple(loss * weight for loss in losses)
            found |= {f"{name}/{k}" if k else name: loss for k, loss in enumerate(losses)}
        if self.balancer is not None:
            self._features, self._present = features, self._with_targets(model, counts)
        return outputs, found

    def _with_targets(self, model: Network, counts: list[Tensor]) -> list[str]:
        """Returns the tasks with a target in the batch of any process."""
        known = torch.stack(counts).float()
        known = known if self.ranks is None else self.ranks.mean(known)
        return [n for n, count in zip(model.tasks, known.tolist(), strict=True) if count]

    def current_targets(self, batch: Batch) -> dict[str, Tensor]:
        """Returns the current targets of a batch by task."""
        found = dict(batch.targets)
        for name, completing in self.completing.items():
            device = next(iter(batch.targets.values())).device
            found[name] = completing.targets(batch.index, device)
        for name, teacher in self.teachers.items():
            found[name] = teacher(batch.inputs, found[name])
        return found

    def total(self, losses: dict[str, Tensor]) -> Tensor:
        """Returns the weighted or balanced sum of the losses, plus auxiliary losses of heads."""
        if self.balancer is None:
            weighted = {name: self._weighted(name, loss) for name, loss in losses.items()}
            return super().total(weighted)
        main = {name: self._shared(loss) for name, loss in losses.items() if "/" not in name}
        for name, loss in main.items():
            self._raw.setdefault(name, []).append(
                loss.detach() if name in self._present else torch.full_like(loss, torch.nan)
            )
        balanced: Tensor = self.balancer(main, self._features, self._present)
        # absent tasks are added with weight 0, so that every parameter has a gradient in every step
        others = [loss for name, loss in losses.items() if name not in self._present]
        self._features = None
        return sum(others, balanced)

    def _shared(self, loss: Tensor) -> Tensor:
        """Returns a loss with the value of the whole batch and the gradient of this process."""
        return loss if self.ranks is None else loss + (self.ranks.mean(loss) - loss.detach())

    def _weighted(self, name: str, loss: Tensor) -> Tensor:
        weight = self.weights.get(name.partition("/")[0], 1.0)
        return loss if weight == 1 else weight * loss

    def reported(self, losses: dict[str, Tensor]) -> Tensor:
        """Returns the weighted sum of the tasks' own losses."""
        own = [self._weighted(name, loss) for name, loss in losses.items() if "/" not in name]
        return own[0].detach() if len(own) == 1 else torch.stack(own).sum().detach()

    @property
    def needs_end_step(self) -> bool:
        """Whether the balancer needs the losses after the step."""
        return self.balancer is not None and self.balancer.needs_second_losses

    @torch.no_grad()
    def end_step(self, model: Network, batch: Batch, epoch: int) -> None:
        """Passes the losses of the same batch after the step to the balancer."""
        assert self.balancer is not None
        kept = [buffer.clone() for buffer in model.buffers()]  # running averages of batch norm
        losses = self.outputs_and_losses(model, batch, epoch)[1]
        for buffer, before in zip(model.buffers(), kept, strict=True):
            buffer.copy_(before)
        main = {name: self._shared(loss) for name, loss in losses.items() if "/" not in name}
        self.balancer.after_step(main)

    def end_epoch(self, epoch: int, epochs: int) -> None:
        """Completes targets, and passes the mean losses to the balancer."""
        for completing in self.completing.values():
            completing.update((epoch + 1) / (epochs or 1), self.ranks)
        if self.balancer is not None:
            means = {name: float(torch.stack(own).nanmean()) for name, own in self._raw.items()}
            self.balancer.end_epoch(means)
            self._raw = {}

    def validation_step(self, model: Network, batch: Batch) -> None:
        """Stores the outputs, since metrics of a split are not means over its batches."""
        outputs = model.outputs(batch.inputs)
        self._outputs.append({name: value.float() for name, value in outputs.items()})
        self._targets.append(batch.targets)
        self._validated.append(batch.index)
        self._tasks = model.tasks

    def validation_metrics(self, epoch: int) -> dict[str, Tensor | float]:
        """Computes loss and scores over the whole split.

        Raises:
            DivergedError: If an output is not finite.
        """
        order = None
        if self.ranks is not None:
            order = self.ranks.gather(torch.cat(self._validated)).argsort()
        losses, scores = [], {}
        for name, task in self._tasks.items():
            outputs = torch.cat([own[name] for own in self._outputs])
            targets = torch.cat([own[name] for own in self._targets])
            if self.ranks is not None and order is not None:
                outputs, targets = (self.ranks.gather(x)[order] for x in (outputs, targets))
            if not bool(torch.isfinite(outputs).all()):
                raise DivergedError(
                    f"training diverged: after epoch {epoch + 1} the logits of validation images "
                    "are not finite, although all training losses were; lower --lr"
                )
            losses.append(self._weighted(name, task.loss_of(outputs, targets, epoch)))
            scores[f"val_{name}_{task.score_name}"] = task.score(outputs, targets)
        self._outputs, self._targets, self._validated = [], [], []
        if len(losses) == 1:
            (score,) = scores.values()
            return {"val_loss": losses[0], f"val_{task.score_name}": score}
        mean = float(torch.tensor(list(scores.values())).nanmean())
        return {"val_loss": torch.stack(losses).sum(), **scores, "val_score": mean}

    def memory(self) -> dict[str, Any]:
        """Returns the state of the completions."""
        return {name: own.completion.state_dict() for name, own in self.completing.items()}

    def recall(self, memory: dict[str, Any]) -> None:
        """Restores the state of the completions."""
        for name, own in self.completing.items():
            if name in memory:
                own.completion.load_state_dict(memory[name])
