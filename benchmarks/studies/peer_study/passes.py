"""One pass of the frozen encoder over a set: its features, and what an image costs."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from peer_study.clock import Clock
from peer_study.sets import StudySet

WARM_UP = 64  # images before the clock starts


@dataclass(frozen=True)
class Pass:
    """Features of all images of a set.

    Attributes:
        features: float32 ``(N, D)``.
        seconds: Processor seconds an image, from file to features.
    """

    features: NDArray[np.float32]
    seconds: float


# user: begin features
def encoder_features(root, labels, names, targets, size, cache):  # type: ignore[no-untyped-def]
    from gatlabel.data import FileImages
    from gatlabel.encoders import create_encoder
    from gatlabel.features import extract
    from gatlabel.model import MultiLabelClassifier
    from gatlabel.nn import LinearHead

    encoder = create_encoder("efficientnet_lite0", "default")
    head = LinearHead(encoder.out_features, len(labels))
    model = MultiLabelClassifier(encoder, head, labels, image_size=size)
    return extract(model, FileImages(root, labels, names, targets), "pooled", cache).open()


# user: end


def run_pass(data: StudySet, size: int, folder: Path) -> Pass:
    """Runs the encoder over all images of a set, or reads what an earlier call left.

    Args:
        data: The set.
        size: Side of the images in pixels.
        folder: Where features and their cost are kept.
    """
    place = folder / f"{data.root.name}-{size}"
    note = place / "pass.json"
    if note.is_file():
        return Pass(np.load(place / "features.npy"), json.loads(note.read_text())["seconds"])
    from gatlabel.labels import LabelSet

    labels = LabelSet(data.labels)

    def features(which: slice, name: str) -> NDArray[np.float32]:
        found = encoder_features(
            data.root, labels, data.names[which], data.present[which], size, place / name
        )
        return np.array(found)

    features(slice(0, WARM_UP), "warm-up")
    clock = Clock()
    found = features(slice(None), "cache")
    seconds = clock.seconds / len(data.names)
    np.save(place / "features.npy", found)
    note.write_text(json.dumps({"seconds": seconds, "images": len(data.names), "size": size}))
    return Pass(found, seconds)
