"""Optimiser and learning-rate schedule of a run."""

from __future__ import annotations

from typing import Any

import torch
from torch.optim import Optimizer
from torch.optim.lr_scheduler import ConstantLR, LRScheduler, OneCycleLR, StepLR

from gatlabel.encoders import parameter_groups
from gatlabel.errors import InputError
from gatlabel.model import MultiLabelClassifier
from gatlabel.nn.options import Conditioned
from gatlabel.training.config import TrainConfig
from gatlabel.training.options import OneCycle, Step


def grouped_parameters(model: MultiLabelClassifier, config: TrainConfig) -> list[dict[str, Any]]:
    """Sorts the trainable parameters into groups of one learning rate and one weight decay.

    The encoder learns at ``encoder_lr`` times the rate; biases and norms do not decay; what is
    ``residual`` in ``Head.param_groups`` decays by ``residual_decay`` instead of ``weight_decay``.
    """
    scale = config.resolved().optimizer.encoder_lr
    assert scale is not None
    rate = head_rate(config)
    decay = config.optimizer.weight_decay
    groups = parameter_groups(
        model,
        rate,
        encoder_lr_scale=scale,
        depth_decay=config.optimizer.depth_decay,
        weight_decay=decay,
    )
    shrunk = [p for p in model.head.param_groups()["residual"] if p.requires_grad]
    identities = {id(p) for p in shrunk}
    for group in groups:
        group["params"] = [p for p in group["params"] if id(p) not in identities]
    if shrunk:
        group = {"name": "shrunk", "params": shrunk, "lr": rate}
        # a head of another kind than the options name takes their default
        residual_decay = getattr(config.head, "residual_decay", Conditioned.residual_decay)
        groups.append({**group, "weight_decay": residual_decay})
    return [group for group in groups if group["params"]]


def head_rate(config: TrainConfig) -> float:
    """Returns the largest learning rate of the head.

    Raises:
        InputError: If it has yet to be found.
    """
    if config.optimizer.lr is None or isinstance(config.optimizer.lr, str):
        raise InputError(f"lr={config.optimizer.lr}: only gatlabel train decides it; give a number")
    return config.optimizer.lr


def make_optimizer(model: MultiLabelClassifier, config: TrainConfig) -> Optimizer:
    """Builds AdamW, or SGD with momentum 0.9, over the groups."""
    groups = grouped_parameters(model, config)
    assert config.optimizer.lr is not None  # a resolved config has it
    if config.optimizer.name == "adamw":
        # Lightning cannot clip gradients under mixed precision if the optimiser is fused
        amp, on_cuda = config.run.amp, next(model.parameters()).is_cuda
        mixed = amp == "on" or (amp == "auto" and on_cuda)
        return torch.optim.AdamW(groups, lr=head_rate(config), fused=not mixed)
    return torch.optim.SGD(groups, lr=head_rate(config), momentum=0.9)


def make_schedule(optimizer: Optimizer, config: TrainConfig, steps_per_epoch: int) -> LRScheduler:
    """Builds the learning-rate schedule, which steps after every optimiser step.

    All do: Lightning steps a schedule by epochs only after the epoch's checkpoint is written.
    """
    schedule = config.optimizer.schedule
    if isinstance(schedule, OneCycle):
        rates = [group["lr"] for group in optimizer.param_groups]
        assert config.run.epochs is not None  # a resolved config has them
        steps = max(config.run.epochs * steps_per_epoch, 4)  # torch divides by the rise's length
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
