"""What linear classifiers on frozen features start from, found once for all methods."""

from __future__ import annotations

import hashlib
from collections import OrderedDict

import numpy as np
from torch import Tensor

from gatlabel.baselines.ridge import LinearStart, ridge_start
from gatlabel.experiments.config import Start
from gatlabel.experiments.fitting import Features
from gatlabel.features import FeatureFile

#: What a linear classifier starts from, in a sentence of the protocol.
STARTS: dict[Start, str] = {
    "ridge": "linear classifiers of pooled features start as, and decay to, ridge regression whose "
    "penalty leave-one-out chose, along the edges of a graph of kin; others start at random and "
    "decay to zero",
    "random": "linear classifiers start at random and decay to zero",
}
MOST_KEPT = 16  # of the classifiers that a process found last

_found: OrderedDict[bytes, LinearStart] = OrderedDict()


def linear_start(
    file: FeatureFile, features: Features, targets: Tensor, sharing: Tensor | None = None
) -> LinearStart:
    """Returns :func:`~gatlabel.baselines.ridge.ridge_start` of these images.

    Methods and trials that learn from the same images and targets start at the same
    classifiers, so they are kept.

    Args:
        file: Where the features lie.
        features: Those of the training images, pooled.
        targets: ``(N, L)`` of these, -1 for unknown.
        sharing: ``(L, L)``, how labels share classifiers; none: each has its own.
    """
    hashed = hashlib.sha256(str(file.path).encode())
    parts = [features.rows, targets.numpy()]
    for part in parts if sharing is None else [*parts, sharing.numpy()]:
        hashed.update(np.ascontiguousarray(part).tobytes())
    key = hashed.digest()
    if key not in _found:
        _found[key] = ridge_start(features[np.arange(len(features))], targets, sharing)
        if len(_found) > MOST_KEPT:
            _found.popitem(last=False)
    return _found[key]
