"""The row on the automatic choice: every kernel that can, over sizes, densities and widths."""

from __future__ import annotations

from collections.abc import Sequence

from measuring import Row, limited

from gatlabel.nn.kernels import choose_kernel
from kernels.timing import apart

LABELS = (20, 80, 250, 500, 1_000, 2_000)
# Neighbours, and shares of all labels: closest where the choice changes over from csr.
DEGREES, SHARES = (4, 16, 64), (0.1, 0.15, 0.2, 0.25, 0.6, 1.0)
CHANNELS = (16, 64, 256)


def neighbours(labels: int) -> list[int]:
    """The degrees measured at a size, rising; only those where two kernels compete."""
    found = {degree for degree in DEGREES if degree <= labels / 5}
    return sorted(found | {round(share * labels) for share in SHARES})


def grid(sizes: Sequence[int] = LABELS) -> list[Row]:
    """Every cell: forward and backward pass of one attention, by each kernel."""
    return [
        cell(labels, degree, channels)
        for labels in sizes
        for degree in neighbours(labels)
        for channels in CHANNELS
    ]


def cell(labels: int, degree: int, channels: int) -> Row:
    """The kernels in turn, each in a process of its own: medians, and what the choice costs.

    In one process what an earlier cell left in the allocator decides which kernel pays for fresh
    memory, and with it which one is the fastest, by half of its time either way.
    """
    whole = degree == labels
    kernels = ["dense", "sorted" if whole else "csr"]
    rounds = 15 if labels <= 1_000 else 5
    named = {kernel: f"attention-{kernel}-{degree}-{channels}" for kernel in kernels}
    times = apart(named, labels, rounds)
    medians = {kernel: found.median for kernel, found in times.items()}
    chosen = choose_kernel(labels, labels * degree, channels, sortable=whole)
    best = min(medians, key=medians.__getitem__)
    losses = [a / b for a, b in zip(times[chosen].runs, times[best].runs, strict=True)]
    return {
        "labels": labels,
        "edges": labels * degree,
        "channels": channels,
        "seconds": medians,
        "chosen": chosen,
        "loss": medians[chosen] / medians[best],
        "spread": [min(losses), max(losses)],
    }


def choice(sizes: Sequence[int] = LABELS) -> list[Row]:
    """How far the automatic choice is from the best kernel, at the worst cell."""
    cells = grid(sizes)
    worst = max(cells, key=lambda found: found["loss"])
    name = f"chosen kernel, worst of {len(cells)} cells: time of the best kernel's"
    row = limited(name, [worst["loss"]], "x", 1.1)
    row.update(spread=worst["spread"], ok=worst["loss"] <= 1.1, worst=worst, cells=cells)
    row["within"] = sum(found["loss"] <= 1.1 for found in cells) / len(cells)
    return [row]
