"""Kernel *csr*: softmax and sums over compressed sparse rows, for large sparse graphs.

``out = A_h V_h`` with ``A_h`` the sparse ``(L, L)`` matrix of head ``h``'s attention weights; its
gradients are ``∂V_h = A_hᵀ ∂out_h`` and ``∂A_h(i,j) = ∂out_h(i)·V_h(j)`` at the edges only (a
sampled dense-dense product). The transpose is precomputed, and no ``E × C`` array is ever made:
time ``O(H E C)``, memory ``O(H (E + L C))``.

The three operators are registered with torch, so that ``torch.compile`` and ``torch.export`` take
them whole (``torch.library.custom_op`` would do too, but imports the compiler at its first call).
"""

from __future__ import annotations

import functools
import warnings
from typing import Any

import torch
from torch import Tensor

from gatlabel.nn.kernels.adjacency import CSR

# torch multiplies CSR matrices on the CPU through MKL only (x86-64); elsewhere COO products serve.
MKL = torch.backends.mkl.is_available()

# Elements of the blocks in which the edge products are formed where torch has no operator for them.
BLOCK = 1 << 20

# Elements of an (L, chunk) array that a processor's cache should hold.
CACHE = 1 << 19

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
    """``out[h, i] = Σ_{j→i} weights[h, (j→i)] · values[h, j]``.

    Args:
        weights: ``(H, E)``, edges sorted by target.
        values: ``(H, L, C)``.
        csr: The edges.

    Returns:
        ``(H, L, C)``, in memory node by node, so that to join the heads copies nothing.
    """
    return torch.ops.gatlabel.csr_sum.default(weights, values, *csr)


def csr_dots(left: Tensor, right: Tensor, csr: CSR) -> Tensor:
    """``out[h, (j→i)] = left[h, i] · right[h, j]`` for every edge.

    Args:
        left: ``(H, L, C)``, at the targets.
        right: ``(H, L, C)``, at the sources.
        csr: The edges.

    Returns:
        ``(H, E)``, edges sorted by target.
    """
    return torch.ops.gatlabel.csr_dots.default(left, right, *csr)


def csr_softmax(scores: Tensor, offsets: Tensor, targets: Tensor) -> Tensor:
    """Softmax over the in-edges of each node, for edges sorted by target.

    Args:
        scores: ``(E, H)``.
        offsets: int32 ``(L + 1,)``, where the in-edges of each target begin.
        targets: int64 ``(E,)``.

    Returns:
        ``(E, H)``, summing to 1 over the in-edges of every node that has one.
    """
    return torch.ops.gatlabel.csr_softmax.default(scores, offsets, targets)


@functools.cache
def _hush() -> None:
    """Makes torch's first CSR tensor, whose warning that their support is in beta comes once."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.sparse_csr_tensor([0, 0], [], [], (1, 1))


def _matrix(weights: Tensor, csr: tuple[Tensor, ...], nodes: int) -> Tensor:
    _hush()
    return torch.sparse_csr_tensor(
        csr[0], csr[1], weights, (nodes, nodes), check_invariants=False
    )  # fmt: skip


def _rows(offsets: Tensor) -> Tensor:
    return torch.repeat_interleave(offsets.diff())


def _chunks(values: Tensor) -> list[slice]:
    """Channels to work on at a time: rows of values are read at random, best out of a cache."""
    _, nodes, channels = values.shape
    step = channels if values.is_cuda else max(16, CACHE // nodes // 16 * 16)
    return [slice(begin, begin + step) for begin in range(0, channels, max(1, step))]


def _by_node(values: Tensor) -> Tensor:
    heads, nodes, channels = values.shape
    return values.new_empty(nodes, heads, channels).transpose(0, 1)


@torch.library.impl("gatlabel::csr_sum", "default")
def _sum(weights: Tensor, values: Tensor, *csr: Tensor) -> Tensor:
    nodes, out = values.shape[1], _by_node(values)
    if not csr[1].numel():
        return out.zero_()
    weights = weights.contiguous()
    for head in range(len(values)):
        if values.is_cuda or MKL:
            matrix = _matrix(weights[head], csr, nodes)
        else:
            place = torch.stack([_rows(csr[0]), csr[1].long()])
            matrix = torch.sparse_coo_tensor(
                place, weights[head], (nodes, nodes), check_invariants=False, is_coalesced=True
            )
        for chunk in _chunks(values):
            part, own = values[head, :, chunk].contiguous(), out[head, :, chunk]
            torch.addmm(own, matrix, part, beta=0, out=own)
    return out


@torch.library.impl("gatlabel::csr_dots", "default")
def _dots(left: Tensor, right: Tensor, *csr: Tensor) -> Tensor:
    heads, nodes, channels = left.shape
    edges = csr[1].numel()
    out = left.new_empty(heads, edges)
    if not edges:
        return out
    if (left.is_cuda or MKL) and edges <= nodes * nodes:  # torch refuses more, all parallel
        pattern = _matrix(left.new_zeros(edges), csr, nodes)
        for head in range(heads):
            dots = pattern
            for chunk in _chunks(left):
                a, b = (x[head, :, chunk].contiguous() for x in (left, right))
                dots = torch.sparse.sampled_addmm(dots, a, b.T)
            out[head] = dots.values()
        return out
    targets, sources, step = _rows(csr[0]), csr[1], max(1, BLOCK // max(1, channels))
    for head in range(heads):
        for begin in range(0, edges, step):
            block = slice(begin, begin + step)
            products = left[head][targets[block]] * right[head][sources[block]]
            out[head, block] = products.sum(1)
    return out


@torch.library.impl("gatlabel::csr_softmax", "default")
def _softmax(scores: Tensor, offsets: Tensor, targets: Tensor) -> Tensor:
    scores, bounds = scores.contiguous(), offsets.long()
    if not len(targets):
        return scores.clone()
    highest = torch.segment_reduce(scores, "max", offsets=bounds, axis=0)
    weights = (scores - highest.index_select(0, targets)).exp_()
    totals = torch.segment_reduce(weights, "sum", offsets=bounds, axis=0)
    return weights.div_(totals.index_select(0, targets))


@torch.library.register_fake("gatlabel::csr_sum")
def _fake_sum(weights: Tensor, values: Tensor, *csr: Tensor) -> Tensor:
    return _by_node(values)


@torch.library.register_fake("gatlabel::csr_dots")
def _fake_dots(left: Tensor, right: Tensor, *csr: Tensor) -> Tensor:
    return left.new_empty(left.shape[0], csr[1].shape[0])


@torch.library.register_fake("gatlabel::csr_softmax")
def _fake_softmax(scores: Tensor, offsets: Tensor, targets: Tensor) -> Tensor:
    return scores.new_empty(scores.shape)


def _save(ctx: Any, inputs: tuple[Tensor, ...], output: Tensor) -> None:
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


def _save_softmax(ctx: Any, inputs: tuple[Tensor, ...], output: Tensor) -> None:
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
