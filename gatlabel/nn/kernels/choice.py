"""Which kernel computes an attention: one visible function, with the costs it goes by."""

from __future__ import annotations

from typing import Literal, get_args

Kernel = Literal["dense", "csr", "sorted", "edgewise", "triton"]
KERNELS: tuple[Kernel, ...] = get_args(Kernel)

# Relative costs of one head's forward and backward pass on one CPU core. They are fitted to which
# kernel was fastest at every point of the grid that benchmarks/attention.py measures, not to times.
DENSE_PAIR, DENSE_PAIR_CHANNEL = 8.5, 0.03
CSR_CALL, CSR_EDGE, CSR_EDGE_CHANNEL = 430_000.0, 32.0, 0.14
SORTED_CALL, SORTED_NODE, SORTED_NODE_CHANNEL = 130_000.0, 3_400.0, 4.0


def choose_kernel(
    nodes: int,
    edges: int,
    channels: int,
    *,
    device: str = "cpu",
    simple: bool = True,
    sortable: bool = False,
) -> Kernel:
    """Names the kernel that should be fastest; all of them compute the same function.

    Args:
        nodes: Number of nodes L.
        edges: Number of edges E.
        channels: Width C of one head's values.
        device: Type of the device, as ``tensor.device.type``.
        simple: Whether no edge stands twice (*dense* needs that).
        sortable: Whether *sorted* computes this function: complete graph with "self", additive
            scores, no prior, no dropout, slope in [0, 1].

    Returns:
        ``"sorted"``, ``"dense"`` or ``"csr"``; on a device without sparse matrices (neither CPU nor
        CUDA) ``"edgewise"`` in place of ``"csr"``. Never ``"triton"``, which is yet to be measured.
    """
    pairs = nodes * nodes
    costs: dict[Kernel, float] = {
        "csr": CSR_CALL + edges * (CSR_EDGE + CSR_EDGE_CHANNEL * channels)
    }
    if simple:
        costs["dense"] = pairs * (DENSE_PAIR + DENSE_PAIR_CHANNEL * channels)
    if sortable:
        costs["sorted"] = SORTED_CALL + nodes * (SORTED_NODE + SORTED_NODE_CHANNEL * channels)
    best = min(costs, key=costs.__getitem__)
    return "edgewise" if best == "csr" and device not in ("cpu", "cuda") else best
