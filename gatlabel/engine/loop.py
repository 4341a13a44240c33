"""A plain training loop for models that train in seconds: heads on features."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from gatlabel.batch import Batch
from gatlabel.engine.averaging import warmed_average
from gatlabel.engine.objectives import Objective
from gatlabel.model import Network


def train(
    model: Network,
    objective: Objective,
    batches: Callable[[int], Iterable[Batch]],
    optimizer: Optimizer,
    schedule: LRScheduler,
    epochs: int,
    *,
    ema: float = 0.0,
    after_step: Callable[[], None] = lambda: None,
    after_epoch: Callable[[int], None] = lambda epoch: None,
) -> None:
    """Trains a model in place; at the end it has the averaged weights and is in evaluation mode.

    There is no validation, checkpoint, clipping or mixed precision; use
    :func:`gatlabel.engine.fitting.fit` for these, which costs some milliseconds per step.

    Args:
        model: The model.
        objective: Computes the losses.
        batches: Returns the batches of an epoch, given its number from 0.
        optimizer: The optimiser of the model's parameters.
        schedule: The learning-rate schedule, which steps after every optimiser step.
        epochs: Passes over the batches.
        ema: Final decay of the moving average of the weights; 0 for none.
        after_step: Called after each optimiser step, before the step of the schedule.
        after_epoch: Called with the finished epoch; the model is set to training mode afterwards.
    """
    current = [p.detach() for p in model.parameters()]
    average = [p.clone() for p in current]
    update = warmed_average(ema)
    model.train()
    steps = 0
    for epoch in range(epochs):
        objective.begin_epoch(model, epoch, epochs)
        for batch in batches(epoch):
            random = torch.get_rng_state() if objective.needs_end_step else None
            loss = objective.total(objective.step(model, batch, epoch))
            optimizer.zero_grad(set_to_none=True)
            torch.autograd.backward(loss)
            optimizer.step()
            after_step()
            schedule.step()
            if random is not None:
                torch.set_rng_state(random)
                objective.end_step(model, batch, epoch)
            if ema and average:
                update(average, current, steps)
            steps += 1
        objective.end_epoch(epoch, epochs)
        after_epoch(epoch)
        model.train()
    if ema:
        with torch.no_grad():
            for parameter, value in zip(model.parameters(), average, strict=True):
                parameter.copy_(value)
    model.eval()
