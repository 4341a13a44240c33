"""What label graphs cost on a GPU, and which attention kernel is the fastest there.

    python benchmarks/gpu.py                        # a few minutes on a CUDA device
    python benchmarks/gpu.py --device cpu --quick   # a trial of the script without one

Training step: ResNet-18 at 224 pixels, 16 pictures, bfloat16, fused AdamW, with the default head
and with the linear head, at 80 and 10,000 labels. Heads alone: forward and backward pass at the
widths of benchmarks/attention.py, plain and default against two of PyG's ``GATConv``. Kernels:
forward and backward pass of one attention over a grid of sizes, densities and widths, with the
kernel that the automatic choice takes, and *triton*, which it does not take before this has shown
that it pays.

Contenders take turns; seconds of the clock, each step awaited; the median counts. Writes
benchmarks/results/gpu.json. Without a CUDA device it says so and ends.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Mapping, Sequence

import torch
from kernels.contenders import (
    BATCH,
    HEADS,
    WIDTH,
    PyGHead,
    default_head,
    plain_head,
    some_edges,
    step,
)  # fmt: skip
from kernels.timing import Times
from speed.measuring import Row, against, finish, limited
from torch import Tensor, nn

from gatlabel.losses import BCELoss
from gatlabel.nn import LinearHead
from gatlabel.nn.kernels import Adjacency, attend, choose_kernel

LABELS = (80, 10_000)
GRID_LABELS, GRID_DEGREES, GRID_CHANNELS = (80, 500, 2_000, 10_000), (4, 16, 64), (16, 64, 256)
DENSE_PAIRS = 2_500**2  # above, dense is far behind and fills the memory


def clocked(
    contenders: Mapping[str, Callable[[], object]], rounds: int, device: str
) -> dict[str, Times]:
    """As ``kernels.timing.interleaved``, by the clock, and each run awaited on the device."""
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    for turn in range(rounds + 3):  # three to warm up
        for name, run in contenders.items():
            start = time.perf_counter()
            run()
            if device == "cuda":
                torch.cuda.synchronize()
            if turn >= 3:
                seconds[name].append(time.perf_counter() - start)
    return {name: Times(tuple(runs), tuple(runs)) for name, runs in seconds.items()}


def training_step(head: nn.Module, device: str, pixels: int) -> Callable[[], None]:
    """One step of ResNet-18 with a head: both passes and the optimiser."""
    from torchvision.models import resnet18

    encoder = resnet18(weights=None)
    encoder.fc = nn.Identity()
    encoder.to(device, memory_format=torch.channels_last)
    head.to(device)
    parameters = [*encoder.parameters(), *head.parameters()]
    optimizer = torch.optim.AdamW(parameters, lr=1e-4, fused=True)
    images = torch.randn(BATCH, 3, pixels, pixels, device=device)
    images = images.contiguous(memory_format=torch.channels_last)
    labels = len(head(torch.randn(1, 512, device=device))[0])
    targets = (torch.rand(BATCH, labels, device=device) < 0.05).float()
    loss = BCELoss()

    def run() -> None:
        optimizer.zero_grad()
        with torch.autocast(device, torch.bfloat16):
            logits = head(encoder(images))
        loss(logits.float(), targets).backward()
        optimizer.step()

    return run


def steps(sizes: Sequence[int], device: str, rounds: int, pixels: int = 224) -> list[Row]:
    """Whole training steps: the default head in times of the linear head's."""
    rows = []
    for labels in sizes:
        runs = {
            "ours": training_step(default_head(labels, 512), device, pixels),
            "linear": training_step(LinearHead(512, labels), device, pixels),
        }
        times = clocked(runs, rounds, device)
        ratios = [
            a / b for a, b in zip(times["ours"].runs, times["linear"].runs, strict=True)
        ]  # fmt: skip
        name = f"{device}: training step, ResNet-18 {pixels} px, L={labels}: time of linear"
        rows.append(limited(name, ratios, "x", 1.02, against="linear head"))
    return rows


def heads(sizes: Sequence[int], device: str, rounds: int) -> list[Row]:
    """Heads alone against two of PyG's ``GATConv``."""
    rows = []
    features = torch.randn(BATCH, WIDTH, device=device)
    for labels in sizes:
        made: dict[str, nn.Module] = {
            "plain": plain_head(labels),
            "default": default_head(labels),
            "pyg": PyGHead(labels),
        }
        runs = {name: step(head.to(device), features) for name, head in made.items()}
        times = clocked(runs, rounds, device)
        for name in ("plain", "default"):
            what = f"{device}: {name} head, L={labels}: times faster than two GATConv"
            target = 10 if name == "default" else None
            peer = {"against": "two PyG GATConv"}
            rows.append(against(what, times[name], times["pyg"], target, **peer))
    return rows


def kernels(sizes: Sequence[int], device: str, rounds: int, others: Sequence[str]) -> list[Row]:
    """The chosen kernel's time in times of the best one's, at the worst point of the grid."""
    cells = []
    for labels in sizes:
        for degree in GRID_DEGREES:
            if degree > labels / 2:
                continue
            graph = Adjacency(some_edges(labels, degree), labels).to(device)
            for channels in GRID_CHANNELS:
                cells.append(cell(graph, channels, device, rounds, others))
    losses = [c["seconds"][c["chosen"]] / min(c["seconds"].values()) for c in cells]
    name = f"{device}: chosen kernel over the grid: time of the best kernel's"
    row = limited(name, losses, "x", None, cells=cells)
    worst = limited(f"{name}, at worst", [max(losses)], "x", 1.1)
    return [row, worst]


def cell(
    graph: Adjacency, channels: int, device: str, rounds: int, others: Sequence[str]
) -> dict[str, object]:
    """Every kernel's median time of one attention, forward and backward."""
    shapes = [(HEADS, graph.nodes), (HEADS, graph.nodes), (HEADS, graph.nodes, channels)]
    own = [torch.randn(shape, device=device, requires_grad=True) for shape in shapes]
    probe = torch.randn(shapes[2], device=device)

    def run(kernel: str) -> Callable[[], tuple[Tensor, ...]]:
        return lambda: torch.autograd.grad(attend(graph, *own, kernel=kernel), own, probe)

    names = ["csr", *others] + ["dense"] * (graph.nodes**2 <= DENSE_PAIRS)
    times = clocked({name: run(name) for name in names}, rounds, device)
    return {
        "labels": graph.nodes,
        "edges": graph.edges,
        "channels": channels,
        "seconds": {name: statistics.median(found.runs) for name, found in times.items()},
        "chosen": choose_kernel(graph.nodes, graph.edges, channels, device=device),
    }


def main() -> None:
    """Measures, prints and writes."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--device", default="cuda", choices=("cuda", "cpu"))
    parser.add_argument("--quick", action="store_true", help="80 labels; nothing is written")
    asked = parser.parse_args()
    if asked.device == "cuda" and not torch.cuda.is_available():
        print("no CUDA device, left out (--device cpu --quick tries the script without one)")
        return
    torch.manual_seed(0)
    sizes, rounds = (LABELS[:1], 3) if asked.quick else (LABELS, 30)
    grid = GRID_LABELS[:1] if asked.quick else GRID_LABELS
    others = ("triton",) if asked.device == "cuda" else ()
    rows = [
        *steps(sizes, asked.device, rounds),
        *heads(sizes, asked.device, rounds),
        *kernels(grid, asked.device, rounds, others),
    ]
    finish("gpu", rows, asked.quick or asked.device == "cpu")


if __name__ == "__main__":
    main()
