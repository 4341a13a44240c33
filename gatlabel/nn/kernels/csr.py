"""Kernel *csr*: softmax and sums over compressed sparse rows, for large sparse graphs.

``out = A_h V_h``, where ``A_h`` is the sparse ``(L, L)`` matrix of head ``h``'s attention weights.
Its gradients are ``∂V_h = A_hᵀ ∂out_h`` and ``∂A_h(i,j) = ∂out_h(i)·V_h(j)`` at the edges only (a
sampled dense-dense product). The transpose is precomputed, and no ``E × C`` array is formed: time
``O(H E C)``, memory ``O(H (E + L C))``.

The three operators are registered with torch, so that ``torch.compile`` and ``torch.export`` treat
them as units. (``torch.library.custom_op`` would too, but imports the compiler at its first call.)
``csr_torch`` implements them.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from gatlabel.nn.kernels import csr_torch
from gatlabel.nn.kernels.adjacency import CSR
from gatlabel.nn.kernels.dense import empty_by_node

_STRUCTURE = (
    "Tensor offsets, Tensor sources, Tensor transposed_offsets, Tensor transposed_targets, "
    "Tensor transposed_order, Tensor order"
)
torch.library.define(
    "gatlabel::csr_sum", f"(Tensor weights, Tensor values, {_STRUCTURE}) -> Tensor"
)
torch.library.define("gatlabel::csr_dots", f"(Tensor left, Tensor right, {_STRUCTURE}) -> Tensor")
torch.library.define(
    "gatlabel::csr_softmax", "(Tensor scores, Tensor offsets, Tensor targets) -> Tensor"
)


def csr_sum(weights: Tensor, values: Tensor, csr: CSR) -> Tensor:
    """Computes ``out[h, i] = Σ_{j→i} weights[h, (j→i)] · values[h, j]``.

    Args:
        weights: ``(H, E)``, edges sorted by target.
        values: ``(H, L, C)``.
        csr: The edges.

    Returns:
        ``(H, L, C)``, laid out node by node, so that joining the heads needs no copy.
    """
    return torch.ops.gatlabel.csr_sum.default(weights, values, *csr)


def csr_dots(left: Tensor, right: Tensor, csr: CSR) -> Tensor:
    """Computes ``out[h, (j→i)] = left[h, i] · right[h, j]`` for every edge.

    Args:
        left: ``(H, L, C)``, at the targets.
        right: ``(H, L, C)``, at the sources.
        csr: The edges.

    Returns:
        ``(H, E)``, edges sorted by target.
    """
    return torch.ops.gatlabel.csr_dots.default(left, right, *csr)


def csr_softmax(scores: Tensor, offsets: Tensor, targets: Tensor) -> Tensor:
    """Computes the softmax over the in-edges of each node, for edges sorted by target.

    Args:
        scores: ``(E, H)``.
        offsets: int32 ``(L + 1,)``, position of each target's first in-edge.
        targets: int64 ``(E,)``.

    Returns:
        ``(E, H)``, summing to 1 over the in-edges of every node with in-edges.
    """
    return torch.ops.gatlabel.csr_softmax.default(scores, offsets, targets)


@torch.library.impl("gatlabel::csr_sum", "default")
def _sum(weights: Tensor, values: Tensor, *edges: Any) -> Tensor:
    csr = CSR(*edges)
    return csr_torch.sums(weights, values, csr.offsets, csr.sources, empty_by_node(values))


@torch.library.impl("gatlabel::csr_dots", "default")
def _dots(left: Tensor, right: Tensor, *edges: Any) -> Tensor:
    csr = CSR(*edges)
    return csr_torch.dots(left, right, csr.offsets, csr.sources)


@torch.library.impl("gatlabel::csr_softmax", "default")
def _softmax(scores: Tensor, offsets: Tensor, targets: Tensor) -> Tensor:
    return csr_torch.softmax(scores.contiguous(), offsets, targets)


@torch.library.register_fake("gatlabel::csr_sum")
def _fake_sum(weights: Tensor, values: Tensor, *edges: Any) -> Tensor:
    return empty_by_node(values)


@torch.library.register_fake("gatlabel::csr_dots")
def _fake_dots(left: Tensor, right: Tensor, *edges: Any) -> Tensor:
    return left.new_empty(left.shape[0], edges[1].shape[0])


@torch.library.register_fake("gatlabel::csr_softmax")
def _fake_softmax(scores: Tensor, offsets: Tensor, targets: Tensor) -> Tensor:
    return scores.new_empty(scores.shape)


def _save(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    ctx.save_for_backward(*inputs)


def _sum_gradients(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    weights, values, *structure = ctx.saved_tensors
    csr = CSR(*structure)
    d_weights = csr_dots(grad, values, csr) if ctx.needs_input_grad[0] else None
    d_values = None
    if ctx.needs_input_grad[1]:
        by_source = weights.index_select(1, csr.transposed_order)
        d_values = csr_sum(by_source, grad, csr.transpose())
    return d_weights, d_values, *[None] * 6


def _dots_gradients(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    left, right, *structure = ctx.saved_tensors
    csr = CSR(*structure)
    d_left = csr_sum(grad, right, csr) if ctx.needs_input_grad[0] else None
    d_right = None
    if ctx.needs_input_grad[1]:
        by_source = grad.index_select(1, csr.transposed_order)
        d_right = csr_sum(by_source, left, csr.transpose())
    return d_left, d_right, *[None] * 6


def _save_softmax(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    _, offsets, targets = inputs
    ctx.save_for_backward(output, targets)
    ctx.nodes = offsets.shape[0] - 1


def _softmax_gradients(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    weights, targets = ctx.saved_tensors
    product = weights * grad
    totals = product.new_zeros(ctx.nodes, product.shape[1]).index_add(0, targets, product)
    return product - weights * totals.index_select(0, targets), None, None


torch.library.register_autograd("gatlabel::csr_sum", _sum_gradients, setup_context=_save)
torch.library.register_autograd("gatlabel::csr_dots", _dots_gradients, setup_context=_save)
torch.library.register_autograd(
    "gatlabel::csr_softmax", _softmax_gradients, setup_context=_save_softmax
)
