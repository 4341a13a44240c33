"""The rows of the table: each returns what was measured, its target and whether it was reached."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from gatlabel.nn import LinearHead
from gatlabel.nn.kernels import Adjacency, attend, choose_kernel
from kernels.contenders import (
    BATCH,
    HEADS,
    MAP_WIDTH,
    NARROW,
    WIDTH,
    PyGHead,
    check_equal,
    default_head,
    only_kernel,
    plain_head,
    some_edges,
    step,
)
from kernels.timing import Times, apart, interleaved, peak_bytes

Row = dict[str, Any]

SLACK = 1.15  # for noise
LABELS = (80, 500, 2_000, 10_000)
PLAIN = {80: 4, 500: 10, 2_000: 15, 10_000: 17}
DEFAULT = {80: 5, 500: 12, 2_000: 15, 10_000: 17}
LARGE = 100_000


def _repeats(labels: int) -> int:
    return 15 if labels <= 100 else 7 if labels <= 1_000 else 5 if labels <= 5_000 else 3


def _speed(name: str, ours: Times, peer: Times, target: float | None, **more: Any) -> Row:
    ratio = peer.median / ours.median
    reached = None if target is None else ratio * SLACK >= target
    row = {"row": name, "ratio": ratio, "target": target, "ok": reached}
    return {**row, "ours": ours.summary(), "peer": peer.summary(), **more}


def _limit(name: str, value: float, limit: float, unit: str, **more: Any) -> Row:
    row = {"row": name, "value": value, "unit": unit, "limit": limit}
    return {**row, "ok": value <= limit * SLACK, **more}


def plain(sizes: Sequence[int] = LABELS) -> list[Row]:
    """``base="nodes"`` against two of PyG's ``GATConv`` with the same weights."""
    rows = []
    for labels in sizes:
        ours = plain_head(labels)
        difference = check_equal(ours, PyGHead(labels, ours), torch.randn(BATCH, WIDTH))
        if difference > 1e-3:
            raise SystemExit(f"plain, L={labels}: differs from PyG by {difference:.1e}")
        times = apart({"ours": "plain", "peer": "pyg"}, labels, _repeats(labels))
        name = f"plain, L={labels}: times faster than two GATConv"
        rows.append(_speed(name, **times, target=PLAIN.get(labels), difference=difference))
        if labels >= 10_000:
            peak = peak_bytes("plain", labels) / 1e9
            peer = peak_bytes("pyg", labels) / 1e9
            rows.append(_limit(f"plain, L={labels}: peak memory", peak, 0.4, "GB", peer=peer))
    return rows


def default(sizes: Sequence[int] = LABELS) -> list[Row]:
    """The default head against two ``GATConv`` and against the linear head."""
    rows = []
    for labels in sizes:
        contenders = {"ours": "default", "peer": "pyg", "linear": "linear"}
        times = apart(contenders, labels, _repeats(labels))
        linear = times.pop("linear")
        name = f"default, L={labels}: times faster than two GATConv"
        rows.append(_speed(name, **times, target=DEFAULT.get(labels)))
        name = f"default, L={labels}: times the linear head's time"
        rows.append(_speed(name, linear, times["ours"], None))
    return rows


def complete(sizes: Sequence[int] = (2_000, LARGE)) -> list[Row]:
    """The plain head on the complete graph: sorted kernel against dense kernel, and alone."""
    rows = []
    for labels in sizes:
        name = f"plain, complete, L={labels}"
        if labels >= LARGE:
            seconds = apart({"ours": "complete"}, labels, 2)["ours"]
            rows.append(_limit(f"{name}: time", seconds.median, 13, "s", ours=seconds.summary()))
            peak = peak_bytes("complete", labels) / 1e9
            rows.append(_limit(f"{name}: peak memory", peak, 2.5, "GB"))
            continue
        run = step(plain_head(labels, complete=True), torch.randn(BATCH, WIDTH))
        with only_kernel("dense"):
            expected = run()
        difference = float((run() - expected).abs().max() / expected.abs().max())
        if difference > 1e-4:
            raise SystemExit(f"complete, L={labels}: the kernels differ by {difference:.1e}")
        contenders = {"ours": "complete", "peer": "complete-dense"}
        times = apart(contenders, labels, _repeats(labels))
        target = 10 if labels == 2_000 else None
        name = f"{name}: times faster than the dense kernel"
        rows.append(_speed(name, **times, target=target, difference=difference))
    return rows


def conditioned(sizes: Sequence[int] = (80,)) -> list[Row]:
    """The image-conditioned head's step against the linear map in it, eager and compiled."""
    compiles = bool(shutil.which("g++") or shutil.which("c++"))  # torch.compile needs one
    rows = []
    for labels in sizes:
        for kind, hidden in (("conditioned", MAP_WIDTH), ("conditioned-narrow", NARROW)):
            limits: dict[str, tuple[str, float | None]] = {kind: ("eager", 1.3)}
            if compiles:
                limits[f"{kind}-compiled"] = ("compiled", 1.15)
            if hidden == MAP_WIDTH:
                limits[f"{kind}-whole"] = ("whole head from a map of 7 x 7", None)
                limits[f"{kind}-training"] = ("its training step from a map of 7 x 7", None)
            times = apart({**{n: n for n in limits}, "map": f"{kind}-map"}, labels, 15)
            peer = times.pop("map")
            for name, found in times.items():
                what, limit = limits[name]
                row = {
                    "row": f"image-conditioned, L={labels}, d={MAP_WIDTH}, hidden {hidden}, "
                    f"{what}: time of its map",
                    "value": found.median / peer.median,
                    "unit": "x",
                    "limit": limit,
                    "against": "its linear map alone",
                    "ours": found.summary(),
                    "peer": peer.summary(),
                }
                row["ok"] = None if limit is None else row["value"] <= limit * SLACK
                rows.append(row)
    return rows


def overhead() -> list[Row]:
    """What the unfolded default head adds to a whole network, from head-only times."""
    from torchvision.models import resnet18, resnet101

    labels, rows = 80, []
    large, picture = resnet101(weights=None).eval(), torch.randn(1, 3, 448, 448)
    feature = torch.randn(1, WIDTH)
    head, linear = default_head(labels).eval(), LinearHead(WIDTH, labels).eval()
    with torch.inference_mode():
        runs: dict[str, Callable[[], Tensor]] = {
            "encoder": lambda: large(picture),
            "ours": lambda: head(feature),
            "peer": lambda: linear(feature),
        }
        times = interleaved(runs, 9)
    rows.append(_added("ResNet-101 448 px, batch 1, unfolded: time of linear", times))

    small, pictures = resnet18(weights=None), torch.randn(BATCH, 3, 224, 224)
    small.fc = nn.Identity()
    features = torch.randn(BATCH, 512)
    times = interleaved(
        {
            "encoder": step(small, pictures),
            "ours": step(default_head(labels, 512), features),
            "peer": step(LinearHead(512, labels), features),
        },
        7,
    )
    rows.append(_added("training step, ResNet-18 224 px, B 16: time of linear", times))
    return rows


def _added(name: str, times: dict[str, Times]) -> Row:
    encoder, ours, peer = (times[key].median for key in ("encoder", "ours", "peer"))
    ratio = (encoder + ours) / (encoder + peer)
    row = {"row": name, "value": ratio, "unit": "x", "limit": 1.01, "ok": ratio <= 1.01}
    return {**row, **{key: value.summary() for key, value in times.items()}}


GRID_LABELS = (20, 80, 250, 1_000, 3_000)
GRID_DEGREES = (4, 16, 64, 0.25, 0.6, 1.0)
GRID_CHANNELS = (16, 64, 256)


def grid(sizes: Sequence[int] = GRID_LABELS) -> list[Row]:
    """Every kernel that can, at every size, density and width: forward and backward of one pass."""
    cells = []
    for labels in sizes:
        for degree in GRID_DEGREES:
            neighbours = round(degree * labels) if isinstance(degree, float) else degree
            if neighbours > labels or (isinstance(degree, int) and degree > labels / 5):
                continue
            whole = neighbours == labels
            graph = Adjacency(None if whole else some_edges(labels, neighbours), labels)
            for channels in GRID_CHANNELS:
                cells.append(_cell(graph, channels, whole))
    return cells


def _cell(graph: Adjacency, channels: int, whole: bool) -> Row:
    labels = graph.nodes
    shapes = [(HEADS, labels), (HEADS, labels), (HEADS, labels, channels)]
    own = [torch.randn(shape, requires_grad=True) for shape in shapes]
    probe = torch.randn(shapes[2])

    def run(kernel: str) -> Callable[[], object]:
        return lambda: torch.autograd.grad(attend(graph, *own, kernel=kernel), own, probe)

    kernels = ["dense", "sorted"] if whole else ["dense", "csr"]
    if labels >= 3_000 and graph.edges < 0.1 * labels**2:
        kernels.remove("dense")  # far behind, and slow to show
    repeats = 25 if labels <= 100 else 9 if labels <= 300 else 5 if labels <= 1_000 else 2
    times = interleaved({kernel: run(kernel) for kernel in kernels}, repeats)
    chosen = choose_kernel(labels, graph.edges, channels, sortable=whole)
    return {
        "labels": labels,
        "edges": graph.edges,
        "channels": channels,
        "seconds": {kernel: min(runs.runs) for kernel, runs in times.items()},
        "chosen": chosen,
    }


def choice(sizes: Sequence[int] = GRID_LABELS) -> list[Row]:
    """How far the automatic choice is from the best kernel over the grid (fastest runs)."""
    cells = grid(sizes)
    losses = [c["seconds"][c["chosen"]] / min(c["seconds"].values()) for c in cells]
    row = _limit(
        "chosen kernel over the grid: worst time of the best kernel's", max(losses), 1, "x"
    )
    row.update(limit=1.1, ok=max(losses) <= 1.1, cells=cells)
    row["within"] = sum(loss <= 1.1 for loss in losses) / len(losses)
    return [row]
