"""Targets of ``sequence`` tasks: label sets as sequences, and the order of their labels."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from gatlabel.errors import InputError
from gatlabel.losses.classes import UNKNOWN_CLASS
from gatlabel.targets import Targets

BLOCK = 4096  # rows of targets converted to dense at a time


def sequences_of_sets(
    targets: Mapping[str, Targets], length: int | None, task: str
) -> dict[str, Tensor]:
    """Returns label sets as sequences in the order of the labels, int32 ``(N, S + L)``.

    The last L columns have -2 - k for each label k that is unknown. Soft labels are present from
    0.5. An image without a known label is absent.

    Args:
        targets: By split, ``(N, L)``.
        length: S; ``None`` takes the maximum number of present labels of an image.
        task: The name of the task, for messages.

    Raises:
        InputError: If an image has more labels.
    """
    longest = max((_most_present(own) for own in targets.values()), default=1)
    if length is not None and longest > length:
        raise InputError(f"task {task!r}: an image has {longest} labels, more than length={length}")
    size = length or max(longest, 1)
    return {split: _sequences(own, size) for split, own in targets.items()}


def in_order(targets: Mapping[str, Tensor], order: str, labels: int) -> dict[str, Tensor]:
    """Returns sequences with their labels by frequency in the training images.

    Args:
        targets: By split, ``(N, S or more)``.
        order: ``given`` (unchanged), ``frequent`` (the most frequent label first) or ``rare``.
        labels: L.
    """
    if order == "given":
        return dict(targets)
    train = targets["train"]
    counts = torch.bincount(train[(train >= 0) & (train < labels)].long(), minlength=labels)
    by_rank = counts.argsort(descending=order == "frequent", stable=True)
    ranks = torch.cat([by_rank.argsort(), torch.arange(labels, labels + 2)])  # end, padding
    by_rank = torch.cat([by_rank, torch.tensor([labels, UNKNOWN_CLASS])])
    found = {}
    for split, own in targets.items():
        beyond = own < UNKNOWN_CLASS  # unknown labels do not move
        place = torch.where(own < 0, labels + 1, own.long())
        placed = by_rank[ranks[place].sort(1).values].to(own)
        found[split] = torch.where(beyond, own, placed)
    return found


def _blocks(targets: Targets) -> list[list[int]]:
    count = len(targets)
    return [list(range(k, min(k + BLOCK, count))) for k in range(0, count, BLOCK)]


def _most_present(targets: Targets) -> int:
    most = [int((targets.rows(block) >= 0.5).sum(1).max()) for block in _blocks(targets)]
    return max(most, default=0)


def _sequences(targets: Targets, length: int) -> Tensor:
    parts = [_rows(targets.rows(block), length) for block in _blocks(targets)]
    width = length + targets.shape[1]
    return torch.cat(parts) if parts else torch.zeros(0, width, dtype=torch.int32)


def _rows(dense: Tensor, length: int) -> Tensor:
    count = dense.shape[1]
    numbers = torch.arange(count)
    # present labels first, in their order; then the end; then padding
    keys = torch.where(dense >= 0.5, numbers, count).sort(1).values
    keys = torch.cat([keys, torch.full((len(dense), length), count)], 1)[:, :length]
    past = (keys == count).long().cumsum(1) > 1
    sequence = keys.masked_fill(past, UNKNOWN_CLASS)
    unknown = torch.where(dense < 0, -2 - numbers, UNKNOWN_CLASS)
    nothing = (dense < 0).all(1, keepdim=True)
    return torch.cat([sequence, unknown], 1).masked_fill(nothing, UNKNOWN_CLASS).int()
