"""What edges must be to make a label graph."""

from __future__ import annotations

import torch
from torch import Tensor

from gatlabel.errors import InputError
from gatlabel.labels import LabelSet


def check_edges(labels: LabelSet, index: Tensor, weight: Tensor, self_loops: bool) -> None:
    """Checks edges as they were given.

    Args:
        labels: The L labels.
        index: Should be integers ``(2, E)``, 0 to L − 1, no pair twice.
        weight: Should be ``(E,)`` and finite.
        self_loops: Whether an edge from a label to itself is allowed.

    Raises:
        InputError: If they are not; the message names the first wrong edge by its labels.
    """
    whole = not (index.is_floating_point() or index.is_complex() or index.dtype == torch.bool)
    if index.ndim != 2 or index.shape[0] != 2 or not whole:
        raise InputError(
            f"edge_index has shape {tuple(index.shape)} and type {index.dtype}: expected (2, E) "
            "integers, sources above targets"
        )
    if weight.shape != (index.shape[1],):
        raise InputError(f"edge_weight has shape {tuple(weight.shape)}, not ({index.shape[1]},)")
    L = len(labels)
    outside = ((index < 0) | (index >= L)).any(0)
    if outside.any():
        k = int(outside.nonzero()[0])
        raise InputError(f"edge {k} is {index[:, k].tolist()}: labels are numbered 0 to {L - 1}")
    if not weight.isfinite().all():
        k = int((~weight.isfinite()).nonzero()[0])
        raise InputError(f"the edge {_named(labels, index, k)} has the weight {weight[k]}")
    if not self_loops and (index[0] == index[1]).any():
        k = int((index[0] == index[1]).nonzero()[0])
        raise InputError(
            f"the edge {_named(labels, index, k)} is a self-loop; heads treat a label's own part "
            "apart: leave it out"
        )
    keys = (index[0].to(torch.int64) * L + index[1]).sort()
    twice = keys.values[1:] == keys.values[:-1]
    if twice.any():
        k = int(keys.indices[int(twice.nonzero()[0])])
        raise InputError(f"the edge {_named(labels, index, k)} stands more than once")


def _named(labels: LabelSet, index: Tensor, edge: int) -> str:
    return f"{labels[int(index[0, edge])]!r} -> {labels[int(index[1, edge])]!r}"
