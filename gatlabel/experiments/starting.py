"""Initialisation of linear classifiers on frozen features, computed once for all methods."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Sequence

import numpy as np
from torch import Tensor

from gatlabel.baselines.ridge import LinearStart, ridge_start
from gatlabel.experiments.config import Start
from gatlabel.experiments.fitting import Features
from gatlabel.features import FeatureFile

#: The initialisation of linear classifiers, as a sentence of the protocol.
STARTS: dict[Start, str] = {
    "ridge": "linear classifiers of pooled features are initialised with, and decay to, ridge "
    "regression with the penalty chosen by leave-one-out, along the edges of a graph of "
    "similarity; others start at random and decay to zero",
    "random": "linear classifiers start at random and decay to zero",
}
MOST_KEPT = 16  # size of the cache of classifiers in a process

_found: OrderedDict[bytes, LinearStart] = OrderedDict()


def linear_start(
    file: FeatureFile,
    features: Features,
    targets: Tensor,
    sharing: Tensor | None = None,
    groups: Sequence[str] | None = None,
) -> LinearStart:
    """Returns :func:`~gatlabel.baselines.ridge.ridge_start` of these images.

    Methods and trials with the same training images and targets have the same initial classifiers,
    so they are cached.

    Args:
        file: The file of the features.
        features: Pooled features of the training images.
        targets: ``(N, L)`` of these, -1 for unknown.
        sharing: The mixing matrix ``(L, L)``, or ``None`` for independent classifiers.
        groups: The group of each image; images of one group are left out together. It is that of
            the file and of the rows, so the cache does not look at it.
    """
    hashed = hashlib.sha256(str(file.path).encode())
    parts = [features.rows, targets.numpy()]
    for part in parts if sharing is None else [*parts, sharing.numpy()]:
        hashed.update(np.ascontiguousarray(part).tobytes())
    key = hashed.digest()
    if key not in _found:
        every = features[np.arange(len(features))]
        _found[key] = ridge_start(every, targets, sharing, groups)
        if len(_found) > MOST_KEPT:
            _found.popitem(last=False)
    return _found[key]
