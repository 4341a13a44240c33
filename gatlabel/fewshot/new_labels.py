"""A new label for a trained model: its classifier from few images, similar labels, or both."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from gatlabel.baselines.moments import Moments
from gatlabel.errors import InputError
from gatlabel.fewshot.learners import score_variance, shrunk_discriminant, unit_scores
from gatlabel.model import MultiLabelClassifier
from gatlabel.nn import LinearHead

#: λ for n images is ``(PENALTY + GROWTH / n)`` times the features' mean square. PENALTY, GROWTH
#: and WEIGHT were chosen on the photographs of docs/studies/few-shot.md.
PENALTY, GROWTH = 10.0, 50.0
#: α, the weight of similar labels relative to images.
WEIGHT = 0.3


@dataclass(frozen=True, eq=False)
class NewLabel:
    """The classifier of a new label.

    Attributes:
        weight: float32 ``(D,)``.
        bias: float32 scalar.
        like: Shares of the similar labels by name, with sum 1; empty if there are none.
        images: Number of images of the new label.
    """

    weight: Tensor
    bias: Tensor
    like: dict[str, float]
    images: int


@torch.no_grad()
def learn_label(
    model: MultiLabelClassifier,
    name: str,
    *,
    like: Mapping[str, float] | None = None,
    shown: Tensor | None = None,
    moments: Moments | None = None,
) -> NewLabel:
    r"""Computes the classifier of a new label in closed form.

    With the shares s of similar labels and their classifiers W, the prior classifier is
    ``m = Σ_j s_j W_j``. Images update it: :func:`~gatlabel.fewshot.learners.shrunk_discriminant`.
    Mean and spread of its logits over the training images are set to those of the similar labels,
    or of all labels if none is similar.

    Args:
        model: A trained model whose head folds.
        name: The new label.
        like: Shares of similar labels.
        shown: ``(n, D)``, features of images that show the label.
        moments: Mean and covariance of the training features; required with images.

    Raises:
        InputError: If the model has the label already, neither images nor similar labels are given,
            or a label of ``like`` is unknown.

    Example:
        >>> from gatlabel import MultiLabelClassifier
        >>> model = MultiLabelClassifier.create("resnet18", "linear", labels=["cat", "dog"])
        >>> fox = learn_label(model, "fox", like={"dog": 2, "cat": 1})
        >>> bigger = model.add_labels(["fox"], weight=fox.weight[None], bias=fox.bias[None])
        >>> bigger.labels[2]
        'fox'
    """
    if name in model.labels:
        raise InputError(f"the model has the label {name!r} already: give another name")
    images = 0 if shown is None else len(shown)
    shares = {other: share for other, share in (like or {}).items() if share > 0}
    if not images and not shares:
        raise InputError(
            f"the new label {name!r} has neither images nor similar labels: give at least one"
        )
    if images and moments is None:
        raise InputError("images of a new label need the moments of the training images' features")
    old = model.fold().head
    weights, biases = (part.double() for part in _classifier(old, model))
    every = torch.zeros(len(model.labels), dtype=torch.float64)
    for other, share in shares.items():
        every[model.labels.index(other)] = share
    every = every / every.sum() if shares else every
    prior = every @ weights
    weight, bias = prior, every @ biases
    if moments is not None:
        measured = every if shares else torch.full_like(every, 1 / len(every))
        if images and shown is not None:
            unit = unit_scores(prior[None], moments)
            penalty = (PENALTY + GROWTH / images) * moments.mean_square
            mean = shown.double().mean(0)[None]
            weight = shrunk_discriminant(moments, mean, WEIGHT * unit, penalty)[0]
        wanted = measured @ score_variance(weights, moments).sqrt()
        spread = score_variance(weight[None], moments)[0].sqrt()
        if spread > 0 and wanted > 0:
            weight = weight * (wanted / spread)
        bias = measured @ (weights @ moments.mean + biases) - weight @ moments.mean
    total = sum(shares.values())
    shares = {other: share / total for other, share in shares.items()}
    return NewLabel(weight.float(), bias.float(), shares, images)


def _classifier(head: object, model: MultiLabelClassifier) -> tuple[Tensor, Tensor]:
    if not isinstance(head, LinearHead):
        raise InputError(
            f"the head {model.head.kind!r} depends on the image, so no label can be added to it: "
            "train a head that folds, such as gat or linear"
        )
    return head.classifier()
