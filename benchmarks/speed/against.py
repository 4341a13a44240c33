"""The rows of the table of speeds in two trees in turn: has a change made anything slower?

    git worktree add -d ../old COMMIT
    python benchmarks/speed/against.py ../old                # all rows, about an hour
    python benchmarks/speed/against.py ../old --rows ridge --rows "default head"

Both trees run in processes of their own, which take turns row by row (one first, then the other
first). Several pairs of processes, since where memory lies differs from one to the next by some per
cent. The ratio is that of processor time, one thread, new to old: the median over all
rounds, with the interval of order statistics that covers it with 95 %. Above 1 the new tree is
slower. Writes benchmarks/results/against.json, with each pair's median; with --rows the others are
kept.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from measuring import RESULTS
from pipeline import write_images
from scipy.stats import binom
from tree_rows import PHOTOS, ROWS

from gatlabel.experiments.environment import environment
from gatlabel.files import write_json

OUTPUT = RESULTS / "against.json"
NEW = Path(__file__).parents[2]
STARTS, ROUNDS = 3, 9
SECONDS = 0.2  # a round repeats what is shorter
LONG = 1.0  # half as many rounds of what takes so many seconds
SLOWER = 1.1
Times = tuple[float, float]  # of the processor and of the clock
Pair = tuple[Times, Times]  # of the new tree and of the old one
Ask = Callable[[str, int], Times]


def arguments() -> argparse.Namespace:
    """What the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("old", type=Path, help="the other tree")
    parser.add_argument("--rows", action="append", help="only rows that begin so; may be repeated")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="of each pair of processes")
    parser.add_argument("--starts", type=int, default=STARTS, help="pairs of processes")
    parser.add_argument("--output", type=Path, default=OUTPUT)
    return parser.parse_args()


@contextmanager
def worker(tree: Path, folder: str) -> Iterator[Ask]:
    """A process that measures rows with the code and the scripts of a tree."""
    scripts = tree / "benchmarks" / "speed"
    if not (scripts / "attention.py").exists():
        scripts = scripts.parent
    path = os.pathsep.join([str(tree), str(scripts)])
    command = [sys.executable, "-P", str(Path(__file__).with_name("tree_rows.py")), folder]
    process = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"},
    )

    def ask(row: str, count: int) -> tuple[float, float]:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(f"{count} {row}\n")
        process.stdin.flush()
        answer = process.stdout.readline().split()
        if len(answer) != 2:
            raise SystemExit(f"{row}: the process of {tree} ended")
        return float(answer[0]) / count, float(answer[1]) / count

    with process:
        try:
            yield ask
        finally:
            process.kill()


def measure(pair: Sequence[Ask], row: str, rounds: int) -> list[Pair]:
    """Times of a row by one pair of processes: per round the new tree's and the old one's."""
    first = pair[0](row, 1)[0]
    count = max(1, round(SECONDS / max(first, 1e-4)))
    for ask in pair:
        ask(row, count)
    times = []
    for turn in range(rounds if first < LONG else max(1, rounds // 2)):
        order = (0, 1) if turn % 2 == 0 else (1, 0)
        measured = {place: pair[place](row, count) for place in order}
        times.append((measured[0], measured[1]))
    return times


def interval(ratios: Sequence[float]) -> list[float]:
    """The order statistics that cover the median with at least 95 %."""
    ordered, n = sorted(ratios), len(ratios)
    low = int(binom.ppf(0.025, n, 0.5))
    return [ordered[max(low - 1, 0)], ordered[min(n - low, n - 1)]]


def result(row: str, starts: Sequence[Sequence[Pair]]) -> dict[str, Any]:
    """The line of a row."""
    line: dict[str, Any] = {"row": row}
    for place, kind in enumerate(("processor", "clock")):
        ratios = [[new[place] / old[place] for new, old in times] for times in starts]
        flat = [ratio for part in ratios for ratio in part]
        line[kind] = {
            "ratio": statistics.median(flat),
            "interval": interval(flat),
            "of_each_start": [statistics.median(part) for part in ratios],
            "new_ms": 1000 * statistics.median(new[place] for t in starts for new, _ in t),
            "old_ms": 1000 * statistics.median(old[place] for t in starts for _, old in t),
        }
    line["slower"] = line["processor"]["ratio"] > SLOWER
    return line


def commit(tree: Path) -> str:
    """The commit of a tree."""
    command = ["git", "-C", str(tree), "rev-parse", "--short", "HEAD"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def table(lines: Sequence[dict[str, Any]]) -> str:
    """The rows in Markdown."""
    text = ["| row | old, ms | new, ms | ratio | 95 % interval |", "|---|---|---|---|---|"]
    for line in lines:
        found = line["processor"]
        low, high = found["interval"]
        text.append(
            f"| {line['row']} | {found['old_ms']:.3g} | {found['new_ms']:.3g} | "
            f"{found['ratio']:.3f} | {low:.3f} to {high:.3f} |"
        )
    return "\n".join(text)


def main() -> None:
    """Measures, prints each row at once, and writes the result after each."""
    asked = arguments()
    old = asked.old.resolve()
    before = json.loads(asked.output.read_text("utf-8")) if asked.output.exists() else {}
    lines = {line["row"]: line for line in before.get("rows", [])}
    rows = [row for row in ROWS if not asked.rows or row.startswith(tuple(asked.rows))]
    found: dict[str, list[list[Pair]]] = {row: [] for row in rows}
    commits = {"old": commit(old), "new": commit(NEW)}
    machine = {**environment(workers=1), "threads": 1}
    with tempfile.TemporaryDirectory() as folder:
        write_images(Path(folder), PHOTOS)
        for _ in range(asked.starts):
            with worker(NEW, folder) as ours, worker(old, folder) as theirs:
                for row in rows:
                    found[row].append(measure((ours, theirs), row, asked.rounds))
                    lines[row] = {**result(row, found[row]), **commits}
                    print(table([lines[row]]).splitlines()[-1], flush=True)
                    kept = [lines[name] for name in ROWS if name in lines]
                    write_json(asked.output, {"rows": kept, "machine": machine})
    print(table([lines[name] for name in ROWS if name in lines]))


if __name__ == "__main__":
    main()
