"""Kernel *triton*: the three operators of *csr* on CUDA, each in one launch for all heads.

cuSPARSE is called once a head, and the softmax takes five launches; where a graph is small,
launches are what an attention layer costs on a GPU. Here one program has the in-edges of one node:
no array of the size ``E × C``, no atomics (the same sums every time), neither values nor sums
copied into another layout. Time ``O(H E C)``, as *csr*.

Nothing of this has been timed on a GPU yet, so :func:`~gatlabel.nn.kernels.choose_kernel` does not
name it; ``benchmarks/speed/gpu.py`` compares. The tests run it in Triton's interpreter on the CPU.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

# Channels that a program reads at a time.
BLOCK = 512


@triton.jit
def _sum_kernel(  # type: ignore[no-untyped-def]
    weights, values, out, offsets, sources, edges, channels,
    value_head, value_node, out_head, out_node, BLOCK: tl.constexpr,
):  # fmt: skip
    node, head = tl.program_id(0).to(tl.int64), tl.program_id(1).to(tl.int64)
    channel = tl.program_id(2) * BLOCK + tl.arange(0, BLOCK)
    inside = channel < channels
    total = tl.zeros((BLOCK,), dtype=out.dtype.element_ty)
    for edge in range(tl.load(offsets + node), tl.load(offsets + node + 1)):
        source = tl.load(sources + edge).to(tl.int64)
        weight = tl.load(weights + head * edges + edge)
        row = values + head * value_head + source * value_node
        total += weight * tl.load(row + channel, mask=inside, other=0.0)
    tl.store(out + head * out_head + node * out_node + channel, total, mask=inside)


@triton.jit
def _dots_kernel(  # type: ignore[no-untyped-def]
    left, right, out, offsets, sources, edges, channels,
    left_head, left_node, right_head, right_node, BLOCK: tl.constexpr,
):  # fmt: skip
    node, head = tl.program_id(0).to(tl.int64), tl.program_id(1).to(tl.int64)
    lane = tl.arange(0, BLOCK)
    own = left + head * left_head + node * left_node
    for edge in range(tl.load(offsets + node), tl.load(offsets + node + 1)):
        source = tl.load(sources + edge).to(tl.int64)
        other = right + head * right_head + source * right_node
        products = tl.zeros((BLOCK,), dtype=out.dtype.element_ty)
        for begin in range(0, channels, BLOCK):
            inside = begin + lane < channels
            a = tl.load(own + begin + lane, mask=inside, other=0.0)
            products += a * tl.load(other + begin + lane, mask=inside, other=0.0)
        tl.store(out + head * edges + edge, tl.sum(products, 0))


@triton.jit
def _softmax_kernel(scores, out, offsets, heads, HEADS: tl.constexpr):  # type: ignore[no-untyped-def]
    node = tl.program_id(0)
    head = tl.arange(0, HEADS)
    inside = head < heads
    begin, end = tl.load(offsets + node).to(tl.int64), tl.load(offsets + node + 1).to(tl.int64)
    highest = tl.full((HEADS,), float("-inf"), dtype=out.dtype.element_ty)
    for edge in range(begin, end):
        score = tl.load(scores + edge * heads + head, mask=inside, other=0.0)
        highest = tl.maximum(highest, score)
    total = tl.zeros((HEADS,), dtype=out.dtype.element_ty)
    for edge in range(begin, end):
        score = tl.load(scores + edge * heads + head, mask=inside, other=0.0)
        total += tl.exp(score - highest)
    for edge in range(begin, end):
        score = tl.load(scores + edge * heads + head, mask=inside, other=0.0)
        weight = tl.exp(score - highest) / total
        tl.store(out + edge * heads + head, weight, mask=inside)


def _block(channels: int) -> int:
    return min(BLOCK, triton.next_power_of_2(channels))


def _by_channel(values: Tensor) -> Tensor:
    """Heads and nodes may lie anywhere, channels must lie side by side."""
    return values if values.stride(2) == 1 else values.contiguous()


def sums(weights: Tensor, values: Tensor, offsets: Tensor, sources: Tensor, out: Tensor) -> Tensor:
    """Fills ``out (H, L, C)`` with ``Σ_{j→i} weights[h, (j→i)] · values[h, j]`` and returns it."""
    heads, nodes, channels = values.shape
    if out.numel():
        values, block = _by_channel(values), _block(channels)
        _sum_kernel[(nodes, heads, triton.cdiv(channels, block))](
            weights.contiguous(), values, out, offsets, sources, len(sources), channels,
            *values.stride()[:2], *out.stride()[:2], BLOCK=block,
        )  # fmt: skip
    return out


def dots(left: Tensor, right: Tensor, offsets: Tensor, sources: Tensor) -> Tensor:
    """Returns ``left[h, i] · right[h, j]`` for every edge, ``(H, E)``, from ``(H, L, C)`` each."""
    heads, nodes, channels = left.shape
    out = left.new_zeros(heads, len(sources))
    if out.numel() and channels:
        left, right = _by_channel(left), _by_channel(right)
        _dots_kernel[(nodes, heads)](
            left, right, out, offsets, sources, len(sources), channels,
            *left.stride()[:2], *right.stride()[:2], BLOCK=_block(channels),
        )  # fmt: skip
    return out


def softmax(scores: Tensor, offsets: Tensor, targets: Tensor) -> Tensor:
    """Returns the softmax ``(E, H)`` of contiguous scores over the in-edges of each node."""
    out, heads = torch.empty_like(scores), scores.shape[1]
    if out.numel():
        _softmax_kernel[(len(offsets) - 1,)](
            scores, out, offsets, heads, HEADS=triton.next_power_of_2(heads)
        )
    return out
