"""How long a batch takes, tried on a copy that is thrown away."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable
from itertools import islice
from typing import Any

import torch
from torch import nn

from peer_study.clock import cpu_seconds

BATCHES = 3
Begin = Callable[[nn.Module, int], Callable[[Iterable[Any]], None]]


def seconds_a_batch(model: nn.Module, begin: Begin, loader: Iterable[Any]) -> float:
    """Measures processor seconds of a training step, with loading, after one to warm up.

    The state of torch's random numbers is put back: the training that follows is the same.

    Args:
        model: Is copied.
        begin: Makes of a model and a number of epochs what trains on batches.
        loader: Batches.
    """
    state = torch.get_rng_state()
    train = begin(copy.deepcopy(model), 1000)
    batches = iter(loader)
    train(islice(batches, 1))
    before = cpu_seconds()
    rest = list(islice(batches, BATCHES))
    train(rest)
    took = cpu_seconds() - before
    torch.set_rng_state(state)
    if not rest:  # an epoch of one batch
        before = cpu_seconds()
        train(islice(iter(loader), 1))
        return cpu_seconds() - before
    return took / len(rest)
