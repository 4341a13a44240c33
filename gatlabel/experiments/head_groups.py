"""Which rate and which decay the parameters of a head have in a fit on features."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from gatlabel.encoders import parameter_groups
from gatlabel.nn import Head

if TYPE_CHECKING:
    from gatlabel.experiments.fitting import FitOptions

FASTEST = 3e-3  # rate of what is not linear; faster, heads end far from where they started


def head_groups(
    head: Head, options: FitOptions, held: Sequence[Tensor] = ()
) -> list[dict[str, Any]]:
    """Sorts the parameters by learning rate and weight decay.

    What the head names in ``linear_parameters`` learns at the rate of the options, all else at
    :data:`FASTEST` at most; biases do not decay, and shrinkage holds ``shrunk_parameters``. Those
    that are ``held`` decay to where they are now instead of to zero (L2-SP: Li et al., ICML 2018,
    arXiv:1802.01483).
    """
    slower = min(options.lr, FASTEST)
    linear = {id(p) for p in head.linear_parameters()}
    shrunk = {id(p): p for p in head.shrunk_parameters() if p.requires_grad}
    apart = {*shrunk, *map(id, held)}
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
    groups.append(
        {
            **{"params": list(held), "lr": options.lr, "weight_decay": 0.0},
            **{"start": [p.detach().clone() for p in held], "pull": options.weight_decay},
        }
    )
    return [group for group in groups if group["params"]]


@torch.no_grad()
def pull_back(optimizer: torch.optim.Optimizer) -> None:
    """Takes held parameters back towards their start by rate times decay, as a step begins."""
    for group in optimizer.param_groups:
        if "start" in group:
            share = min(1.0, group["lr"] * group["pull"])
            torch._foreach_lerp_(group["params"], group["start"], share)


@torch.no_grad()
def move_start(optimizer: torch.optim.Optimizer, start: Tensor) -> None:
    """Moves what held parameters decay to, and them by as much: what they learned stays learned."""
    for group in optimizer.param_groups:
        for parameter, old in zip(group["params"], group.get("start", ()), strict=False):
            parameter.add_(start - old)
            old.copy_(start)
