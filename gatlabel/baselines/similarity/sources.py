"""Sources of label similarity: names, vectors, a hierarchy, or the training targets."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from gatlabel.baselines.similarity.from_targets import cooccurrence_profile, learned_relation
from gatlabel.errors import InputError
from gatlabel.labels import LabelSet

if TYPE_CHECKING:
    from gatlabel.graph import LabelGraph

#: Exponent of cosines, so that near neighbours count much more than remote ones.
SHARPNESS = 8
#: Maximum number of neighbours per label.
NEIGHBOURS = 10
#: Maps features ``(N, D)`` and targets ``(N, L)`` of some images to similarities ``(L, L)``.
Measure = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class SimilaritySource:
    """A candidate source of label similarity.

    Attributes:
        name: Its name in reports.
        matrix: float64 ``(L, L)``, row = target: nonnegative, zero diagonal, row sums 1 or 0.
            ``None`` for a source measured on training images.
        vectors: Label vectors ``(L, F)``, if any.
        measure: The measurement, for a source measured on training images. The tests measure it on
            other images than those they evaluate.
    """

    name: str
    matrix: Tensor | None
    vectors: Tensor | None = None
    measure: Measure | None = None

    def at(self, features: Tensor, targets: Tensor) -> Tensor:
        """Returns the matrix, measured on these images if the source is a measured one."""
        if self.measure is not None:
            return sharpened(self.measure(features, targets))
        assert self.matrix is not None
        return self.matrix


def sharpened(likeness: Tensor) -> Tensor:
    """Converts cosines or similar values ``(L, L)`` to the weights of the nearest labels.

    ``s_ij = c_ij^8 / Σ_k c_ik^8`` over the :data:`NEIGHBOURS` largest positive ``c_ij``, j ≠ i.
    """
    positive = likeness.double().clamp(min=0)
    positive = positive * (1 - torch.eye(len(positive), dtype=torch.float64))
    if len(positive) > NEIGHBOURS + 1:
        least = positive.topk(NEIGHBOURS, 1).values[:, -1:]
        positive = torch.where(positive >= least, positive, 0.0)
    largest = positive.amax(1, keepdim=True)
    weight = (positive / largest.clamp(min=1e-30)) ** SHARPNESS
    return normalised(torch.where(largest > 0, weight, 0.0))


def normalised(weight: Tensor) -> Tensor:
    """Divides every row by its sum; rows of zeros do not change."""
    total = weight.sum(1, keepdim=True)
    return torch.where(total > 0, weight / total.clamp(min=1e-300), 0.0)


def source_from_vectors(name: str, vectors: Tensor | ArrayLike) -> SimilaritySource:
    """Creates a source from label vectors, whose similarity is their cosine.

    Args:
        name: Its name.
        vectors: ``(L, F)``; a label with a row of zeros is similar to none.

    Raises:
        InputError: If the vectors are not a finite matrix.
    """
    found = torch.as_tensor(np.asarray(vectors)).double()
    if found.ndim != 2:
        problem = f"got {tuple(found.shape)}"
    elif not found.isfinite().all():
        problem = "but they contain NaN or infinity"
    else:
        problem = None
    if problem is not None:
        raise InputError(f"similarity source {name!r}: expected vectors (L, F), {problem}")
    unit = found / found.norm(dim=1, keepdim=True).clamp(min=1e-30)
    return SimilaritySource(name, sharpened(unit @ unit.T), unit)


def source_from_matrix(name: str, matrix: Tensor | ArrayLike) -> SimilaritySource:
    """Creates a source from given weights, row = target; rows are divided by their sums.

    Args:
        name: Its name.
        matrix: ``(L, L)``, nonnegative with a zero diagonal.

    Raises:
        InputError: If the matrix violates this.
    """
    found = torch.as_tensor(np.asarray(matrix)).double()
    problem = None
    if found.ndim != 2 or found.shape[0] != found.shape[1]:
        problem = f"it has shape {tuple(found.shape)}"
    elif not found.isfinite().all():
        problem = "it contains NaN or infinity"
    elif (found < 0).any():
        problem = f"it contains {float(found.min()):g}, a negative value"
    elif found.diagonal().any():
        problem = "its diagonal is not zero"
    if problem is not None:
        raise InputError(
            f"similarity source {name!r}: expected weights (L, L), at least 0 with a zero "
            f"diagonal, but {problem}"
        )
    return SimilaritySource(name, normalised(found))


def candidate_sources(
    labels: LabelSet,
    *,
    name_vectors: Tensor | ArrayLike | None = None,
    given_vectors: Tensor | ArrayLike | None = None,
    hierarchy: LabelGraph | None = None,
    cooccurrence: bool = True,
    learned: bool = True,
) -> list[SimilaritySource]:
    """Returns the candidate sources for these labels.

    ``cooccurrence`` and ``learned`` are measured on training images by the tests themselves, each
    time on other images than those evaluated, so they need no targets here.

    Args:
        labels: The L labels.
        name_vectors: Embeddings of the label names (:func:`gatlabel.graph.name_vectors`).
        given_vectors: Other label vectors ``(L, F)``.
        hierarchy: A graph of :func:`gatlabel.graph.hierarchy_graph`, or any graph of similar
            labels.
        cooccurrence: Whether to compare labels by co-occurrence.
        learned: Whether to compare labels by their classifiers.

    Raises:
        InputError: If vectors or graph do not match the labels.
    """
    sources: list[SimilaritySource] = []
    for name, vectors in (("names", name_vectors), ("vectors", given_vectors)):
        if vectors is None:
            continue
        source = source_from_vectors(name, vectors)
        if source.vectors is not None and len(source.vectors) != len(labels):
            raise InputError(
                f"similarity source {name!r}: {len(source.vectors)} vectors for {len(labels)} "
                "labels: expected one row per label"
            )
        sources.append(source)
    if hierarchy is not None:
        weights = hierarchy.reorder(labels).to_dense(torch.float64).clamp(min=0)
        sources.append(source_from_matrix("hierarchy", weights.fill_diagonal_(0)))
    if cooccurrence:
        sources.append(SimilaritySource("cooccurrence", None, measure=cooccurrence_profile))
    if learned:
        sources.append(SimilaritySource("learned", None, measure=learned_relation))
    return sources
