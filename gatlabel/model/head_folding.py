"""Folding of heads whose classifiers do not depend on the image into a linear head."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import TypeVar

import torch
from torch import nn

from gatlabel.errors import InputError
from gatlabel.model.multi_task import Model
from gatlabel.nn import Foldable, Head, LinearHead
from gatlabel.nn.modes import evaluating

H = TypeVar("H", bound=nn.Module)


def folded_head(head: H, labels: Sequence[str] | None = None) -> H | LinearHead:
    """Returns a linear head with equal logits; a head that depends on the image is unchanged.

    Args:
        head: The head.
        labels: Names of its labels; default: those of the head.

    Raises:
        InputError: If the folded head's logits differ from the head's.
    """
    if not isinstance(head, Foldable) or isinstance(head, LinearHead):
        return head
    assert isinstance(head, Head)
    folded = LinearHead(head.in_features, labels=labels or head.labels or head.out_features)
    folded.linear = head.fold()
    with torch.no_grad(), evaluating(head):
        weight = folded.linear.weight
        probe = torch.randn(8, head.in_features, device=weight.device, dtype=weight.dtype)
        theirs, ours = head(probe), folded.linear(probe)
    close = max(1e-4, 16 * torch.finfo(weight.dtype).eps)  # half precision rounds more
    if not torch.allclose(theirs, ours, rtol=close, atol=close * float(theirs.abs().max())):
        raise InputError("the logits of the folded head differ from those of the head")
    return folded


def folded_model(model: Model) -> Model:
    """Returns a copy of a model with several tasks in which heads are folded if possible.

    Raises:
        InputError: As :func:`folded_head`.
    """
    found = copy.deepcopy(model)
    for number, (name, task) in enumerate(found.tasks.items()):
        task.head = found.heads[number] = folded_head(task.head)
        found.replace_head(name, task.head)
    if found.shared is not None:
        found.shared.head = folded_head(found.shared.head)
        found.replace_head(None, found.shared.head)
    return found
