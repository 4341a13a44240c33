"""The rows of the table: each returns what was measured, its target and whether it was reached."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from typing import Any

import torch
from measuring import Row, against, limited
from torch import Tensor, nn

from gatlabel.nn import LinearHead
from kernels.methods import (
    BATCH,
    DEGREE,
    MAP_WIDTH,
    NARROW,
    WIDTH,
    PyGHead,
    check_equal,
    default_head,
    only_kernel,
    plain_head,
    step,
)
from kernels.timing import Times, apart, interleaved, peak_bytes

SLACK = 1.15  # for noise
LABELS = (80, 500, 2_000, 10_000)
PLAIN = {80: 4, 500: 10, 2_000: 15, 10_000: 17}
DEFAULT = {80: 5, 500: 12, 2_000: 15, 10_000: 17}
LARGE = 100_000


def _repeats(labels: int) -> int:
    return 15 if labels <= 100 else 7 if labels <= 1_000 else 5 if labels <= 5_000 else 3


def _speed(name: str, ours: Times, peer: Times, target: float | None, **more: Any) -> Row:
    row = against(name, ours, peer, target, **more)
    return {**row, "ok": None if target is None else row["ratio"] * SLACK >= target}


def _limit(name: str, values: Sequence[float], limit: float | None, unit: str, **more: Any) -> Row:
    row = limited(name, values, unit, limit, **more)
    return {**row, "ok": None if limit is None else row["value"] <= limit * SLACK}


def _peaks(method: str, labels: int) -> list[float]:
    """Peak memory in GB, three times: it moves by what the allocator happens to keep."""
    return [peak_bytes(method, labels) / 1e9 for _ in range(3)]


def plain(sizes: Sequence[int] = LABELS) -> list[Row]:
    """``base="nodes"`` against two of PyG's ``GATConv`` with the same weights."""
    rows = []
    for labels in sizes:
        # in float64, for within rounding of zero a score may have either slope of the LeakyReLU
        ours = plain_head(labels).double()
        peer = PyGHead(labels, ours).double()
        difference = check_equal(ours, peer, torch.randn(BATCH, WIDTH, dtype=torch.float64))
        if difference > 1e-9:
            raise SystemExit(f"plain, L={labels}: differs from PyG by {difference:.1e}")
        times = apart({"ours": "plain", "peer": "pyg"}, labels, _repeats(labels))
        name = f"plain, L={labels}: times faster than two GATConv"
        rows.append(_speed(name, **times, target=PLAIN.get(labels), difference=difference))
        if labels >= 10_000:
            name, theirs = f"plain, L={labels}: peak memory", peak_bytes("pyg", labels) / 1e9
            rows.append(_limit(name, _peaks("plain", labels), 0.4, "GB", peer=theirs))
    return rows


def default(sizes: Sequence[int] = LABELS) -> list[Row]:
    """The default head against two ``GATConv`` and against the linear head."""
    rows = []
    for labels in sizes:
        methods = {"ours": "default", "peer": "pyg", "linear": "linear"}
        times = apart(methods, labels, _repeats(labels))
        linear = times.pop("linear")
        name = f"default, L={labels}: times faster than two GATConv"
        rows.append(_speed(name, **times, target=DEFAULT.get(labels)))
        name = f"default, L={labels}: times the linear head's time"
        rows.append(_speed(name, linear, times["ours"], None))
    return rows


def complete(sizes: Sequence[int] = (2_000, LARGE)) -> list[Row]:
    """The plain head on the complete graph: the sorted kernel against the dense one, and alone."""
    rows = []
    for labels in sizes:
        name = f"plain, complete, L={labels}"
        if labels >= LARGE:
            seconds = apart({"ours": "complete"}, labels, 3)["ours"]
            rows.append(_limit(f"{name}: time", seconds.runs, 13, "s", ours=seconds.summary()))
            rows.append(_limit(f"{name}: peak memory", _peaks("complete", labels), 2.5, "GB"))
            continue
        run = step(plain_head(labels, complete=True), torch.randn(BATCH, WIDTH))
        with only_kernel("dense"):
            expected = run()
        difference = float((run() - expected).abs().max() / expected.abs().max())
        if difference > 1e-4:
            raise SystemExit(f"complete, L={labels}: the kernels differ by {difference:.1e}")
        times = apart({"ours": "complete", "peer": "complete-dense"}, labels, _repeats(labels))
        what, target = f"{name}: times faster than the", 10 if labels == 2_000 else None
        rows.append(_speed(f"{what} dense kernel", **times, target=target, difference=difference))
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
                rows.append(
                    _limit(
                        f"image-conditioned, L={labels}, d={MAP_WIDTH}, hidden {hidden}, "
                        f"{what}: time of its map",
                        [own / alone for own, alone in zip(found.runs, peer.runs, strict=True)],
                        limit,
                        "x",
                        against="its linear map alone",
                        ours=found.summary(),
                        peer=peer.summary(),
                    )
                )
    return rows


def sparse(sizes: Sequence[int] = (800,)) -> list[Row]:
    """The image-conditioned step at the edges against its dense form, on the same sparse graph."""
    rows = []
    for labels in sizes:
        methods = {"ours": "conditioned-narrow", "peer": "conditioned-narrow-dense"}
        times = apart(methods, labels, 5)
        name = (
            f"image-conditioned, L={labels}, {DEGREE} neighbours: times faster than its dense form"
        )
        rows.append(_speed(name, **times, target=None, against="its dense form"))
    return rows


def overhead() -> list[Row]:
    """What the unfolded default head adds to a whole network, from head-only times."""
    from torchvision.models import resnet18, resnet101

    labels, rows = 80, []
    large, image = resnet101(weights=None).eval(), torch.randn(1, 3, 448, 448)
    feature = torch.randn(1, WIDTH)
    head, linear = default_head(labels).eval(), LinearHead(WIDTH, labels).eval()
    with torch.inference_mode():
        runs: dict[str, Callable[[], Tensor]] = {
            "encoder": lambda: large(image),
            "ours": lambda: head(feature),
            "peer": lambda: linear(feature),
        }
        times = interleaved(runs, 9)
    rows.append(_added("ResNet-101 448 px, batch 1, unfolded: time of linear", times))

    small, images = resnet18(weights=None), torch.randn(BATCH, 3, 224, 224)
    small.fc = nn.Identity()
    features = torch.randn(BATCH, 512)
    times = interleaved(
        {
            "encoder": step(small, images),
            "ours": step(default_head(labels, 512), features),
            "peer": step(LinearHead(512, labels), features),
        },
        7,
    )
    rows.append(_added("training step, ResNet-18 224 px, B 16: time of linear", times))
    return rows


def _added(name: str, times: dict[str, Times]) -> Row:
    rounds = zip(*(times[key].runs for key in ("encoder", "ours", "peer")), strict=True)
    ratios = [(encoder + ours) / (encoder + peer) for encoder, ours, peer in rounds]
    row = limited(name, ratios, "x", 1.01)
    row["ok"] = row["value"] <= 1.01  # without slack: the encoder's noise is in both
    return {**row, **{key: value.summary() for key, value in times.items()}}
