r"""Kernel *blocked*: attention over all pairs, in blocks that a processor's cache holds.

The function and the time of *dense*, ``O(H L² C)``, without its arrays of ``H L²`` numbers: scores
are made, bent, normalised and used a block at a time, and made again in the backward pass, as
FlashAttention does (Dao et al., NeurIPS 2022, arXiv:2205.14135; here a block has whole rows, so
that nothing is rescaled). Memory is ``O(H L C)``, a few times :data:`BLOCK`, and mask and prior
``(L, L)``, once for all heads. *Dense* spends most of its time, once it is large, in bringing its
arrays from memory and back and in asking the system for them anew at every step. With ``A`` the
weights, ``x_h(i,j) = t_h(i) + s_h(j)`` and ``e = LeakyReLU(x) + λ prior``,

    ``∂v = Aᵀ ∂out``,  ``∂A = ∂out vᵀ``,  ``∂e = A ∘ (∂A − rowsum(A ∘ ∂A))``,
    ``∂x = ∂e ∘ LeakyReLU'(x)``,  ``∂t = rowsum(∂x)``,  ``∂s = colsum(∂x)``,
    ``∂λ_h = Σ ∂e_h ∘ prior``,  ``∂prior = Σ_h λ_h ∂e_h``.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from gatlabel.nn.kernels.adjacency import Adjacency
from gatlabel.nn.kernels.dense import (
    dense_attention,
    highest_scores,
    without_nan,
    zero_isolated,
)
from gatlabel.nn.kernels.layout import room_by_node

# Numbers of a block of scores: two or three of them should fit into a processor's cache.
BLOCK = 1 << 19

_INPUTS = (
    "Tensor source_scores, Tensor target_scores, Tensor values, Tensor? absent, Tensor? prior, "
    "Tensor? prior_weight, float slope"
)
torch.library.define("gatlabel::blocked_attention", f"({_INPUTS}) -> Tensor")
torch.library.define(
    "gatlabel::blocked_attention_backward",
    f"(Tensor grad, {_INPUTS}, bool of_prior) -> (Tensor, Tensor, Tensor, Tensor, Tensor)",
)


def blocked_attention(
    adjacency: Adjacency,
    source_scores: Tensor,
    target_scores: Tensor,
    values: Tensor,
    prior: Tensor | None,
    prior_weight: Tensor | None,
    negative_slope: float,
) -> Tensor:
    """``out[h, i] = Σ_j softmax_j(LeakyReLU(t[h, i] + s[h, j]) + λ[h] prior(j→i)) values[h, j]``.

    Args:
        adjacency: A simple graph: no edge stands twice.
        source_scores: ``s (H, L)``, float32 or float64.
        target_scores: ``t (H, L)``.
        values: ``(H, L, C)``.
        prior: ``(E,)``, one value an edge in sorted order.
        prior_weight: ``(H,)``, λ.
        negative_slope: Slope of the LeakyReLU below zero.

    Returns:
        ``(H, L, C)``, in memory node by node; zero for a node without an in-edge. Gradients of
        gradients are taken through the operators of *dense*.
    """
    absent = None if adjacency.complete else adjacency.no_edge()
    matrix = None if prior is None else adjacency.matrix(prior)
    out = torch.ops.gatlabel.blocked_attention.default(
        source_scores, target_scores, values, absent, matrix, prior_weight, negative_slope
    )
    return zero_isolated(adjacency, out)


class _Block(NamedTuple):
    """Rows of some heads, with room for their scores."""

    heads: slice
    rows: slice
    highest: Tensor | None  # (r, L), the bound that masks pairs without an edge
    alone: Tensor | None  # (k,) rows without any edge
    room: tuple[Tensor, ...]  # (h, r, L) each


class _Attention(NamedTuple):
    """What is computed, in the order of the operators' arguments."""

    source_scores: Tensor
    target_scores: Tensor
    values: Tensor
    absent: Tensor | None
    prior: Tensor | None
    prior_weight: Tensor | None
    slope: float

    def blocks(self, rooms: int) -> Iterator[_Block]:
        """Rows of one head, or some heads whole; all heads of some rows come together.

        Args:
            rooms: How many arrays of the block's shape are needed. They are the same memory every
                time: new memory costs more than the sums.
        """
        heads, nodes, _ = self.values.shape
        some = max(1, BLOCK // (nodes * nodes))
        at_once = min(nodes, max(1, BLOCK // nodes))
        size = min(heads, some) * at_once * nodes
        memory = [self.values.new_empty(size) for _ in range(rooms)]
        for row in range(0, nodes, at_once):
            rows = slice(row, min(nodes, row + at_once))
            highest = alone = None  # once for all heads
            if self.absent is not None:
                highest = highest_scores(self.absent[rows], self.values.dtype)
                alone = (highest.amax(1) < 0).nonzero()[:, 0]  # absent.all(1) is slow
            for head in range(0, heads, some):
                part = slice(head, min(heads, head + some))
                shape = (part.stop - head, rows.stop - row, nodes)
                room = tuple(m[: math.prod(shape)].view(shape) for m in memory)
                yield _Block(part, rows, highest, alone, room)

    def raw(self, block: _Block, out: Tensor) -> Tensor:
        """``x`` of a block, before the kink."""
        targets = self.target_scores[block.heads, block.rows, None]
        return torch.add(targets, self.source_scores[block.heads, None, :], out=out)

    def weights(self, block: _Block) -> Tensor:
        """``A`` of a block, in its first room; the second is written over."""
        weights, scores, *_ = block.room
        F.leaky_relu_(self.raw(block, scores), self.slope)
        if self.prior is not None and self.prior_weight is not None:
            scores.addcmul_(self.prior_weight[block.heads, None, None], self.prior[block.rows])
        if block.highest is not None and block.alone is not None:
            scores.clamp_(max=block.highest)
            if len(block.alone):
                scores.index_fill_(1, block.alone, 0.0)  # finite: gradients of zero stay zero
        return torch.softmax(scores, -1, out=weights)


def _made(source_scores: Tensor, *others: Any) -> _Attention:
    return _Attention(without_nan(source_scores), *others)


@torch.library.impl("gatlabel::blocked_attention", "default")
def _attend(*inputs: Any) -> Tensor:
    attention = _made(*inputs)
    out = room_by_node(attention.values)
    for block in attention.blocks(2):
        weights = attention.weights(block)
        for own, head in zip(weights, range(block.heads.start, block.heads.stop), strict=True):
            # not batched: that would copy what lies node by node
            torch.mm(own, attention.values[head], out=out[head, block.rows])
    return out


@torch.library.impl("gatlabel::blocked_attention_backward", "default")
def _attend_backward(grad: Tensor, *rest: Any) -> tuple[Tensor, ...]:
    *inputs, of_prior = rest
    attention = _made(*inputs)
    values, prior, prior_weight = attention.values, attention.prior, attention.prior_weight
    d_s, d_t, d_v, d_prior, d_weight = _gradient_rooms(attention, of_prior)
    for sums in (d_s, d_v, d_prior, d_weight):
        sums.zero_()
    for block in attention.blocks(3):
        weights = attention.weights(block)
        _, raw, d = block.room
        for at, head in enumerate(range(block.heads.start, block.heads.stop)):
            own = grad[head, block.rows]
            d_v[head].addmm_(weights[at].T, own)
            torch.mm(own, values[head].T, out=raw[at])
        torch.ops.aten._softmax_backward_data.out(raw, weights, -1, raw.dtype, grad_input=d)
        if prior is not None and prior_weight is not None:
            d_weight[block.heads] += torch.mul(d, prior[block.rows], out=raw).sum((1, 2))
            if of_prior:
                d_prior[block.rows] += torch.tensordot(prior_weight[block.heads], d, 1)
        attention.raw(block, raw)
        torch.ops.aten.leaky_relu_backward.grad_input(d, raw, attention.slope, False, grad_input=d)
        d_s[block.heads] += d.sum(1)
        d_t[block.heads, block.rows] = d.sum(2)
    return d_s, d_t, d_v, d_prior, d_weight


def _gradient_rooms(attention: _Attention, of_prior: bool) -> tuple[Tensor, ...]:
    values, prior = attention.values, attention.prior
    heads, nodes, _ = values.shape
    return (
        values.new_empty(heads, nodes),
        values.new_empty(heads, nodes),
        room_by_node(values),
        values.new_empty((nodes, nodes) if of_prior else 0),
        values.new_empty(heads if prior is not None else 0),
    )


@torch.library.register_fake("gatlabel::blocked_attention")
def _fake_attend(*inputs: Any) -> Tensor:
    return room_by_node(_Attention(*inputs).values)


@torch.library.register_fake("gatlabel::blocked_attention_backward")
def _fake_backward(grad: Tensor, *rest: Any) -> tuple[Tensor, ...]:
    *inputs, of_prior = rest
    return _gradient_rooms(_Attention(*inputs), of_prior)


def _save(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    *tensors, ctx.slope = inputs
    ctx.save_for_backward(*tensors)


def _gradients(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    wanted = ctx.needs_input_grad
    if torch.is_grad_enabled():  # somebody wants the gradients' own gradients
        return _by_autograd(ctx, grad)
    backward = torch.ops.gatlabel.blocked_attention_backward.default
    found = backward(grad, *ctx.saved_tensors, ctx.slope, wanted[4])
    d_s, d_t, d_v, d_prior, d_weight = found
    return (
        *(d_s, d_t, d_v, None),
        *(d_prior if wanted[4] else None, d_weight if wanted[5] else None, None),
    )


def _by_autograd(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    """The gradients by way of *dense*, which autograd can go through again."""
    s, t, v, absent, prior, prior_weight = inputs = ctx.saved_tensors
    wanted = ctx.needs_input_grad
    asked = [x for x, want in zip(inputs, wanted, strict=False) if want]
    alone = None if absent is None else absent.all(1).nonzero()[:, 0]
    out = dense_attention(s, t, v, absent, alone, prior, prior_weight, ctx.slope)
    found = iter(torch.autograd.grad(out, asked, grad, create_graph=True))
    return tuple(next(found) if want else None for want in wanted)


torch.library.register_autograd("gatlabel::blocked_attention", _gradients, setup_context=_save)
