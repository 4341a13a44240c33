"""Node features: the input vector of each label in a graph head."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import sparse
from torch import Tensor, nn

from gatlabel.errors import InputError, nearest
from gatlabel.graph.name_vectors import name_vectors
from gatlabel.graph.pair_table import pair_table
from gatlabel.graph.vectors import load_vectors, vectors_by_name

if TYPE_CHECKING:
    from gatlabel.graph.counts import Counts
    from gatlabel.graph.label_graph import LabelGraph

DEFAULT_WIDTH = 128
_DENSE_LABELS = 2000  # up to here, a full decomposition takes seconds


class MissingVectorsWarning(UserWarning):
    """Some labels have no vector in the given file; they get zeros."""


def resolve(
    node_features: str | os.PathLike[str] | Tensor | NDArray[Any] | Mapping[str, Any] | None,
    graph: LabelGraph,
    dim: int | None = None,
) -> tuple[Tensor, bool]:
    """Converts the ``node_features`` argument of a head into a tensor.

    Args:
        node_features: One of

            - ``"svd"``: :func:`ppmi_svd` of the graph's counts, or :func:`adjacency_svd` of the
              graph itself if it has no counts (a graph from a file);
            - ``"names"``: :func:`~gatlabel.graph.name_vectors.name_vectors`, embeddings of the
              label names (extra ``names``);
            - ``"learned"``: random normal vectors of about unit length, to be trained;
            - the path of a text or npz file with vectors (:func:`load_vectors`);
            - a mapping from names to vectors;
            - a tensor or array ``(L, F)`` in label order (an ``nn.Parameter`` is trainable);
            - ``None``: ``graph.node_features`` if the graph has them, otherwise ``"svd"``.
        graph: The label graph.
        dim: Width of ``"svd"`` (L at most) and ``"learned"``; 128 by default.

    Returns:
        float32 ``(L, F)`` (a tensor keeps its dtype) and whether it is to be trained.

    Raises:
        InputError: If shape, names or file do not match the labels, or an extra is missing.

    Warns:
        MissingVectorsWarning: If a file or mapping lacks vectors for some labels.
    """
    if dim is not None and dim < 1:
        raise InputError(f"the width of node features is {dim}: it must be at least 1")
    L, width = len(graph.labels), dim or DEFAULT_WIDTH
    if node_features is None:
        node_features = "svd" if graph.node_features is None else graph.node_features
    if isinstance(node_features, Tensor | np.ndarray):
        return _checked(node_features, L), isinstance(node_features, nn.Parameter)
    if isinstance(node_features, str) and node_features == "learned":
        return torch.randn(L, width) / width**0.5, True
    if isinstance(node_features, str) and node_features == "svd":
        if graph.counts is None:
            return torch.from_numpy(adjacency_svd(graph, width)), False
        return torch.from_numpy(ppmi_svd(graph.counts, width)), False
    if isinstance(node_features, str) and node_features == "names":
        return torch.from_numpy(name_vectors(graph.labels)), False
    if isinstance(node_features, Mapping):
        vectors, report = vectors_by_name(node_features, graph.labels)
    elif isinstance(node_features, str | os.PathLike):
        if not os.path.exists(node_features):  # noqa: PTH110 - Path's raises for some names
            hint = nearest(os.fspath(node_features), ["svd", "names", "learned"])
            raise InputError(
                f"node features {os.fspath(node_features)!r}: neither svd, names, learned, nor a "
                f"file that exists{hint}"
            )
        vectors, report = load_vectors(node_features, graph.labels)
    else:
        raise InputError(f"node features cannot be a {type(node_features).__name__}")
    if report.missing:
        warnings.warn(f"label vectors: {report}", MissingVectorsWarning, stacklevel=2)
    return torch.from_numpy(vectors), False


def _checked(vectors: Tensor | NDArray[Any], L: int) -> Tensor:
    if isinstance(vectors, np.ndarray) and vectors.dtype.kind not in "fiub":
        raise InputError(f"node features are {vectors.dtype}, expected numbers")
    tensor = vectors if isinstance(vectors, Tensor) else torch.from_numpy(np.asarray(vectors))
    if tensor.is_complex():
        raise InputError(f"node features are {tensor.dtype}, expected real numbers")
    if tensor.ndim != 2 or tensor.shape[0] != L or tensor.shape[1] == 0:
        raise InputError(
            f"node features have shape {tuple(tensor.shape)}, expected ({L}, F): one row per label"
        )
    if not tensor.is_floating_point():
        tensor = tensor.to(torch.float32)
    if not tensor.is_meta and not tensor.isfinite().all():
        raise InputError("node features contain NaN or infinity")
    return tensor.detach()


def ppmi_svd(counts: Counts, dim: int) -> NDArray[np.float32]:
    """Computes label vectors from co-occurrence alone: truncated SVD of positive PMI.

    ``PPMI_ij = max(0, ln(P(i,j) / (P(i) P(j))))`` with a zero diagonal. With its singular value
    decomposition ``U Σ Vᵀ``, the vectors are the rows of ``U_F Σ_F^(1/2)`` (Levy and Goldberg,
    NeurIPS 2014). The largest entry of each column in absolute value is positive, which fixes the
    signs. A label that occurs with no other label gets zeros.

    Args:
        counts: The counts, with the number of images.
        dim: Width F, limited to L columns.

    Returns:
        float32 ``(L, min(dim, L))``.

    Raises:
        InputError: If the number of images is unknown.
    """
    L = len(counts.labels)
    pairs = pair_table(counts)
    pmi, _ = pairs.pmi(counts.require_images("svd node features"))
    kept = pmi > 0
    matrix = sparse.csr_array((pmi[kept], (pairs.target[kept], pairs.source[kept])), shape=(L, L))
    return _symmetric_svd(matrix, dim)


def adjacency_svd(graph: LabelGraph, dim: int) -> NDArray[np.float32]:
    """Computes label vectors from a graph alone: truncated SVD of its symmetrised weights.

    Like :func:`ppmi_svd`, but of ``(A + Aᵀ) / 2`` without self-loops.

    Args:
        graph: The label graph.
        dim: Width F; limited to L columns.

    Returns:
        float32 ``(L, min(dim, L))``.
    """
    source, target = graph.edge_index.numpy()
    weight = graph.edge_weight.double().numpy()
    kept = source != target
    L = len(graph.labels)
    matrix = sparse.csr_array((weight[kept], (target[kept], source[kept])), shape=(L, L))
    return _symmetric_svd(sparse.csr_array((matrix + matrix.T) / 2), dim)


def _symmetric_svd(matrix: sparse.csr_array, dim: int) -> NDArray[np.float32]:
    """Returns ``U_F Σ_F^(1/2)``; singular values of a symmetric matrix are its |eigenvalues|."""
    L = matrix.shape[0]
    width = min(dim, L)
    if L <= _DENSE_LABELS or width >= L - 1:
        values, vectors = np.linalg.eigh(matrix.toarray())
    else:
        from scipy.sparse.linalg import eigsh

        start = np.ones(L)  # a random start, scipy's default, would make the result random
        values, vectors = eigsh(matrix, k=width, which="LM", v0=start)
    size = np.abs(values)
    size[size < 1e-10 * size.max(initial=0.0)] = 0.0  # these are rounding errors
    order = np.argsort(-size, kind="stable")[:width]
    scaled = vectors[:, order] * np.sqrt(size[order])
    scaled[np.diff(matrix.indptr) == 0] = 0.0
    largest = scaled[np.abs(scaled).argmax(0), np.arange(scaled.shape[1])]
    return (scaled * np.where(largest < 0, -1.0, 1.0)).astype(np.float32)
