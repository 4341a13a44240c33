"""Published label statistics for scenes, and the labels that can be drawn."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from gatlabel.data.scenes.ising import Array
from gatlabel.data.scenes.silhouettes import ASSETS, silhouette_names
from gatlabel.errors import unknown_choice
from gatlabel.files import read_json

FILES = {"voc": "voc2007-trainval.json", "coco": "coco2014-train.json"}
LEAST_FREQUENT = 0.01  # rarer labels have too few positives in a thousand images for evaluation
SILHOUETTE_OF = {  # name in VOC -> name in COCO
    "aeroplane": "airplane",
    "diningtable": "dining table",
    "motorbike": "motorcycle",
    "pottedplant": "potted plant",
    "sofa": "couch",
    "tvmonitor": "tv",
}


@dataclass(frozen=True, eq=False)
class LabelStatistics:
    """Counts over a published data set for the labels that scenes can draw.

    Attributes:
        source: The data set that was counted.
        names: The L labels.
        counts: Images with the label, float64 ``(L,)``.
        pairs: Images with both labels, float64 symmetric ``(L, L)``, zero diagonal.
        images: Number of images counted.
        left_out: Labels of the data set that are not drawn: rarer than 1 % or without a
            silhouette.
    """

    source: str
    names: tuple[str, ...]
    counts: Array
    pairs: Array
    images: int
    left_out: tuple[str, ...]


def silhouette_of(label: str) -> str:
    """The name under which a label's silhouette is stored."""
    return SILHOUETTE_OF.get(label, label)


@cache
def published_statistics(name: str) -> LabelStatistics:
    """Reads the embedded counts of ``"voc"`` (2007 trainval) or ``"coco"`` (2014 train).

    Raises:
        InputError: If there are no statistics of that name.
    """
    if name not in FILES:
        raise unknown_choice("label statistics", name, FILES)
    content: dict[str, Any] = read_json(ASSETS / FILES[name], "label statistics")
    every: list[str] = content["names"]
    counts = np.array(content["counts"], dtype=np.float64)
    pairs = np.zeros((len(every), len(every)))
    for i, j, number in content["pairs"]:
        pairs[i, j] = pairs[j, i] = number
    drawable = set(silhouette_names())
    keep = [
        i
        for i, label in enumerate(every)
        if silhouette_of(label) in drawable and counts[i] >= LEAST_FREQUENT * content["images"]
    ]
    return LabelStatistics(
        source=content["source"],
        names=tuple(every[i] for i in keep),
        counts=counts[keep],
        pairs=pairs[np.ix_(keep, keep)],
        images=content["images"],
        left_out=tuple(label for i, label in enumerate(every) if i not in keep),
    )
