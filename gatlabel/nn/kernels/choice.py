"""Which kernel computes an attention: one visible function, with the costs it goes by."""

from __future__ import annotations

from typing import Literal, get_args

Kernel = Literal["dense", "blocked", "csr", "sorted", "edgewise", "triton"]
KERNELS: tuple[Kernel, ...] = get_args(Kernel)

# Relative costs of one head's forward and backward pass on one CPU core. They are fitted to which
# kernel was fastest, and by how much, at 30 to 4,000 nodes, 2 to 30 % of the pairs and 16 to 256
# channels; benchmarks/speed/attention.py measures what the choice costs, on another grid.
DENSE_PAIR, DENSE_PAIR_CHANNEL = 8.5, 0.129
BLOCKED_CALL, BLOCKED_PAIR, BLOCKED_PAIR_CHANNEL = 1_035_000.0, 5.75, 0.109
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
    blockable: bool = True,
) -> Kernel:
    """Names the kernel that should be fastest; all of them compute the same function.

    Args:
        nodes: Number of nodes L.
        edges: Number of edges E.
        channels: Width C of one head's values.
        device: Type of the device, as ``tensor.device.type``.
        simple: Whether no edge stands twice (*dense* and *blocked* need that).
        sortable: Whether *sorted* computes this function: complete graph with "self", additive
            scores, no prior, no dropout, slope in [0, 1].
        blockable: Whether *blocked* computes it: additive scores, no dropout.

    Returns:
        ``"sorted"``, ``"dense"``, ``"csr"`` or, on a CPU only, ``"blocked"``; on a device without
        sparse matrices (neither CPU nor CUDA) ``"edgewise"`` in place of ``"csr"``. Never
        ``"triton"``, which is yet to be measured.
    """
    pairs = nodes * nodes
    costs: dict[Kernel, float] = {
        "csr": CSR_CALL + edges * (CSR_EDGE + CSR_EDGE_CHANNEL * channels)
    }
    if simple:
        costs["dense"] = pairs * (DENSE_PAIR + DENSE_PAIR_CHANNEL * channels)
        if blockable and device == "cpu":
            costs["blocked"] = BLOCKED_CALL + pairs * (
                BLOCKED_PAIR + BLOCKED_PAIR_CHANNEL * channels
            )
    if sortable:
        costs["sorted"] = SORTED_CALL + nodes * (SORTED_NODE + SORTED_NODE_CHANNEL * channels)
    best = min(costs, key=costs.__getitem__)
    return "edgewise" if best == "csr" and device not in ("cpu", "cuda") else best
