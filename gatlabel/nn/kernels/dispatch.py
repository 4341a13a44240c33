"""Attention over a label graph: the common entry point of all kernels."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from gatlabel.errors import InputError, unknown_choice
from gatlabel.nn.kernels.adjacency import Adjacency
from gatlabel.nn.kernels.choice import KERNELS, Kernel, choose_kernel
from gatlabel.nn.kernels.complete import complete_attention
from gatlabel.nn.kernels.csr import csr_softmax, csr_sum
from gatlabel.nn.kernels.dense import dense_attention, zero_isolated


def attend(
    adjacency: Adjacency,
    source_scores: Tensor,
    target_scores: Tensor,
    values: Tensor,
    *,
    prior: Tensor | None = None,
    prior_weight: Tensor | None = None,
    negative_slope: float = 0.2,
    dropout: float = 0.0,
    kernel: Kernel | None = None,
) -> Tensor:
    r"""Computes attention (AL) and graph convolution (GCL) in one step, with additive scores.

    ``e_h(i,j) = LeakyReLU(t_h(i) + s_h(j)) + λ_h prior(j→i)``, ``α_h(i,·)`` its softmax over the
    in-neighbours of ``i``, ``out_h(i) = Σ_j α_h(i,j) v_h(j)`` (Veličković et al., ICLR 2018,
    arXiv:1710.10903, eq. 1-4; the prior is an addition of this package).

    Args:
        adjacency: The graph.
        source_scores: ``s (H, L)``.
        target_scores: ``t (H, L)``.
        values: ``v (H, L, C)``.
        prior: ``(E,)``, one value per edge in the order of the ``edge_index`` that the adjacency
            was built from.
        prior_weight: ``λ (H,)``; required if and only if there is a prior.
        negative_slope: Slope of the LeakyReLU below zero.
        dropout: Probability of dropping a weight after the softmax (pass 0 in evaluation).
        kernel: Name of a kernel; by default the choice of :func:`choose_kernel`.

    Returns:
        ``(H, L, C)`` in the dtype of ``values``, computed in at least float32; zero for nodes
        without in-edges.

    Raises:
        InputError: If the kernel does not exist or cannot compute this attention, a shape does not
            match the graph or the values, or only one of prior and prior weight is given.
    """
    _check_shapes(adjacency, source_scores, target_scores, values, prior, prior_weight)
    sortable = (
        adjacency.complete and prior is None and dropout == 0 and 0 <= negative_slope <= 1
    )  # fmt: skip
    kernel = _checked(adjacency, values, kernel, sortable=sortable)
    dtype = values.dtype if values.dtype == torch.float64 else torch.float32
    with torch.autocast(values.device.type, enabled=False):
        s, t, v = (x.to(dtype) for x in (source_scores, target_scores, values))
        if not values.shape[1]:
            return values
        if kernel == "sorted":
            return complete_attention(s, t, v, float(negative_slope)).to(values.dtype)
        if prior is not None and prior_weight is not None:
            prior, prior_weight = adjacency.in_order(prior).to(dtype), prior_weight.to(dtype)
        if kernel == "dense":
            absent = None if adjacency.complete else adjacency.no_edge()
            matrix = None if prior is None else adjacency.matrix(prior)
            alone = adjacency.alone if adjacency.isolated else None
            out = dense_attention(
                s, t, v, absent, alone, matrix, prior_weight, negative_slope, dropout
            )
            return zero_isolated(adjacency, out).to(values.dtype)
        source, target = adjacency.sorted_edges()
        scores = s.T.contiguous().index_select(0, source) + t.T.contiguous().index_select(0, target)
        scores = F.leaky_relu(scores, negative_slope)  # (E, H)
        if prior is not None and prior_weight is not None:
            scores = scores + prior[:, None] * prior_weight
        csr = adjacency.csr()
        weights = F.dropout(csr_softmax(scores, csr.offsets, target), dropout)
        return csr_sum(weights.T.contiguous(), v, csr).to(values.dtype)


def weighted_sum(
    adjacency: Adjacency, weights: Tensor, values: Tensor, *, kernel: Kernel | None = None
) -> Tensor:
    """Computes the graph convolution ``out[h, i] = Σ_{j→i} weights[(j→i), h] · values[h, j]``.

    Args:
        adjacency: The graph.
        weights: ``(E, H)``, in the order of :meth:`Adjacency.sorted_edges`.
        values: ``v (H, L, C)``.
        kernel: ``"dense"`` or ``"csr"``; chosen by default.

    Returns:
        ``(H, L, C)`` in the dtype of ``values``, computed in at least float32; zero for nodes
        without in-edges.

    Raises:
        InputError: If the kernel does not exist or cannot compute this sum, or a shape does not
            match the graph or the values.
    """
    _check_values(adjacency, values)
    _check_shape("weights", weights, (adjacency.edges, values.shape[0]), "(E, H)")
    kernel = _checked(adjacency, values, kernel, sortable=False)
    dtype = values.dtype if values.dtype == torch.float64 else torch.float32
    with torch.autocast(values.device.type, enabled=False):
        weights, v = weights.to(dtype), values.to(dtype)
        if kernel == "dense":
            return torch.bmm(adjacency.matrix(weights.T), v).to(values.dtype)
        return csr_sum(weights.T.contiguous(), v, adjacency.csr()).to(values.dtype)


def _checked(
    adjacency: Adjacency, values: Tensor, kernel: Kernel | None, *, sortable: bool
) -> Kernel:
    if kernel is None:
        nodes, edges, channels = adjacency.nodes, adjacency.edges, values.shape[2]
        return choose_kernel(
            nodes,
            edges,
            channels,
            device=values.device.type,
            simple=adjacency.simple,
            sortable=sortable,
        )
    if kernel not in KERNELS:
        raise unknown_choice("kernel", kernel, KERNELS)
    if kernel == "sorted" and not sortable:
        raise InputError(
            "the kernel 'sorted' needs the complete graph with self-loops, no prior, no dropout "
            "and a slope in [0, 1]: use 'dense' or 'csr'"
        )
    if kernel == "dense" and not adjacency.simple:
        raise InputError(f"the kernel {kernel!r} needs a graph without duplicate edges: use 'csr'")
    return kernel


def _check_shapes(
    adjacency: Adjacency,
    source_scores: Tensor,
    target_scores: Tensor,
    values: Tensor,
    prior: Tensor | None,
    prior_weight: Tensor | None,
) -> None:
    _check_values(adjacency, values)
    _check_shape("source_scores", source_scores, values.shape[:2], "(H, L)")
    _check_shape("target_scores", target_scores, values.shape[:2], "(H, L)")
    if prior is None and prior_weight is None:
        return
    if prior is None or prior_weight is None:
        missing = "prior" if prior is None else "prior_weight"
        raise InputError(f"{missing} is missing: give both prior and prior_weight, or neither")
    _check_shape("prior", prior, (adjacency.edges,), "(E,)")
    _check_shape("prior_weight", prior_weight, values.shape[:1], "(H,)")


def _check_values(adjacency: Adjacency, values: Tensor) -> None:
    # The sparse kernels read memory at the graph's indices: values too short would crash them.
    if values.ndim != 3 or values.shape[1] != adjacency.nodes:
        raise InputError(
            f"values has the shape {tuple(values.shape)}, but must be (H, L, C) with "
            f"L = {adjacency.nodes}, the nodes of the graph"
        )


def _check_shape(name: str, tensor: Tensor, wanted: tuple[int, ...], letters: str) -> None:
    if tensor.shape != wanted:
        raise InputError(
            f"{name} has the shape {tuple(tensor.shape)}, but must be {letters} = {tuple(wanted)} "
            "for this graph and these values"
        )
