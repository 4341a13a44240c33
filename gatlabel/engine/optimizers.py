"""Optimiser and learning-rate schedule."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import ConstantLR, LRScheduler, OneCycleLR, StepLR

from gatlabel.encoders import parameter_groups
from gatlabel.engine.options import OneCycle, OptimizerOptions, ScheduleOptions, Step
from gatlabel.engine.specs import FitSpec
from gatlabel.errors import InputError
from gatlabel.model import Network


def grouped_parameters(
    model: Network, options: OptimizerOptions, residual_decay: float
) -> list[dict[str, Any]]:
    """Groups the trainable parameters by learning rate and weight decay.

    Encoders have ``encoder_lr`` times the learning rate. Biases and norms have no weight decay. The
    group ``residual`` in ``Head.param_groups`` has ``residual_decay`` instead of ``weight_decay``.
    """
    assert options.encoder_lr is not None  # resolved options have it
    rate = head_rate(options)
    groups = parameter_groups(
        model,
        rate,
        encoder_lr_scale=options.encoder_lr,
        depth_decay=options.depth_decay,
        weight_decay=options.weight_decay,
    )
    shrunk = [p for p in model.parameters_with_role("residual") if p.requires_grad]
    identities = {id(p) for p in shrunk}
    for group in groups:
        group["params"] = [p for p in group["params"] if id(p) not in identities]
    if shrunk:
        group = {"name": "shrunk", "params": shrunk, "lr": rate}
        groups.append({**group, "weight_decay": residual_decay})
    return [group for group in groups if group["params"]]


def head_rate(options: OptimizerOptions) -> float:
    """Returns the largest learning rate of heads.

    Raises:
        InputError: If it is not a number yet.
    """
    if options.lr is None or isinstance(options.lr, str):
        raise InputError(f"lr={options.lr}: only supported by gatlabel train; give a number")
    return options.lr


def make_optimizer(
    model: Network,
    options: OptimizerOptions,
    spec: FitSpec,
    further: Sequence[nn.Parameter] = (),
) -> Optimizer:
    """Creates AdamW, or SGD with momentum 0.9, for the groups.

    Args:
        model: The model.
        options: The optimiser and its rates.
        spec: The fit specification, with the precision.
        further: Parameters of objective and losses, without weight decay.
    """
    rate = head_rate(options)
    groups = grouped_parameters(model, options, spec.residual_decay)
    learned = [p for p in further if p.requires_grad]
    if learned:
        groups.append({"name": "objective", "params": learned, "lr": rate, "weight_decay": 0.0})
    if options.name == "adamw":
        # Lightning cannot clip gradients under mixed precision if the optimiser is fused
        amp, on_cuda = spec.amp, next(model.parameters()).is_cuda
        mixed = amp == "on" or (amp == "auto" and on_cuda)
        return torch.optim.AdamW(groups, lr=rate, fused=not mixed)
    return torch.optim.SGD(groups, lr=rate, momentum=0.9)


def make_schedule(
    optimizer: Optimizer, schedule: ScheduleOptions, epochs: int, steps_per_epoch: int
) -> LRScheduler:
    """Creates the learning-rate schedule, which steps after every optimiser step.

    Lightning would step a schedule by epochs only after the epoch's checkpoint has been written.
    """
    if isinstance(schedule, OneCycle):
        rates = [group["lr"] for group in optimizer.param_groups]
        steps = max(epochs * steps_per_epoch, 4)  # torch divides by the length of the warm-up
        return OneCycleLR(
            optimizer,
            max_lr=rates,
            total_steps=steps,
            pct_start=max(schedule.warmup, 2 / steps),
            cycle_momentum=False,
        )
    if isinstance(schedule, Step):
        return StepLR(optimizer, schedule.epochs * steps_per_epoch, gamma=0.1)
    return ConstantLR(optimizer, factor=1.0)
