"""Attention kernels: several ways to compute the same attention over a label graph.

| kernel | for | time, memory per head |
|---|---|---|
| *dense* | small or dense graphs | ``O(L² C)``, ``O(L²)`` |
| *csr* | large sparse graphs | ``O(E C)``, ``O(E + L C)`` |
| *sorted* | plain GAT on the complete graph | ``O(L log L + L C)``, ``O(L C)`` |

:func:`choose_kernel` selects the kernel for :func:`attend`. docs/kernels.md lists formulas, costs
and numeric limits. Whether classifiers are formed explicitly is decided by the heads.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gatlabel.lazy import lazy_names

if TYPE_CHECKING:
    from gatlabel.nn.kernels.adjacency import CSR, Adjacency
    from gatlabel.nn.kernels.choice import KERNELS, Kernel, choose_kernel
    from gatlabel.nn.kernels.complete import complete_attention
    from gatlabel.nn.kernels.dispatch import attend, weighted_sum
    from gatlabel.nn.kernels.scatter import scatter_softmax
    from gatlabel.nn.kernels.sorted_sums import spread
else:
    __getattr__, __dir__ = lazy_names(__name__)

__all__ = [
    "CSR",
    "KERNELS",
    "Adjacency",
    "Kernel",
    "attend",
    "choose_kernel",
    "complete_attention",
    "scatter_softmax",
    "spread",
    "weighted_sum",
]
