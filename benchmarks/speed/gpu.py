"""What label graphs cost on a GPU, and which attention kernel is the fastest there.

    python benchmarks/speed/gpu.py                        # a few minutes on a CUDA device
    python benchmarks/speed/gpu.py --device cpu --quick   # a trial of the script without one

Training step: ResNet-18 at 224 pixels, 16 images, as `gatlabel train` takes it (bfloat16, AdamW
not fused), with the default head and with the linear head at 80 and 10,000 labels, with the
image-conditioned head at 80; then what --amp, --compile, channels last and the fused optimiser do.
Heads alone: forward and backward pass at the widths of benchmarks/speed/attention.py, plain and
default against two of PyG's ``GATConv``, image-conditioned against the linear map in it. Kernels:
forward and backward pass of one attention over a grid of sizes, widths and densities (up to a
quarter of all pairs, and complete), with the kernel that the automatic choice takes. --quick
is small and compiles nothing.

Methods take turns; seconds of the clock, each step awaited; the median counts. Writes
benchmarks/results/gpu.json. Without a CUDA device it says so and ends.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Mapping, Sequence

import torch
from kernels.methods import (
    BATCH,
    HEADS,
    MAP_WIDTH,
    NARROW,
    WIDTH,
    ConditionedStep,
    PyGHead,
    default_head,
    plain_head,
    some_edges,
    some_graph,
    step,
)
from kernels.timing import Times
from measuring import Row, against, finish, limited
from torch import Tensor, nn
from training_step import has_compiler, stepper

from gatlabel import MultiLabelClassifier
from gatlabel.encoders import create_encoder
from gatlabel.nn import ConditionedHead, Head, LinearHead
from gatlabel.nn.kernels import Adjacency, attend, choose_kernel

LABELS = (80, 10_000)
GRID_LABELS, GRID_DEGREES, GRID_CHANNELS = (80, 500, 2_000, 10_000), (4, 16, 64), (16, 64, 256)
DENSE_PAIRS = 2_500**2  # above, dense is far behind and fills the memory


def clocked(
    methods: Mapping[str, Callable[[], object]], rounds: int, device: str
) -> dict[str, Times]:
    """As ``kernels.timing.interleaved``, by the clock, and each run awaited on the device."""
    seconds: dict[str, list[float]] = {name: [] for name in methods}
    for turn in range(rounds + 3):  # three to warm up
        for name, run in methods.items():
            start = time.perf_counter()
            run()
            if device == "cuda":
                torch.cuda.synchronize()
            if turn >= 3:
                seconds[name].append(time.perf_counter() - start)
    return {name: Times(tuple(runs), tuple(runs)) for name, runs in seconds.items()}


def model_of(head: Head) -> MultiLabelClassifier:
    """ResNet-18 with a head."""
    names = [f"label {k}" for k in range(head.out_features)]
    return MultiLabelClassifier(create_encoder("resnet18", weights=None), head, names)


def steps(sizes: Sequence[int], device: str, rounds: int, pixels: int = 224) -> list[Row]:
    """Whole training steps, each head's in times of the linear head's."""
    rows = []
    for labels in sizes:
        made: dict[str, Head] = {
            "linear": LinearHead(512, labels),
            "default": default_head(labels, 512),
        }
        if labels < 1_000:
            made["conditioned"] = ConditionedHead(512, some_graph(labels))
        where = {"device": device, "batch": BATCH, "pixels": pixels, "amp": device == "cuda"}
        runs = {name: stepper(model_of(head), **where)[0] for name, head in made.items()}
        times = clocked(runs, rounds, device)
        linear = times.pop("linear")
        for name, found in times.items():
            ratios = [a / b for a, b in zip(found.runs, linear.runs, strict=True)]
            what = f"{device}: training step, {name} head, ResNet-18 {pixels} px, L={labels}"
            limit = 1.02 if name == "default" else None
            peer = {"against": "linear head"}
            rows.append(limited(f"{what}: time of linear", ratios, "x", limit, **peer))
    return rows


def options(device: str, rounds: int, pixels: int = 224, compiles: bool = True) -> list[Row]:
    """What each option does for a step of ResNet-18 with the linear head at 80 labels."""
    amp = device == "cuda"  # as --amp auto has it
    kinds: dict[str, dict[str, bool]] = {
        "as it is": {},
        "not channels last": {"last": False},
        f"--run.amp {'off' if amp else 'on'}": {"amp": not amp},
        "--run.amp off, AdamW not fused": {"amp": False, "fused": False},
    }
    if compiles:
        kinds["--run.compile"] = {"compiled": True}
    made = {}
    for name, kind in kinds.items():
        model = model_of(LinearHead(512, LABELS[0]))
        chosen = {"amp": amp, **kind}
        made[name] = stepper(model, device=device, batch=BATCH, pixels=pixels, **chosen)
    times = clocked({name: step for name, (step, _) in made.items()}, rounds, device)
    peer, rows = times.pop("as it is"), []
    for name, found in times.items():
        what = f"{device}: ResNet-18 {pixels} px step, {name} (peer: as it is)"
        rows.append(against(what, found, peer, None, first_step_s=made[name][1]))
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


def conditioned(labels: int, device: str, rounds: int, compiles: bool = True) -> list[Row]:
    """The image-conditioned head's step in times of the linear map in it, both passes."""
    features = torch.randn(BATCH, labels, MAP_WIDTH, device=device, requires_grad=True)

    def run(part: nn.Module, called: nn.Module) -> Callable[[], object]:
        """Both passes, to the features and to what a part of the head learns."""
        probe, own = torch.randn_like(called(features)), [features, *part.parameters()]
        return lambda: torch.autograd.grad(called(features), own, probe)

    rows = []
    for hidden in (MAP_WIDTH, NARROW):
        whole = ConditionedStep(labels, hidden).to(device)
        messages = whole.head.messages
        runs = {"map": run(messages.project, messages.project), "eager": run(messages, whole)}
        if compiles:
            runs["compiled"] = run(messages, torch.compile(whole))
        times = clocked(runs, rounds, device)
        peer = times.pop("map")
        for name, found in times.items():
            ratios = [a / b for a, b in zip(found.runs, peer.runs, strict=True)]
            what = f"{device}: image-conditioned, L={labels}, hidden {hidden}, {name}"
            rows.append(limited(f"{what}: time of its map", ratios, "x", None))
    return rows


def kernels(sizes: Sequence[int], device: str, rounds: int) -> list[Row]:
    """The chosen kernel's time in times of the best one's, at the worst point of the grid."""
    cells = []
    for labels in sizes:
        degrees = [degree for degree in GRID_DEGREES if degree <= labels / 2]
        graphs = [some_edges(labels, degree) for degree in (*degrees, labels // 4)]
        whole = [None] if labels**2 <= DENSE_PAIRS else []  # above, sorted alone could run
        for edges in (*graphs, *whole):
            graph = Adjacency(edges, labels).to(device)
            for channels in GRID_CHANNELS:
                cells.append(cell(graph, channels, device, rounds))
    losses = [c["seconds"][c["chosen"]] / min(c["seconds"].values()) for c in cells]
    name = f"{device}: chosen kernel over the grid: time of the best kernel's"
    row = limited(name, losses, "x", None, cells=cells)
    worst = limited(f"{name}, at worst", [max(losses)], "x", 1.1)
    return [row, worst]


def cell(graph: Adjacency, channels: int, device: str, rounds: int) -> dict[str, object]:
    """Every kernel's median time of one attention, forward and backward."""
    shapes = [(HEADS, graph.nodes), (HEADS, graph.nodes), (HEADS, graph.nodes, channels)]
    own = [torch.randn(shape, device=device, requires_grad=True) for shape in shapes]
    probe = torch.randn(shapes[2], device=device)

    def run(kernel: str) -> Callable[[], tuple[Tensor, ...]]:
        return lambda: torch.autograd.grad(attend(graph, *own, kernel=kernel), own, probe)

    names = ["sorted"] if graph.complete else ["csr"]
    names += ["dense"] * (graph.nodes**2 <= DENSE_PAIRS)
    times = clocked({name: run(name) for name in names}, rounds, device)
    size, complete = (graph.nodes, graph.edges, channels), graph.complete
    return {
        "labels": graph.nodes,
        "edges": graph.edges,
        "channels": channels,
        "seconds": {name: statistics.median(found.runs) for name, found in times.items()},
        "chosen": choose_kernel(*size, device=device, sortable=complete),
    }


def main() -> None:
    """Measures, prints and writes."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--device", default="cuda", choices=("cuda", "cpu"))
    parser.add_argument("--quick", action="store_true", help="little of it; nothing is written")
    asked = parser.parse_args()
    if asked.device == "cuda" and not torch.cuda.is_available():
        print("no CUDA device, left out (--device cpu --quick tries the script without one)")
        return
    torch.manual_seed(0)
    sizes, rounds = (LABELS[:1], 3) if asked.quick else (LABELS, 30)
    grid = GRID_LABELS[:1] if asked.quick else GRID_LABELS
    compiles = has_compiler() and not asked.quick
    pixels = 64 if asked.quick else 224
    rows = [
        *steps(sizes, asked.device, rounds, pixels),
        *options(asked.device, rounds, pixels, compiles),
        *heads(sizes, asked.device, rounds),
        *conditioned(LABELS[0], asked.device, rounds, compiles),
        *kernels(grid, asked.device, rounds),
    ]
    finish("gpu", rows, asked.quick or asked.device == "cpu")


if __name__ == "__main__":
    main()
