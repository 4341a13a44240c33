"""Initialisation of linear classifiers on frozen features, computed once for all methods."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from gatlabel.baselines.ridge import LinearStart
from gatlabel.baselines.similarity import SimilarityChoice
from gatlabel.baselines.similarity.start import Sharing, shared_start
from gatlabel.experiments.config import Start
from gatlabel.experiments.fitting import Features
from gatlabel.features import FeatureFile

#: The initialisation of linear classifiers, as a sentence of the protocol.
STARTS: dict[Start, str] = {
    "ridge": "linear classifiers of pooled features are initialised with, and decay to, ridge "
    "regression with the penalty chosen by leave-one-out, shared along the edges of a graph of "
    "similarity, or by the map of the graph similarity; others start at random and decay to zero",
    "random": "linear classifiers start at random and decay to zero",
}
MOST_KEPT = 16  # size of the cache of classifiers in a process

_found: OrderedDict[bytes, LinearStart] = OrderedDict()


def linear_start(
    file: FeatureFile,
    features: Features,
    targets: Tensor,
    sharing: Sharing = None,
    groups: Sequence[str] | None = None,
) -> LinearStart:
    """Returns :func:`~gatlabel.baselines.similarity.start.shared_start` of these images.

    Methods and trials with the same training images and targets have the same initial classifiers,
    so they are cached.

    Args:
        file: The file of the features.
        features: Pooled features of the training images.
        targets: ``(N, L)`` of these, -1 for unknown.
        sharing: A mixing matrix ``(L, L)``, a choice of similarity, or ``None`` for independent
            classifiers.
        groups: The group of each image; images of one group are left out together. It is that of
            the file and of the rows, so the cache does not look at it.
    """
    hashed = hashlib.sha256(str(file.path).encode())
    for part in (features.rows, targets.numpy(), *_parts(sharing)):
        hashed.update(np.ascontiguousarray(part).tobytes())
    key = hashed.digest()
    if key not in _found:
        every = features[np.arange(len(features))]
        _found[key] = shared_start(every, targets, sharing, groups)
        if len(_found) > MOST_KEPT:
            _found.popitem(last=False)
    return _found[key]


def _parts(sharing: Sharing) -> list[NDArray[np.float64]]:
    """Returns all that classifiers depend on."""
    if isinstance(sharing, SimilarityChoice):
        mixing = [sharing.strengths(), sharing.similarity, sharing.prediction]
        return [part.numpy() for part in mixing]
    return [] if sharing is None else [sharing.numpy()]
