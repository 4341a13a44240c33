"""The tables of docs/studies/peers.md, from the JSON: no figure is copied by hand."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

BEGIN, END = "<!-- filled by benchmarks/studies/peers.py --figures -->", "<!-- end -->"


def fill_page(page: Path, content: dict[str, Any]) -> None:
    """Replaces what stands between the two marks of a page.

    Raises:
        SystemExit: If the page has no marks.
    """
    text = page.read_text(encoding="utf-8")
    if text.count(BEGIN) != 1 or END not in text.split(BEGIN)[1]:
        raise SystemExit(f"{page} has no place for tables: {BEGIN} … {END}")
    pattern = re.escape(BEGIN) + ".*?" + re.escape(END)
    filled = f"{BEGIN}\n\n{tables(content)}\n\n{END}"
    page.write_text(re.sub(pattern, lambda _: filled, text, flags=re.DOTALL), encoding="utf-8")


def tables(content: dict[str, Any]) -> str:
    """Returns all tables as Markdown."""
    parts = ["## Figures", figure_table(content), "## Tests", *_tests(content)]
    return "\n\n".join([*parts, "## Lines that the user writes", _lines(content["lines"])])


def figure_table(content: dict[str, Any]) -> str:
    """Returns a row a place and method: mean ± standard deviation over seeds."""
    rows = []
    for row in content["figures"]:
        side = "/".join(map(str, row.get("chosen sizes", [row["size"]])))
        fit, test = np.mean(row["fit seconds"]), np.mean(row["test seconds"])
        over = fit / np.mean(row["budget seconds"])
        rows.append([
            row["data"], row["images"], f"{row['budget']} s", row["method"], side, row["seeds"],
            _spread(row["mAP of labels with 10 positives"]), _spread(row["mAP"]),
            f"{fit:.0f}", f"{fit + test:.0f}", f"{over:.1f}×",
        ])  # fmt: skip
    head = ["set", "images", "budget", "method", "px", "seeds", "mAP ≥ 10", "mAP ≥ 1",
            "s", "s with test", "of budget"]  # fmt: skip
    return _table(head, rows)


def _tests(content: dict[str, Any]) -> list[str]:
    better = [
        [t["data"], t["images"], f"{t['budget']} s", t["size"], t["theirs"], *_outcome(t)]
        for t in content["tests"]
        if t["question"] == "better"
    ]
    over_sets = [
        [t["images"], f"{t['budget']} s", t["size"], t["theirs"], _listed(t["sets"]), *_outcome(t)]
        for t in content["tests"]
        if t["question"] == "better over sets"
    ]
    not_worse = [
        [t["theirs"], t["size"], _listed(t["sets"]), *_outcome(t)]
        for t in content["tests"]
        if t["question"] == "not worse"
    ]
    outcome = ["measure", "points", "p", "p, Holm"]
    return [
        "The default against what it has to beat; p is two-sided:",
        _table(["set", "images", "budget", "px", "against", *outcome], better),
        "The same, pooled over sets:",
        _table(["images", "budget", "px", "against", "sets", *outcome], over_sets),
        "The default against closed forms, pooled over sets; p is that of one point or more lost:",
        _table(["against", "px", "sets", *outcome], not_worse),
    ]


def _listed(names: list[str]) -> str:
    return ", ".join(names)


def _outcome(test: dict[str, Any]) -> list[str]:
    low, high = test["interval"]
    points = f"{test['points']:+.2f} [{low:+.2f}, {high:+.2f}]"
    return [test["measure"], points, f"{test['p']:.3f}", f"{test['p corrected']:.3f}"]


def _lines(lines: dict[str, int]) -> str:
    return _table(["method", "lines"], [[name, count] for name, count in lines.items()])


def _spread(values: list[float]) -> str:
    spread = f" ± {np.std(values, ddof=1):.1f}" if len(values) > 1 else ""
    return f"{np.mean(values):.1f}{spread}"


def _table(head: list[str], rows: Iterable[list[Any]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)
