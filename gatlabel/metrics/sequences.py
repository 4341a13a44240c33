"""Label sequences against true ones: in order, as sets, and by edit distance."""

from __future__ import annotations

import torch
from torch import Tensor

from gatlabel.errors import InputError

_NONE = -1


def sequence_metrics(
    predicted: Tensor, true: Tensor, labels: int, unknown: Tensor | None = None
) -> dict[str, float]:
    """Compares label sequences; each metric is a mean over images, NaN without images.

    ``exact_match``: share with correct labels in the correct order. ``exact_set``: share with
    correct labels in any order. ``set_F1``: F1 of the label set of each image, 1 if both are empty.
    ``edit_distance``: number of labels to insert, delete or replace (Levenshtein).

    Args:
        predicted: Integers ``(N, S)``: labels from 0 to L - 1; other numbers are ignored.
        true: Integers ``(N, T)``, likewise.
        labels: L.
        unknown: bool ``(N, L)``: labels that are left out of both sequences of an image.

    Raises:
        InputError: If the numbers of images differ.

    Example:
        >>> predicted, true = torch.tensor([[1, 0, 2]]), torch.tensor([[0, 1, 2]])
        >>> found = sequence_metrics(predicted, true, labels=3)
        >>> found["exact_match"], found["exact_set"], found["edit_distance"]
        (0.0, 1.0, 2.0)
    """
    if predicted.ndim != 2 or true.ndim != 2 or len(predicted) != len(true):
        raise InputError(
            f"predicted sequences {tuple(predicted.shape)} and true ones {tuple(true.shape)}: give "
            "one row per image of each"
        )
    ours, theirs = (_packed(each, labels, unknown) for each in (predicted, true))
    our_set, their_set = (_label_sets(each, labels) for each in (ours, theirs))
    both, sizes = (our_set & their_set).sum(1), our_set.sum(1) + their_set.sum(1)
    f1 = (2.0 * both.double() / sizes).where(sizes > 0, 1.0)  # both sets are empty
    distance = edit_distance(ours, theirs)
    figures = {
        "exact_match": distance == 0,
        "exact_set": (our_set == their_set).all(1),
        "set_F1": f1,
        "edit_distance": distance,
    }
    return {name: float(each.double().mean()) for name, each in figures.items()}


def edit_distance(ours: Tensor, theirs: Tensor) -> Tensor:
    """Returns the minimum number of insertions, deletions and replacements for each row.

    Args:
        ours: Integers ``(N, S)``; -1 after the last.
        theirs: Integers ``(N, T)``, likewise.

    Returns:
        int64 ``(N,)`` (Wagner and Fischer, *The string-to-string correction problem*, 1974).
    """
    lengths = [(each != _NONE).sum(1) for each in (ours, theirs)]
    row = torch.arange(theirs.shape[1] + 1, device=ours.device).repeat(len(ours), 1)
    rows = [row]
    for place in range(ours.shape[1]):
        above, current = rows[-1], [rows[-1][:, 0] + 1]
        replaced = above[:, :-1] + (ours[:, place, None] != theirs)
        for column in range(theirs.shape[1]):
            least = torch.minimum(above[:, column + 1], current[-1]) + 1
            current.append(torch.minimum(least, replaced[:, column]))
        rows.append(torch.stack(current, 1))
    table = torch.stack(rows, 1)  # (N, S + 1, T + 1)
    return table[torch.arange(len(ours), device=ours.device), lengths[0], lengths[1]]


def _packed(sequence: Tensor, labels: int, unknown: Tensor | None) -> Tensor:
    """Returns the labels of each row that count, in order, with -1 after the last."""
    counts = (sequence >= 0) & (sequence < labels)
    if unknown is not None and labels:
        counts &= ~unknown.gather(1, sequence.clamp(0, labels - 1))
    order = (~counts).byte().argsort(dim=1, stable=True)
    width = int(counts.sum(1).max()) if counts.numel() else 0
    return sequence.masked_fill(~counts, _NONE).gather(1, order)[:, :width]


def _label_sets(packed: Tensor, labels: int) -> Tensor:
    marks = torch.zeros(len(packed), labels + 1, dtype=torch.bool, device=packed.device)
    return marks.scatter(1, packed.where(packed != _NONE, labels), True)[:, :labels]
