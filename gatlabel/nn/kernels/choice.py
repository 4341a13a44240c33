"""Which kernel computes an attention: one visible function, with the costs it goes by."""

from __future__ import annotations

from typing import Literal, get_args

Kernel = Literal["dense", "csr", "sorted"]
KERNELS: tuple[Kernel, ...] = get_args(Kernel)

# Relative costs of one head's forward and backward pass on one CPU core. They are fitted to which
# kernel was fastest, and by how much, at 30 to 4,000 nodes, 2 to 30 % of the pairs and 16 to 256
# channels; benchmarks/speed/attention.py measures what the choice costs, on another grid.
DENSE_PAIR, DENSE_PAIR_CHANNEL = 8.5, 0.129
# Arrays of four heads over so many pairs are new memory from the system at every step of a CPU.
LARGE_PAIRS, DENSE_NEW_PAIR = 1 << 21, 15.0
CSR_CALL, CSR_EDGE, CSR_EDGE_CHANNEL = 438_000.0, 46.8, 0.598
SORTED_CALL, SORTED_NODE, SORTED_NODE_CHANNEL = 1_450_000.0, 16.9, 18.2


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
    """
    pairs = nodes * nodes
    costs: dict[Kernel, float] = {
        "csr": CSR_CALL + edges * (CSR_EDGE + CSR_EDGE_CHANNEL * channels)
    }
    if simple:
        new = DENSE_NEW_PAIR if device == "cpu" and pairs >= LARGE_PAIRS else 0.0
        costs["dense"] = pairs * (DENSE_PAIR + new + DENSE_PAIR_CHANNEL * channels)
    if sortable:
        costs["sorted"] = SORTED_CALL + nodes * (SORTED_NODE + SORTED_NODE_CHANNEL * channels)
    return min(costs, key=costs.__getitem__)
