"""The explanation of one image: a heat map and contributions of neighbours for each label."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gatlabel.errors import InputError, unknown_choice
from gatlabel.explain.activation import activation_maps
from gatlabel.explain.drawing import Panel, draw_panels
from gatlabel.explain.neighbours import MOST, NeighbourContribution, neighbour_contributions

if TYPE_CHECKING:
    from gatlabel.model import MultiLabelClassifier


@dataclass(frozen=True)
class LabelExplanation:
    """The explanation of the logit of one label in one image.

    Attributes:
        label: The label.
        probability: 0 to 1.
        logit: Its logit.
        heat: float32 ``(h, w)``: the class activation map, one value per cell of the encoder's map.
        elsewhere: The part of the logit that the map does not explain: logit minus mean of the
            map. For a linear or folded head on average pooling it is the bias.
        neighbours: Contributions along in-edges, the largest absolute one first.
    """

    label: str
    probability: float
    logit: float
    heat: NDArray[np.float32]
    elsewhere: float
    neighbours: tuple[NeighbourContribution, ...]

    def to_dict(self) -> dict[str, Any]:
        """Returns primitive values for JSON."""
        return {
            "label": self.label,
            "probability": self.probability,
            "logit": self.logit,
            "heat": [[round(float(value), 5) for value in row] for row in self.heat],
            "elsewhere": self.elsewhere,
            "neighbours": [vars(neighbour) for neighbour in self.neighbours],
        }


@dataclass(frozen=True)
class ImageExplanation:
    """The explanation of the labels of one image.

    Attributes:
        source: Name of the image.
        image: uint8 ``(S, S, 3)``: the input of the model.
        labels: The requested labels, or the most probable ones, most probable first.
    """

    source: str
    image: NDArray[np.uint8]
    labels: tuple[LabelExplanation, ...]

    def to_dict(self) -> dict[str, Any]:
        """Returns primitive values for JSON, without the pixels."""
        return {"source": self.source, "labels": [each.to_dict() for each in self.labels]}

    def draw(self, path: str | os.PathLike[str]) -> None:
        """Draws the image with a heat map for each label, and bars of its neighbours.

        Red increases the logit, blue decreases it; all heat maps share one scale.

        Raises:
            InputError: If the file is not a png, svg or pdf, or cannot be written.
        """
        panels = [
            Panel(
                each.label,
                each.probability,
                each.heat,
                [(neighbour.source, neighbour.contribution) for neighbour in each.neighbours],
            )
            for each in self.labels
        ]
        draw_panels(self.image, self.source, panels, path)


def explain_image(
    model: MultiLabelClassifier,
    image: Tensor,
    *,
    labels: Sequence[str] | None = None,
    top: int = 3,
    probabilities: Sequence[float] | NDArray[np.float64] | None = None,
    source: str = "image",
    neighbours: int = MOST,
) -> ImageExplanation:
    """Explains the logits of one image.

    Args:
        model: The model, with its original head, not folded.
        image: uint8 ``(3, S, S)``, resized as in evaluation.
        labels: The labels to explain; default: the ``top`` most probable ones.
        top: Number of labels to explain if ``labels`` is not given.
        probabilities: Calibrated probabilities of the L labels; default: sigmoid of the logits.
        source: Name of the image.
        neighbours: Maximum number of in-edges per label; each costs one evaluation of the head.

    Raises:
        InputError: If there is no such label, ``top`` is below 1, or the model returns NaN.
    """
    for label in labels or ():
        if label not in model.labels:
            raise unknown_choice("label", label, model.labels.names)
    if top < 1:
        raise InputError(f"top={top}: must be at least 1")
    _, logits = activation_maps(model, image, ())
    if bool(logits.isnan().any()):
        raise InputError("the model gives NaN: its training has diverged")
    given = logits.double().sigmoid() if probabilities is None else torch.tensor(probabilities)
    if labels is None:
        chosen: list[int] = given.argsort(descending=True, stable=True)[:top].tolist()
    else:
        chosen = [model.labels.index(label) for label in labels]
    maps, logits = activation_maps(model, image, chosen)
    found = [
        LabelExplanation(
            model.labels[label],
            float(given[label]),
            float(logits[label]),
            maps[row].numpy(),
            float(logits[label] - maps[row].mean()),
            neighbour_contributions(model, image, label, most=neighbours),
        )
        for row, label in enumerate(chosen)
    ]
    found.sort(key=lambda each: -each.probability)
    pixels = image.permute(1, 2, 0).cpu().numpy()
    return ImageExplanation(source, pixels, tuple(found))
