"""The sums of kernel *csr* by torch's sparse matrices: MKL on the CPU, cuSPARSE on CUDA.

On other devices, where torch has no sparse matrices, the sums use gather and scatter.
"""

from __future__ import annotations

import functools
import warnings

import torch
from torch import Tensor

from gatlabel.nn.kernels.scatter import scatter_softmax, scatter_sum

# torch multiplies CSR matrices on the CPU through MKL only (x86-64); elsewhere COO is used.
MKL = torch.backends.mkl.is_available()

# Types of devices on which torch has sparse matrices.
SPARSE = ("cpu", "cuda")

# Block size of the edge products on devices where torch has no operator for them.
BLOCK = 1 << 20

# Size of an (L, chunk) array that fits the processor's cache.
CACHE = 1 << 19


@functools.cache
def _suppress_beta_warning() -> None:
    """Creates torch's first CSR tensor, to suppress its one-time warning about beta support."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.sparse_csr_tensor([0, 0], [], [], (1, 1))


def _matrix(weights: Tensor, offsets: Tensor, sources: Tensor, nodes: int) -> Tensor:
    _suppress_beta_warning()
    return torch.sparse_csr_tensor(
        offsets, sources, weights, (nodes, nodes), check_invariants=False
    )  # fmt: skip


def _has_csr(values: Tensor) -> bool:
    return values.device.type in SPARSE and (values.is_cuda or MKL)


def _rows(offsets: Tensor) -> Tensor:
    return torch.repeat_interleave(offsets.diff())


def _chunks(values: Tensor) -> list[slice]:
    """Returns slices of channels, so that the rows read at random fit the cache."""
    _, nodes, channels = values.shape
    step = channels if values.is_cuda else max(16, CACHE // nodes // 16 * 16)
    return [slice(begin, begin + step) for begin in range(0, channels, max(1, step))]


def sums(weights: Tensor, values: Tensor, offsets: Tensor, sources: Tensor, out: Tensor) -> Tensor:
    """Fills ``out (H, L, C)`` with ``Σ_{j→i} weights[h, (j→i)] · values[h, j]`` and returns it."""
    nodes = values.shape[1]
    if not sources.numel():
        return out.zero_()
    if values.device.type not in SPARSE:
        return out.copy_(scatter_sum(weights.T, values, sources.long(), _rows(offsets)))
    weights = weights.contiguous()
    for head in range(len(values)):
        if _has_csr(values):
            matrix = _matrix(weights[head], offsets, sources, nodes)
        else:
            place = torch.stack([_rows(offsets), sources.long()])
            matrix = torch.sparse_coo_tensor(
                place, weights[head], (nodes, nodes), check_invariants=False, is_coalesced=True
            )
        for chunk in _chunks(values):
            part, own = values[head, :, chunk].contiguous(), out[head, :, chunk]
            torch.addmm(own, matrix, part, beta=0, out=own)
    return out


def dots(left: Tensor, right: Tensor, offsets: Tensor, sources: Tensor) -> Tensor:
    """Returns ``left[h, i] · right[h, j]`` for every edge, ``(H, E)``, from ``(H, L, C)`` each."""
    heads, nodes, channels = left.shape
    edges = sources.numel()
    out = left.new_empty(heads, edges)
    if not edges:
        return out
    if _has_csr(left) and edges <= nodes * nodes:  # torch refuses more edges
        pattern = _matrix(left.new_zeros(edges), offsets, sources, nodes)
        for head in range(heads):
            dots = pattern
            for chunk in _chunks(left):
                a, b = (x[head, :, chunk].contiguous() for x in (left, right))
                dots = torch.sparse.sampled_addmm(dots, a, b.T)
            out[head] = dots.values()
        return out
    targets, step = _rows(offsets), max(1, BLOCK // max(1, channels))
    for head in range(heads):
        for begin in range(0, edges, step):
            block = slice(begin, begin + step)
            products = left[head][targets[block]] * right[head][sources[block]]
            out[head, block] = products.sum(1)
    return out


def softmax(scores: Tensor, offsets: Tensor, targets: Tensor) -> Tensor:
    """Returns the softmax ``(E, H)`` of contiguous scores over the in-edges of each node."""
    if not len(targets):
        return scores.clone()
    if scores.device.type not in SPARSE:
        return scatter_softmax(scores, targets, len(offsets) - 1)
    bounds = offsets.long()
    highest = torch.segment_reduce(scores, "max", offsets=bounds, axis=0)
    weights = (scores - highest.index_select(0, targets)).exp_()
    totals = torch.segment_reduce(weights, "sum", offsets=bounds, axis=0)
    return weights.div_(totals.index_select(0, targets))
