"""A linear head with more labels, whose classifiers are given or mixed from similar labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from gatlabel.errors import InputError
from gatlabel.labels import LabelSet
from gatlabel.nn import LinearHead

#: By new label: similar labels, all alike or with shares.
Likeness = Mapping[str, Mapping[str, float] | Sequence[str]]


def extended_head(
    head: LinearHead,
    labels: LabelSet,
    names: Sequence[str],
    like: Likeness | None = None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
) -> LinearHead:
    """Returns a head with M more labels; the rows of the old ones are copied bit for bit.

    Args:
        head: The head.
        labels: Its L labels.
        names: The new labels; they come last.
        like: Similar labels of each new one, where ``weight`` is not given.
        weight: ``(M, D)``.
        bias: ``(M,)``; by default 0 beside a given weight.

    Raises:
        InputError: If a label is there already, or nothing says what a new label is.
    """
    for name in names:
        if name in labels:
            raise InputError(f"the model has the label {name!r} already: give another name")
    old = head.linear
    if weight is None:
        rows = [_mixed_row(name, (like or {}).get(name), labels) for name in names]
        shares = torch.stack(rows).to(old.weight)
        weight, bias = shares @ old.weight.detach(), shares @ old.bias.detach()
    if bias is None:
        bias = weight.new_zeros(len(weight))
    if weight.shape != (len(names), old.in_features) or bias.shape != (len(names),):
        raise InputError(
            f"{len(names)} new labels need weights ({len(names)}, {old.in_features}) and as "
            f"many biases, got {tuple(weight.shape)} and {tuple(bias.shape)}"
        )
    found = LinearHead(old.in_features, labels=LabelSet([*labels, *names]))
    with torch.no_grad():
        found.linear.weight.copy_(torch.cat([old.weight, weight.to(old.weight)]))
        found.linear.bias.copy_(torch.cat([old.bias, bias.to(old.bias)]))
    return found.to(old.weight.device)


def _mixed_row(
    name: str, like: Mapping[str, float] | Sequence[str] | None, labels: LabelSet
) -> Tensor:
    """Shares of the old labels in the classifier of a new one: ``(L,)``, sum 1."""
    if not like:
        raise InputError(
            f"the new label {name!r} has no classifier: give similar labels with like=…, or the "
            "classifier with weight=…"
        )
    shares = dict(like) if isinstance(like, Mapping) else dict.fromkeys(like, 1.0)
    row = torch.zeros(len(labels))
    for other, share in shares.items():
        if not share > 0 or share == float("inf"):
            raise InputError(f"like: the share of {other!r} is {share}: must be above 0")
        row[labels.index(other)] = share
    return row / row.sum()
