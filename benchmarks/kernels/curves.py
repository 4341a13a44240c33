"""Growth curves of the kernels: time and memory over the number of labels and over density."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import torch

from gatlabel.nn.kernels import Adjacency, attend
from kernels.contenders import DEGREE, HEADS, some_edges
from kernels.timing import highest_bytes, interleaved, resident_bytes

IMAGES = Path(__file__).parent.parent.parent / "docs" / "images"
CHANNELS = 64
SIZES = {
    "dense": (50, 100, 200, 500, 1_000, 2_000),
    "csr": (50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 20_000),
    "edgewise": (50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000),
    "sorted": (50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 20_000),
}
DENSITIES = (0.004, 0.01, 0.03, 0.1, 0.3, 0.6)
DENSITY_LABELS = 1_000


def attention(kernel: str, labels: int, degree: int) -> Callable[[], object]:
    """Forward and backward pass of one kernel."""
    complete = kernel == "sorted"
    graph = Adjacency(None if complete else some_edges(labels, degree), labels)
    shapes = [(HEADS, labels), (HEADS, labels), (HEADS, labels, CHANNELS)]
    own = [torch.randn(shape, requires_grad=True) for shape in shapes]
    probe = torch.randn(shapes[2])
    return lambda: torch.autograd.grad(attend(graph, *own, kernel=kernel), own, probe)


def point(kernel: str, labels: int, degree: int) -> None:
    """Prints seconds and peak bytes of one point; run in a process of its own."""
    run = attention(kernel, labels, degree)
    attention(kernel, 20, 4)()  # what is loaded at the first call is not the kernel's
    before = resident_bytes()
    seconds = min(interleaved({"run": run}, 5 if labels <= 1_000 else 2)["run"].runs)
    print(seconds, max(0, highest_bytes() - before))


def measure(kernel: str, labels: int, degree: int) -> tuple[float, float]:
    """Seconds and peak megabytes of one point."""
    code = (
        "import sys, torch; torch.set_num_threads(1); sys.path.insert(0, sys.argv[1]); "
        f"from kernels.curves import point; point({kernel!r}, {labels}, {degree})"
    )
    command = [sys.executable, "-c", code, str(Path(__file__).parent.parent)]
    answer = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    return float(answer[0]), float(answer[1]) / 1e6


def draw() -> None:
    """Writes docs/images/kernels-labels.png and kernels-density.png."""
    by_labels = {
        kernel: [(size, *measure(kernel, size, DEGREE)) for size in sizes]
        for kernel, sizes in SIZES.items()
    }
    shares = {
        kernel: [
            (share, *measure(kernel, DENSITY_LABELS, round(share * DENSITY_LABELS)))
            for share in DENSITIES
        ]
        for kernel in ("dense", "csr", "edgewise")
    }
    picture(by_labels, "labels L (16 neighbours each; sorted: all)", "kernels-labels.png")
    picture(
        shares, f"share of the pairs that are edges, L = {DENSITY_LABELS}", "kernels-density.png"
    )


def picture(lines: dict[str, list[tuple[float, float, float]]], axis: str, name: str) -> None:
    """Time and peak memory side by side, log-log."""
    figure, (time, memory) = plt.subplots(1, 2, figsize=(9, 3.4), layout="constrained")
    for kernel, points in lines.items():
        x, seconds, megabytes = zip(*points, strict=True)
        time.loglog(x, [1e3 * s for s in seconds], marker="o", markersize=3, label=kernel)
        memory.loglog(x, [max(m, 0.1) for m in megabytes], marker="o", markersize=3, label=kernel)
    for axes, title in ((time, "forward + backward, ms"), (memory, "peak memory, MB")):
        axes.set(xlabel=axis, title=title)
        axes.grid(True, which="major", alpha=0.3)
    time.legend(frameon=False)
    IMAGES.mkdir(parents=True, exist_ok=True)
    figure.savefig(IMAGES / name, dpi=110)
    plt.close(figure)
    print(f"wrote {IMAGES / name}")
