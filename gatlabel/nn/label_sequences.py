"""Decoding of label sequences: beam search with an end, in which no label occurs twice.

A prefix contains labels from 0 to L - 1, in the order in which they were chosen. Other numbers,
such as L for the end and -1 for padding, are not labels.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

#: The logit of a label that occurred before or is excluded: its probability is 0.
BLOCKED = -1e4
PADDING = -1


def block_used(logits: Tensor, prefix: Tensor) -> Tensor:
    """Returns logits in which labels that occurred at an earlier step are blocked.

    Args:
        logits: ``(..., T, L + 1)`` of T steps; the last is that of the end, which stays.
        prefix: Integers ``(..., T)``: the label of each step.

    Returns:
        ``(..., T, L + 1)``; every step is a distribution over the unused labels.
    """
    end = logits.shape[-1] - 1
    place = prefix.where((prefix >= 0) & (prefix < end), end)
    chosen = torch.zeros_like(logits, dtype=torch.bool).scatter(-1, place[..., None], True)
    used = chosen.long().cumsum(-2) - chosen.long() > 0  # before the step itself
    used[..., end] = False
    return logits.masked_fill(used, BLOCKED)


def beam_search(
    next_logits: Callable[[Tensor], Tensor],
    rows: int,
    length: int,
    width: int,
    end: int,
    device: torch.device | str = "cpu",
) -> tuple[Tensor, Tensor]:
    """Returns the most probable sequence that a beam search finds; width 1 is greedy decoding.

    A sequence ends with the end, or with its last label if it has ``length``. A width of at least
    the number of all sequences makes the search exhaustive.

    Args:
        next_logits: From ``(B, W, t + 1)``, labels of t steps and padding, to the logits
            ``(B, W, L + 1)`` of the next step, with labels that occurred blocked.
        rows: B.
        length: S, the maximum number of labels.
        width: Number of prefixes that are kept in each step.
        end: L, the number of the end.
        device: The device of the prefixes.

    Returns:
        int64 ``(B, S)``: labels, the end if there is room, then padding; and the log-probability
        ``(B,)`` of each sequence.
    """
    # padding fills the place of the next label, since ONNX does not support empty tensors well
    prefixes = torch.full((rows, 1, 1), PADDING, dtype=torch.int64, device=device)
    scores = torch.zeros(rows, 1, device=device)
    over = torch.zeros(rows, 1, dtype=torch.bool, device=device)
    finished = torch.full((end + 1,), -torch.inf, device=device)
    finished[end] = 0.0  # the only continuation after the end, at no cost
    for _ in range(length):
        each = next_logits(prefixes).log_softmax(-1)
        each = torch.where(over[..., None], finished.to(each), each)
        totals = (scores.to(each)[..., None] + each).flatten(1)  # (B, W * (L + 1))
        scores, best = totals.topk(min(width, totals.shape[1]))
        beam, label = best // (end + 1), best % (end + 1)
        kept = prefixes.gather(1, beam[..., None].expand(-1, -1, prefixes.shape[2]))
        prefixes = torch.cat([kept[..., :-1], label[..., None], kept[..., -1:]], -1)
        over = label == end
        if not torch.compiler.is_exporting() and bool(over.all()):
            break
    found = prefixes[:, 0, :-1]
    is_end = found == end
    found = found.masked_fill(is_end.long().cumsum(1) - is_end.long() > 0, PADDING)
    rest = found.new_full((rows, length - found.shape[1]), PADDING)
    return torch.cat([found, rest], 1), scores[:, 0]
