"""Optimiser and learning-rate schedule of a run."""

from __future__ import annotations

from typing import Any

import torch
from torch.optim import Optimizer
from torch.optim.lr_scheduler import ConstantLR, LRScheduler, OneCycleLR, StepLR

from gatlabel.encoders import parameter_groups
from gatlabel.errors import InputError
from gatlabel.model import MultiLabelClassifier
from gatlabel.training.config import TrainConfig


def grouped_parameters(model: MultiLabelClassifier, config: TrainConfig) -> list[dict[str, Any]]:
    """Sorts the trainable parameters into groups of one learning rate and one weight decay.

    The encoder learns at ``encoder_lr`` times the rate; biases and norms do not decay; what is
    ``residual`` in ``Head.param_groups`` decays by ``shrinkage`` instead of ``weight_decay``.
    """
    scale = config.resolved().encoder_lr
    assert scale is not None
    rate = head_rate(config)
    groups = parameter_groups(model, rate, encoder_lr_scale=scale, weight_decay=config.weight_decay)
    shrunk = [p for p in model.head.param_groups()["residual"] if p.requires_grad]
    identities = {id(p) for p in shrunk}
    for group in groups:
        group["params"] = [p for p in group["params"] if id(p) not in identities]
    if shrunk:
        group = {"name": "shrunk", "params": shrunk, "lr": rate}
        groups.append({**group, "weight_decay": config.shrinkage})
    return [group for group in groups if group["params"]]


def head_rate(config: TrainConfig) -> float:
    """Returns the largest learning rate of the head.

    Raises:
        InputError: If it has yet to be found.
    """
    if config.lr is None or isinstance(config.lr, str):
        raise InputError(f"lr={config.lr}: only gatlabel train decides it; give a number")
    return config.lr


def make_optimizer(model: MultiLabelClassifier, config: TrainConfig) -> Optimizer:
    """Builds AdamW, or SGD with momentum 0.9, over the groups."""
    groups = grouped_parameters(model, config)
    assert config.lr is not None  # a resolved config has it
    if config.optimizer == "adamw":
        # Lightning cannot clip gradients under mixed precision if the optimiser is fused
        mixed = config.amp == "on" or (config.amp == "auto" and next(model.parameters()).is_cuda)
        return torch.optim.AdamW(groups, lr=head_rate(config), fused=not mixed)
    return torch.optim.SGD(groups, lr=head_rate(config), momentum=0.9)


def make_schedule(optimizer: Optimizer, config: TrainConfig, steps_per_epoch: int) -> LRScheduler:
    """Builds the learning-rate schedule, which steps after every optimiser step.

    All do: Lightning steps a schedule by epochs only after the epoch's checkpoint is written.
    """
    if config.schedule == "onecycle":
        rates = [group["lr"] for group in optimizer.param_groups]
        assert config.epochs is not None  # a resolved config has them
        steps = max(config.epochs * steps_per_epoch, 4)  # torch divides by the length of the rise
        return OneCycleLR(
            optimizer,
            max_lr=rates,
            total_steps=steps,
            pct_start=max(config.warmup, 2 / steps),
            cycle_momentum=False,
        )
    if config.schedule == "step":
        return StepLR(optimizer, config.step_epochs * steps_per_epoch, gamma=0.1)
    return ConstantLR(optimizer, factor=1.0)
