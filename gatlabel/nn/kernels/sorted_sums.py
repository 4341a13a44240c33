r"""Kernel *sorted*: exact attention over all ``L²`` pairs in ``O(L log L + L C)``.

Plain GAT on the complete graph has all pairs as edges, no prior and no dropout on the weights. Its
scores are ``LeakyReLU(t_i + s_j)``: additive on either side of one kink. Therefore

    ``exp(LeakyReLU(t_i + s_j)) = exp(t_i) exp(s_j)`` where ``t_i + s_j > 0``, and
    ``exp(a t_i) exp(a s_j)`` elsewhere.

With the sources sorted by descending ``s``, the first case holds for the first ``k_i`` of them, and

    ``out_i = r_i Σ_{j < k_i} exp(s_j − s_max) v_j + q_i Σ_{j ≥ k_i} exp(a (s_j − s_max)) v_j``

is a prefix sum plus a suffix sum, looked up at ``k_i``. The gradient of ``v`` has the same form
with the targets sorted. All scores are shifted by the largest source score, which is the largest
for every target because LeakyReLU is monotone; no exponential overflows.

**Numeric limits.** Sums over ``L`` terms are kept per side, and the values involve no cancellation.
The gradients of the scores are differences of such sums: where the softmax saturates, they shrink
and the rounding error does not. The kernel therefore computes in the given precision up to a
*spread* (range of ``s`` plus range of ``t``) of :data:`SPREAD_LIMIT`, in float64 above it, and
above float64's limit over all pairs, in blocks of rows (:mod:`~gatlabel.nn.kernels.by_rows`), with
``O(L²)`` time but bounded memory.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from gatlabel.nn.kernels.prefix import Ranking, remaining_sums, running_sums

SPREAD_LIMIT = {torch.float32: 100.0, torch.float64: 600.0}

# Elements of the (L, chunk) arrays processed at a time.
CHUNK = 1 << 18


class _Order(NamedTuple):
    """The scores of all heads, sorted and exponentiated (``a`` is the slope below zero)."""

    sources: Ranking  # by descending score
    kink_first: Tensor  # (H, L) position of the sum of the sources above each target's kink
    kink_last: Tensor  # (H, L) the same for the sources below
    falling: Tensor  # (H, slots) the sorted source scores
    above: Tensor  # (H, slots) exp(s_j − s_max)
    below: Tensor  # (H, slots) exp(a (s_j − s_max))
    above_sum: Tensor  # (H, L) Σ_{j < k_i} above_j, for each target
    r: Tensor  # (H, L) factor of the sources above the kink, per target
    q: Tensor  # (H, L) the same for the sources below


def _sort(s: Tensor, t: Tensor, slope: float, dtype: torch.dtype) -> _Order:
    falling, order = s.sort(descending=True)
    kink = torch.searchsorted(-falling, t)  # number of −s_j < t_i, whose scores are positive
    highest = falling[:, :1]
    shifted = (falling - highest).double()  # vectors of length L: float64 is cheap here
    above, below = shifted.exp(), (slope * shifted).exp()
    top = (t + highest).double()  # the largest raw score of each target
    c_above = ((1 - slope) * top).clamp(max=0).exp()
    c_below = ((slope - 1) * top).clamp(max=0).exp()
    above_sum = running_sums(above).gather(1, kink)
    total = c_above * above_sum + c_below * remaining_sums(below).gather(1, kink)
    sources = Ranking.of(order)
    return _Order(
        sources,
        sources.where_first(kink),
        sources.where_last(kink),
        sources.lay_out(falling),
        sources.lay_out(above.to(dtype)),
        sources.lay_out(below.to(dtype)),
        above_sum.to(dtype),
        (c_above / total).to(dtype),
        (c_below / total).to(dtype),
    )


def _chunks(rows: int, channels: int) -> list[slice]:
    step = max(64, CHUNK // rows // 64 * 64)  # whole cache lines
    return [slice(begin, begin + step) for begin in range(0, channels, step)]


def forward(
    s: Tensor, t: Tensor, values: Tensor, slope: float, dtype: torch.dtype, out: Tensor
) -> None:
    """Fills ``out (H, L, C)``, computing in ``dtype``."""
    order = _sort(s.to(dtype), t.to(dtype), slope, dtype)
    sources = order.sources
    for head, v in enumerate(values):
        gather, first, last = (x[head] for x in (sources.gather, order.kink_first, order.kink_last))
        above, below, r, q = (
            x[head][:, None] for x in (order.above, order.below, order.r, order.q)
        )
        for chunk in _chunks(*v.shape):
            ranked = v[:, chunk].index_select(0, gather).to(dtype)
            high = sources.first(ranked * above, first)
            low = sources.last(ranked.mul_(below), last)
            out[head, :, chunk] = high.mul_(r).addcmul_(low, q)


def backward(
    s: Tensor,
    t: Tensor,
    values: Tensor,
    out: Tensor,
    grad: Tensor,
    slope: float,
    dtype: torch.dtype,
    d_v: Tensor,
) -> tuple[Tensor, Tensor]:
    """Fills ``d_v (H, L, C)`` and returns the gradients ``(H, L)`` of ``s`` and ``t``."""
    s, t = s.to(dtype), t.to(dtype)
    order = _sort(s, t, slope, dtype)
    sources = order.sources
    # gradient of the normalisation at each target's scores; head by head, to save memory
    own = torch.stack([(g.to(dtype) * o).sum(1) for g, o in zip(grad, out, strict=True)])
    falling, by_target = t.sort(descending=True)
    targets = Ranking.of(by_target)
    # per source slot: number of ranked targets whose score with it is above zero
    reach = torch.searchsorted(-falling, order.falling)
    r_ranked, q_ranked, own_ranked = (x.gather(1, by_target) for x in (order.r, order.q, own))
    above_sum = running_sums((r_ranked * own_ranked).double()).gather(1, reach)
    below_sum = remaining_sums((q_ranked * own_ranked).double()).gather(1, reach)
    d_above, d_below = -above_sum.to(dtype), -below_sum.to(dtype)
    reach_first, reach_last = targets.where_first(reach), targets.where_last(reach)
    r_ranked, q_ranked = targets.lay_out(r_ranked), targets.lay_out(q_ranked)
    # The gradients of t_i's scores sum to zero over j, so only the part above the kink is summed.
    d_t = -order.r * own * order.above_sum
    for head, v in enumerate(values):
        above, below, r, q = (
            x[head][:, None] for x in (order.above, order.below, r_ranked, q_ranked)
        )
        for chunk in _chunks(*v.shape):
            g = grad[head, :, chunk]
            ranked = v[:, chunk].index_select(0, sources.gather[head]).to(dtype)
            high = sources.first(ranked * above, order.kink_first[head])
            d_t[head] += order.r[head] * high.mul_(g).sum(1)
            ranked_g = g.index_select(0, targets.gather[head]).to(dtype)
            high = targets.first(ranked_g * r, reach_first[head])
            low = targets.last(ranked_g.mul_(q), reach_last[head])
            d_above[head] += (high * ranked).sum(1)
            d_below[head] += ranked.mul_(low).sum(1)
            high.mul_(above).addcmul_(low, below)
            d_v[head, :, chunk] = high.index_select(0, sources.slot[head])
    d_s = order.above * d_above + slope * order.below * d_below
    return d_s.gather(1, sources.slot), (1 - slope) * d_t


def spread(source_scores: Tensor, target_scores: Tensor) -> float:
    """Returns range of source scores plus range of target scores, the largest over heads.

    Args:
        source_scores: ``(H, L)``.
        target_scores: ``(H, L)``.
    """
    scores = torch.stack([source_scores, target_scores]).detach()  # (2, H, L)
    return float((scores.amax(2) - scores.amin(2)).sum(0).max())


def precision(s: Tensor, t: Tensor) -> torch.dtype | None:
    """Returns the dtype to compute in, or ``None`` if no dtype is precise enough."""
    width = spread(s, t)
    if width <= SPREAD_LIMIT[s.dtype]:
        return s.dtype
    return torch.float64 if width <= SPREAD_LIMIT[torch.float64] else None
