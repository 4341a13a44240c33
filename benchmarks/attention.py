"""Attention kernels and heads against PyG, the linear head and each other.

    python benchmarks/attention.py                        # the whole table, about 20 minutes
    python benchmarks/attention.py --rows plain,default --labels 80,500
    python benchmarks/attention.py --curves               # docs/images/kernels-*.png

Widths: node features 300, 4 x 256, ELU, 4 x 512 = 2,048 = D, 16 images, 16 neighbours a label. One
thread, its processor time; contenders take turns, each in a process of its own; the median counts,
15 % slack for noise. Peak memory is above parameters and inputs. Writes
benchmarks/results/attention.json.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from kernels import curves, rows
from kernels.contenders import contender
from kernels.timing import print_peak, serve

from gatlabel.files import write_json

RESULTS = Path(__file__).parent / "results" / "attention.json"
SIZED: dict[str, Callable[..., list[rows.Row]]] = {
    "plain": rows.plain,
    "default": rows.default,
    "complete": rows.complete,
    "conditioned": rows.conditioned,
    "choice": rows.choice,
}


def arguments() -> argparse.Namespace:
    """What the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", default="plain,default,complete,conditioned,overhead,choice")
    parser.add_argument("--labels", help="numbers of labels instead of the table's, with commas")
    parser.add_argument("--output", type=Path, default=RESULTS)
    parser.add_argument("--quick", action="store_true", help="80 labels; nothing is written")
    parser.add_argument("--curves", action="store_true", help="draw the growth curves instead")
    parser.add_argument("--peak", nargs=2, metavar=("CONTENDER", "LABELS"), help=argparse.SUPPRESS)
    parser.add_argument("--serve", nargs=2, help=argparse.SUPPRESS)
    return parser.parse_args()


def table(measured: Sequence[rows.Row]) -> str:
    """One line a row: what, measured, target, reached."""
    lines = []
    for row in measured:
        if "ratio" in row:
            target = "" if row["target"] is None else f">= {row['target']}"
            value = f"{row['ratio']:.2f} x"
        else:
            target = "" if row["limit"] is None else f"<= {row['limit']}"
            value = f"{row['value']:.3f} {row['unit']}"
        verdict = {True: "ok", False: "MISSED", None: ""}[row["ok"]]
        lines.append(f"{row['row']:68s} {value:>12s} {target:>8s} {verdict}")
    return "\n".join(lines)


def versions() -> dict[str, str]:
    """Of everything that was timed."""
    import torch_geometric
    import torchvision

    modules = {"torch": torch, "torchvision": torchvision, "torch_geometric": torch_geometric}
    found = {name: module.__version__ for name, module in modules.items()}
    return {"python": platform.python_version(), **found}


def main() -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    asked = arguments()
    if asked.peak:
        print_peak(contender(asked.peak[0], int(asked.peak[1])))
        return
    if asked.serve:
        serve(contender(asked.serve[0], int(asked.serve[1])))
        return
    if asked.curves:
        curves.draw()
        return
    if asked.quick:
        asked.rows, asked.labels = "plain,default,conditioned", "80"
    sizes = [int(size) for size in asked.labels.split(",")] if asked.labels else None
    measured: list[rows.Row] = []
    for name in asked.rows.split(","):
        if name == "overhead":
            found = rows.overhead()
        elif name in SIZED:
            found = SIZED[name](sizes) if sizes else SIZED[name]()
        else:
            raise SystemExit(f"no rows {name!r}: {', '.join(SIZED)}, overhead")
        print(table(found), flush=True)
        measured += [{"part": name, **row} for row in found]
    if asked.quick:
        return
    parts = {row["part"] for row in measured}
    if asked.output.exists():  # the parts that were not asked for keep their rows
        before = json.loads(asked.output.read_text(encoding="utf-8"))["rows"]
        measured = [row for row in before if row["part"] not in parts] + measured
    content = {
        "rows": measured,
        "load": f"{os.getloadavg()[1]:.1f} processes wanted a core in the last five minutes",
        "machine": f"{os.cpu_count()} cores, {platform.machine()}, one thread used",
        "versions": versions(),
    }
    write_json(asked.output, content)


if __name__ == "__main__":
    main()
