"""Selection of the attention kernel by a cost model."""

from __future__ import annotations

from typing import Literal, get_args

Kernel = Literal["dense", "csr", "sorted"]
KERNELS: tuple[Kernel, ...] = get_args(Kernel)

# Relative costs of one head's forward and backward pass on one CPU core. They are fitted to
# measured times of the kernels at 30 to 4,000 nodes, 2 to 30 % of the pairs and 16 to 256 channels.
# benchmarks/speed/attention.py measures the cost of wrong choices on another grid.
DENSE_PAIR, DENSE_PAIR_CHANNEL = 8.5, 0.129
# Above this many pairs, arrays of four heads are newly allocated by the system at every CPU step.
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
    """Returns the name of the kernel expected to be fastest; all compute the same function.

    Args:
        nodes: Number of nodes L.
        edges: Number of edges E.
        channels: Width C of one head's values.
        device: Type of the device, as ``tensor.device.type``.
        simple: Whether there are no duplicate edges (*dense* requires that).
        sortable: Whether *sorted* can compute this function: complete graph with self-loops,
            additive scores, no prior, no dropout, slope in [0, 1].
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
