"""Optimisation of heads on features: learning rate and decay by parameter group."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.optim.lr_scheduler import OneCycleLR

from gatlabel.encoders import parameter_groups
from gatlabel.nn import Head

FASTEST = 3e-3  # limit for non-linear parts; with larger rates heads end far from their start


@dataclass(frozen=True)
class FitOptions:
    """Options for training a head on features.

    Attributes:
        lr: Largest learning rate; see :func:`head_groups`.
        weight_decay: Weight decay of weights towards zero; biases have none.
        shrinkage: Share s, at least 0 and below 1, of the head's ``residual`` parameters that a
            step at the largest rate removes, including the step itself:
            ``O <- (1 - s) (O - lr * u)`` with Adam's step u, the proximal step of a squared
            penalty. With a share near 1 the head remains the linear head of its initialisation. If
            the step were added after shrinking, one full step would remain.
        epochs: Minimum number of epochs.
        least_steps: Minimum number of steps: a small set needs more epochs.
        batch_size: Images per step.
        warmup: Share of the steps in which the rate increases.
        ema: Final decay of the moving average that is evaluated; 0 for none.
        anchor_strength: Anchor strength of a linear initialisation, which replaces weight decay:
            the weights stay within ``1 / anchor_strength`` of it, in units of their root mean
            square (:func:`anchor_step`); 0 for none.
    """

    lr: float = 1e-3
    weight_decay: float = 1.0
    shrinkage: float = 0.3
    epochs: int = 20
    least_steps: int = 400
    batch_size: int = 128
    warmup: float = 0.2
    ema: float = 0.99
    anchor_strength: float = 3.0


def head_groups(
    head: Head, options: FitOptions, anchored: Sequence[Tensor] = ()
) -> list[dict[str, Any]]:
    """Groups the parameters by learning rate and weight decay.

    Parameters with the role ``linear`` in ``Head.param_groups`` use the rate of the options, all
    others at most :data:`FASTEST`. Biases have no decay; shrinkage applies to ``residual``.
    Anchored parameters decay towards their current values instead of zero (L2-SP: Li et al., ICML
    2018, arXiv:1802.01483), in units of their own root mean square: the length of Adam's steps is
    independent of the features, while ridge weights of few images in many features are very small.
    """
    slower = min(options.lr, FASTEST)
    roles = head.param_groups()
    linear = {id(p) for p in roles["linear"]}
    shrunk = {id(p): p for p in roles["residual"] if p.requires_grad}
    apart = {*shrunk, *map(id, anchored)}
    groups = []
    for group in parameter_groups(head, options.lr, weight_decay=options.weight_decay):
        free = [p for p in group["params"] if id(p) not in apart]
        groups.append({**group, "params": [p for p in free if id(p) in linear]})
        groups.append({**group, "params": [p for p in free if id(p) not in linear], "lr": slower})
    # AdamW does O <- O - rate (decay O + u)
    rate = slower * (1 - options.shrinkage)
    groups.append(
        {"params": list(shrunk.values()), "lr": rate, "weight_decay": options.shrinkage / rate}
    )
    for weight in anchored:
        size = weight.detach().square().mean().sqrt().item()
        pull = options.anchor_strength / size if size else 0.0
        groups.append(
            {
                **{"params": [weight], "lr": options.lr, "weight_decay": 0.0},
                **{"start": weight.detach().clone(), "pull": pull},
            }
        )
    return [group for group in groups if group["params"]]


@torch.no_grad()
def anchor_step(optimizer: torch.optim.Optimizer) -> None:
    """Applies the L2-SP step, which moves anchored parameters towards their initial values.

    It is the proximal step of ``pull / 2 * |W - start|²``: ``W <- start + (W - start) / (1 + rate *
    pull)``. Adam's steps, whose length is at most the rate, therefore lead no further away than
    ``1 / pull``, at any rate.
    """
    for group in optimizer.param_groups:
        if "start" in group:
            pull = group["lr"] * group["pull"]
            group["params"][0].lerp_(group["start"], pull / (1 + pull))


def make_optimizer(
    head: Head, options: FitOptions, anchored: list[Tensor], steps: int
) -> tuple[torch.optim.AdamW, OneCycleLR]:
    """Returns AdamW over :func:`head_groups`, and a one-cycle schedule of the given steps."""
    groups = head_groups(head, options, anchored)
    optimizer = torch.optim.AdamW(groups, lr=options.lr, fused=True)
    total = max(steps, 4)  # torch divides by the length of the warm-up
    schedule = OneCycleLR(
        optimizer,
        max_lr=[group["lr"] for group in groups],
        total_steps=total + 1,
        pct_start=max(options.warmup, 2 / total),
        cycle_momentum=False,
    )
    return optimizer, schedule
