"""Attention kernels and heads against PyG, the linear head and each other.

    python benchmarks/speed/attention.py                     # the whole table, about 40 minutes
    python benchmarks/speed/attention.py --rows plain,default --labels 80,500
    python benchmarks/speed/attention.py --curves            # docs/images/kernels-*.png, 5 minutes

Widths: node features 300, 4 x 256, ELU, 4 x 512 = 2,048 = D, 16 images, 16 neighbours a label. One
thread, its processor time; methods take turns, each in a process of its own (those of the part
overhead in one); the median counts, 15 % slack for noise. Peak memory is above parameters and
inputs. Writes benchmarks/results/attention.json, with load, machine and versions of each part;
--curves writes kernel-curves.json beside it.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from kernels import curves, grid, rows
from kernels.methods import method
from kernels.timing import print_peak, serve
from measuring import RESULTS

from gatlabel.experiments.environment import environment
from gatlabel.files import write_json

OUTPUT = RESULTS / "attention.json"
SIZED: dict[str, Callable[..., list[rows.Row]]] = {
    "plain": rows.plain,
    "default": rows.default,
    "complete": rows.complete,
    "conditioned": rows.conditioned,
    "sparse": rows.sparse,
    "choice": grid.choice,
}


def arguments() -> argparse.Namespace:
    """What the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", help=f"of {', '.join(SIZED)} and overhead, with commas")
    parser.add_argument("--labels", help="numbers of labels instead of the table's, with commas")
    parser.add_argument("--output", type=Path, default=OUTPUT)
    parser.add_argument("--quick", action="store_true", help="few labels; nothing is written")
    parser.add_argument("--curves", action="store_true", help="the growth curves instead")
    parser.add_argument("--peak", nargs=2, metavar=("CONTENDER", "LABELS"), help=argparse.SUPPRESS)
    parser.add_argument("--serve", nargs=2, help=argparse.SUPPRESS)
    return parser.parse_args()


def table(measured: Sequence[rows.Row]) -> str:
    """One line a row: what, measured, spread, target, reached."""
    lines = []
    for row in measured:
        if "ratio" in row:
            target = "" if row["target"] is None else f">= {row['target']}"
            value = f"{row['ratio']:.2f} x"
        else:
            target = "" if row["limit"] is None else f"<= {row['limit']}"
            value = f"{row['value']:.3f} {row['unit']}"
        verdict = {True: "ok", False: "MISSED", None: ""}[row["ok"]]
        low, high = row["spread"]
        spread = f"{low:.4g} to {high:.4g}"
        lines.append(f"{row['row']:68s} {value:>12s} {spread:>16s} {target:>8s} {verdict}")
    return "\n".join(lines)


def circumstances() -> dict[str, Any]:
    """Load, machine and versions of everything that is timed, at this moment."""
    import torch_geometric

    found = {**environment(workers=1), "threads": 1}
    found["versions"]["torch_geometric"] = torch_geometric.__version__
    load = f"{os.getloadavg()[1]:.1f} processes wanted a core in the last five minutes"
    return {"load": load, "machine": found}


def joined(before: dict[str, Any], measured: Sequence[rows.Row], parts: dict[str, Any]) -> Any:
    """The whole result: parts that were not measured keep their rows and their circumstances.

    Args:
        before: What the file held, in this form or in the one with one machine for all rows.
        measured: The new rows.
        parts: Of each part measured its circumstances.
    """
    kept = [row for row in before.get("rows", []) if row["part"] not in parts]
    shared = {key: before[key] for key in ("load", "machine", "versions") if key in before}
    older = before.get("parts", {})
    stay = {row["part"]: older.get(row["part"], shared) for row in kept}
    return {"rows": [*kept, *measured], "parts": {**stay, **parts}}


def main() -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    asked = arguments()
    if asked.peak:
        print_peak(method(asked.peak[0], int(asked.peak[1])))
        return
    if asked.serve:
        serve(method(asked.serve[0], int(asked.serve[1])))
        return
    if asked.curves:
        curves.measure_all(asked.quick, circumstances())
        if not asked.quick:
            curves.draw(json.loads(curves.OUTPUT.read_text("utf-8")))
        return
    if asked.quick:
        asked.rows, asked.labels = asked.rows or "plain,default,conditioned", "80"
    sizes = [int(size) for size in asked.labels.split(",")] if asked.labels else None
    measured: list[rows.Row] = []
    parts: dict[str, Any] = {}
    for name in asked.rows.split(",") if asked.rows else [*SIZED, "overhead"]:
        if name == "overhead":
            found = rows.overhead()
        elif name in SIZED:
            found = SIZED[name](sizes) if sizes else SIZED[name]()
        else:
            raise SystemExit(f"no rows {name!r}: {', '.join(SIZED)}, overhead")
        print(table(found), flush=True)
        measured += [{"part": name, **row} for row in found]
        parts[name] = circumstances()
    if asked.quick:
        return
    before = json.loads(asked.output.read_text("utf-8")) if asked.output.exists() else {}
    write_json(asked.output, joined(before, measured, parts))


if __name__ == "__main__":
    main()
