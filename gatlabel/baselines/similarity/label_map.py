"""Kernel ridge regression from label vectors to classifiers."""

from __future__ import annotations

import torch
from torch import Tensor

from gatlabel.baselines.similarity.sources import normalised

#: Candidate penalties, in units of the mean squared length of the centred vectors.
MAP_PENALTIES = (0.3, 1.0, 3.0)


def map_weights(vectors: Tensor, seen: Tensor, penalty: float) -> Tensor:
    r"""Returns the weights A of the seen labels' classifiers W in the predicted classifiers.

    Ridge regression from vectors to classifiers is linear in the classifiers (Romera-Paredes &
    Torr, *An embarrassingly simple approach to zero-shot learning*, ICML 2015, with classifiers
    as its targets). With the kernel ``K = V Vᵀ`` of centred vectors and penalty μ::

        A_u = k_uᵀ (K + μ I)⁻¹                   labels not seen
        A_i = −P_ij / P_ii (j ≠ i),  P = (K + μ I)⁻¹      seen labels, predicted from the others

    Args:
        vectors: ``(L, F)``, of length 1, or 0 for labels without a vector.
        seen: bool ``(L,)``, S of them.
        penalty: μ.

    Returns:
        float64 ``(L, L)``; columns of labels that are not seen are zero, as are rows of labels
        without a vector.
    """
    there = vectors.norm(dim=1) > 0
    rows = (seen & there).nonzero()[:, 0]
    found = torch.zeros(len(vectors), len(vectors), dtype=torch.float64)
    if len(rows) < 2:
        return found
    centred = torch.where(there[:, None], vectors - vectors[rows].mean(0), 0.0)
    kernel = centred @ centred[rows].T
    kernel = kernel / kernel[rows].diagonal().mean().clamp(min=1e-30)
    inverse = torch.linalg.inv(kernel[rows] + penalty * torch.eye(len(rows), dtype=torch.float64))
    found[:, rows] = kernel @ inverse
    left_out = -inverse / inverse.diagonal()[:, None]
    found[rows[:, None], rows] = left_out.fill_diagonal_(0)
    return found


def predictions(
    similarity: Tensor, vectors: Tensor | None, seen: Tensor, map_penalty: float | None
) -> Tensor:
    """Returns the weights of the seen labels' classifiers in each predicted one, ``(L, L)``.

    Args:
        similarity: ``(L, L)``, row = target.
        vectors: ``(L, F)``, if the map is used.
        seen: bool ``(L,)``.
        map_penalty: μ of the map, or ``None`` for the average of similar labels.
    """
    if map_penalty is None or vectors is None:
        return normalised(similarity * seen)
    return map_weights(vectors, seen, map_penalty)
