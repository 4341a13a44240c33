"""One table of all speeds that were measured: what, peer, target, ratio, reached.

    python benchmarks/speed/table.py

Reads what the scripts of `make bench` wrote to benchmarks/results/, prints the table, writes
table.md and table.json beside them, and puts the table into docs/studies/speed.md.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

from gatlabel.files import write_json, write_text

RESULTS = Path(__file__).parent.parent / "results"
PAGE = Path(__file__).parents[2] / "docs" / "studies" / "speed.md"
PARTS = ("attention", "metrics", "counts", "pipeline", "training-step", "import-time", "gpu")
PEERS = {  # of rows by the beginning of their names
    "plain, complete": "dense kernel",
    "plain": "two PyG GATConv",
    "default": "two PyG GATConv",
    "mAP": "torchmetrics",
    "pair counts": "networkx loop",
    "training image": "Pillow + transforms.v2, float last",
    "evaluation image": "Pillow + transforms.v2, float last",
}
FLOAT_FIRST = "Pillow + transforms.v2, float first"
SLACK = 1.15  # for noise, as the targets have it


def peer_of(row: dict[str, Any]) -> str:
    """The peer that the script names, or the one of its kind of rows."""
    if "against" in row:
        return str(row["against"])
    name = re.sub(r"^\W+", "", row["row"])
    if "linear" in name:
        return "linear head"
    if "ratio" not in row:
        return ""
    return next((peer for kind, peer in PEERS.items() if name.startswith(kind)), "")


def figure(value: float, unit: str) -> str:
    """Three digits; of a ratio near 1 what it is off 1 is what counts, so three decimals."""
    return f"{value:.3f}" if unit in ("×", "x") and 0.9 <= value < 1.1 else f"{value:.3g}"


def line(row: dict[str, Any]) -> dict[str, Any]:
    """What the table says of one row, in words."""
    at_least = "ratio" in row
    value = row["ratio"] if at_least else row["value"]
    wanted = row.get("target" if at_least else "limit")
    spread = row.get("spread")  # of the rounds; results older than it have none
    reached = ""
    if wanted is not None:
        reached = "yes" if (value >= wanted if at_least else value <= wanted) else "no"
        if reached == "no" and at_least and SLACK * value >= wanted:
            reached = "within noise"
    unit = "×" if at_least else row.get("unit", "")
    return {
        "what": row["row"].strip(),
        "peer": peer_of(row),
        "target": "" if wanted is None else f"{'≥' if at_least else '≤'} {wanted:g} {unit}".strip(),
        "measured": f"{figure(value, unit)} {unit}".strip(),
        "spread": "" if spread is None else " – ".join(figure(end, unit) for end in spread),
        "reached": reached,
    }


def in_words(machine: Any) -> str:
    """The machine of a result, as one line."""
    if not isinstance(machine, dict):
        return str(machine)
    versions = machine["versions"]
    packages = ", ".join(f"{name} {versions[name]}" for name in ("torch", "numpy", "torchvision"))
    where = f"{machine['gpu']}, " if machine.get("gpu") else ""
    return f"{where}{machine['processor']}, {machine['cores']} cores, 1 thread used; {packages}"


def main() -> None:
    lines: list[dict[str, Any]] = []
    machines: dict[str, str] = {}
    for part in PARTS:
        path = RESULTS / f"{part}.json"
        if not path.exists():
            print(f"no {path.name}: its script has not run", file=sys.stderr)
            continue
        content = json.loads(path.read_text(encoding="utf-8"))
        for row in content["rows"]:
            lines.append(line(row))
            if "against_float_first" in row:
                second = {**row, "ratio": row["against_float_first"], "against": FLOAT_FIRST}
                lines.append(line({**second, "spread": row.get("spread_float_first")}))
        if "parts" in content:
            for name, found in content["parts"].items():
                machines[f"{part} ({name})"] = in_words(found["machine"])
        else:
            machines[part] = in_words(content["machine"])
    columns = ("what", "peer", "target", "measured", "spread", "reached")
    table = ["| " + " | ".join(columns) + " |", "|---" * len(columns) + "|"]
    table += ["| " + " | ".join(str(found[name]) for name in columns) + " |" for found in lines]
    distinct: dict[str, list[str]] = {}
    for part, text in machines.items():
        distinct.setdefault(text, []).append(part)
    notes = [f"- {', '.join(parts)}: {text}" for text, parts in distinct.items()]
    text = "\n".join([*table, "", *notes, ""])
    print(text)
    write_text(RESULTS / "table.md", text)
    write_json(RESULTS / "table.json", {"rows": lines, "machines": machines})
    before, mark, rest = PAGE.read_text(encoding="utf-8").partition("<!-- table -->\n")
    _, end, after = rest.partition("<!-- end of table -->")
    write_text(PAGE, before + mark + text + end + after)


if __name__ == "__main__":
    main()
