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

    What is ``linear`` in ``Head.param_groups`` learns at the rate of the options, all else at
    :data:`FASTEST` at most; biases do not decay, and shrinkage holds the ``residual``. Those
    that are ``held`` decay to where they are now instead of to zero (L2-SP: Li et al., ICML 2018,
    arXiv:1802.01483), in units of their own root mean square: Adam's steps are as long whatever the
    features, while ridge regression of few pictures in many features is very small.
    """
    slower = min(options.lr, FASTEST)
    roles = head.param_groups()
    linear = {id(p) for p in roles["linear"]}
    shrunk = {id(p): p for p in roles["residual"] if p.requires_grad}
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
    for weight in held:
        size = weight.detach().square().mean().sqrt().item()
        pull = options.hold / size if size else 0.0
        groups.append(
            {
                **{"params": [weight], "lr": options.lr, "weight_decay": 0.0},
                **{"start": weight.detach().clone(), "pull": pull},
            }
        )
    return [group for group in groups if group["params"]]


@torch.no_grad()
def pull_back(optimizer: torch.optim.Optimizer) -> None:
    """Takes held parameters back towards their start, after a step and the step included.

    The proximal step of ``pull / 2 * |W - start|²``: ``W <- start + (W - start) / (1 + rate *
    pull)``. So steps of Adam, at most the rate long, lead no further away than ``1 / pull``, at any
    rate.
    """
    for group in optimizer.param_groups:
        if "start" in group:
            pull = group["lr"] * group["pull"]
            group["params"][0].lerp_(group["start"], pull / (1 + pull))
