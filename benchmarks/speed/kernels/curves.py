"""Growth curves of the kernels: time and memory over the number of labels and over density."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from measuring import RESULTS

from gatlabel.files import write_json
from kernels.methods import DEGREE, HEADS, attention
from kernels.timing import highest_bytes, interleaved, resident_bytes

OUTPUT = RESULTS / "kernel-curves.json"
IMAGES = Path(__file__).parents[3] / "docs" / "images"
CHANNELS = 64
SIZES = {
    "dense": (50, 100, 200, 500, 1_000, 2_000),
    "csr": (50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 20_000),
    "sorted": (50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 20_000),
}
DENSITIES = (0.004, 0.01, 0.03, 0.1, 0.3, 0.6)
DENSITY_LABELS = 1_000


def point(kernel: str, labels: int, degree: int) -> None:
    """Prints the median seconds and the bytes of one point; run in a process of its own."""
    run = attention(kernel, labels, labels if kernel == "sorted" else degree, CHANNELS)
    attention(
        kernel, 20, 20 if kernel == "sorted" else 4, CHANNELS
    )()  # what is loaded at the first call is not the kernel's
    before = resident_bytes()
    seconds = interleaved({"run": run}, 5 if labels <= 1_000 else 3)["run"].median
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


def measure_all(quick: bool, circumstances: dict[str, Any]) -> None:
    """Measures all points ``(x, seconds, megabytes)``, and writes them to kernel-curves.json.

    Args:
        quick: The two smallest points of every line; nothing is written.
        circumstances: Load, machine and versions.
    """
    few = 2 if quick else None
    content: dict[str, Any] = {
        **circumstances,
        "heads": HEADS,
        "channels": CHANNELS,
        "neighbours": DEGREE,
        "density_labels": DENSITY_LABELS,
        "labels": {
            kernel: [(size, *measure(kernel, size, DEGREE)) for size in sizes[:few]]
            for kernel, sizes in SIZES.items()
        },
        "density": {
            kernel: [
                (share, *measure(kernel, DENSITY_LABELS, round(share * DENSITY_LABELS)))
                for share in DENSITIES[:few]
            ]
            for kernel in ("dense", "csr")
        },
    }
    for axis in ("labels", "density"):
        for kernel, points in content[axis].items():
            print(axis, kernel, *(f"{x:g}: {1e3 * s:.2f} ms, {m:.1f} MB;" for x, s, m in points))
    if not quick:
        write_json(OUTPUT, content)


def draw(content: dict[str, Any]) -> None:
    """Draws what :func:`measure_all` has written as kernels-labels.png and kernels-density.png."""
    neighbours, size = content["neighbours"], content["density_labels"]
    axis = f"labels L ({neighbours} neighbours each; sorted: all)"
    image(content["labels"], axis, "kernels-labels.png")
    axis = f"share of the pairs that are edges, L = {size}"
    image(content["density"], axis, "kernels-density.png")


def image(lines: dict[str, list[tuple[float, float, float]]], axis: str, name: str) -> None:
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
