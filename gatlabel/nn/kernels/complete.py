"""Attention on the complete graph as a torch operator: kernel *sorted*, or by rows.

*Sorted* (:mod:`~gatlabel.nn.kernels.sorted_sums`) is precise up to a certain spread of the scores.
Above it, the operator computes all pairs (:mod:`~gatlabel.nn.kernels.by_rows`).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from gatlabel.nn.kernels import by_rows, sorted_sums
from gatlabel.nn.kernels.dense import dense_attention, empty_by_node
from gatlabel.nn.kernels.sorted_sums import precision

torch.library.define(
    "gatlabel::complete_attention",
    "(Tensor source_scores, Tensor target_scores, Tensor values, float slope) -> Tensor",
)
torch.library.define(
    "gatlabel::complete_attention_backward",
    "(Tensor source_scores, Tensor target_scores, Tensor values, Tensor out, Tensor grad, "
    "float slope) -> (Tensor, Tensor, Tensor)",
)


def complete_attention(
    source_scores: Tensor, target_scores: Tensor, values: Tensor, negative_slope: float
) -> Tensor:
    """Computes ``out[h, i] = Σ_j softmax_j(LeakyReLU(t[h, i] + s[h, j])) values[h, j]``.

    Args:
        source_scores: ``s (H, L)``, float32 or float64.
        target_scores: ``t (H, L)``.
        values: ``(H, L, C)``.
        negative_slope: Slope of the LeakyReLU below zero, in [0, 1].

    Returns:
        ``(H, L, C)``, laid out node by node in memory. Second-order gradients use the operators of
        *dense*, with their memory.
    """
    return torch.ops.gatlabel.complete_attention.default(
        source_scores, target_scores, values, negative_slope
    )


@torch.library.impl("gatlabel::complete_attention", "default")
def _attend(source_scores: Tensor, target_scores: Tensor, values: Tensor, slope: float) -> Tensor:
    source_scores, target_scores = source_scores.contiguous(), target_scores.contiguous()
    dtype = precision(source_scores, target_scores)
    if dtype is None:
        return by_rows.forward(source_scores, target_scores, values, slope)
    out = empty_by_node(values)
    sorted_sums.forward(source_scores, target_scores, values, slope, dtype, out)
    return out


@torch.library.impl("gatlabel::complete_attention_backward", "default")
def _attend_backward(
    source_scores: Tensor,
    target_scores: Tensor,
    values: Tensor,
    out: Tensor,
    grad: Tensor,
    slope: float,
) -> tuple[Tensor, Tensor, Tensor]:
    source_scores, target_scores = source_scores.contiguous(), target_scores.contiguous()
    dtype = precision(source_scores, target_scores)
    if dtype is None:
        return by_rows.backward(source_scores, target_scores, values, grad, slope)
    d_v = empty_by_node(values)
    tensors = (source_scores, target_scores, values, out, grad)
    d_s, d_t = sorted_sums.backward(*tensors, slope, dtype, d_v)
    return d_s.to(source_scores.dtype), d_t.to(target_scores.dtype), d_v


@torch.library.register_fake("gatlabel::complete_attention")
def _fake_attend(
    source_scores: Tensor, target_scores: Tensor, values: Tensor, slope: float
) -> Tensor:
    return empty_by_node(values)


@torch.library.register_fake("gatlabel::complete_attention_backward")
def _fake_backward(
    source_scores: Tensor,
    target_scores: Tensor,
    values: Tensor,
    out: Tensor,
    grad: Tensor,
    slope: float,
) -> tuple[Tensor, Tensor, Tensor]:
    d_s, d_t = (x.new_empty(x.shape) for x in (source_scores, target_scores))
    return d_s, d_t, empty_by_node(values)


def _save(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    source_scores, target_scores, values, ctx.slope = inputs
    ctx.save_for_backward(source_scores, target_scores, values, output)


def _gradients(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    if torch.is_grad_enabled():  # second-order gradients are requested
        return _by_autograd(ctx, grad)
    backward = torch.ops.gatlabel.complete_attention_backward.default
    # grad keeps its strides: a contiguous copy would raise the peak memory by a fifth
    return *backward(*ctx.saved_tensors, grad, ctx.slope), None


def _by_autograd(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    s, t, v, _ = ctx.saved_tensors
    wanted = ctx.needs_input_grad[:3]
    asked = [x for x, want in zip((s, t, v), wanted, strict=True) if want]
    out = dense_attention(s, t, v, None, None, None, None, ctx.slope)
    found = iter(torch.autograd.grad(out, asked, grad, create_graph=True))
    return *(next(found) if want else None for want in wanted), None


torch.library.register_autograd("gatlabel::complete_attention", _gradients, setup_context=_save)
