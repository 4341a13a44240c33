"""``python -m tests.fuzz``: thousands of corrupted files, in processes that may die."""

from __future__ import annotations

import argparse
import faulthandler
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

CHUNK = 250  # cases of one process: one that leaks or dies takes few with it
Counts = Counter[tuple[str, str]]


def main() -> int:
    """Runs all parts, or one; returns 1 if a case went wrong."""
    options = _options()
    if options.child:
        return _child(options)
    with tempfile.TemporaryDirectory(prefix="gatlabel-fuzz-") as place:
        samples = options.samples or Path(place)
        if options.number is not None:
            options.part = options.part or ["images"]
            return _run_range(
                options, options.part[0], options.number, options.number + 1, samples
            )[1]
        return _run_all(options, samples)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--files", type=int, default=10_000, help="cases in all parts together")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--part", action="append", help="this part only; may be given again")
    parser.add_argument("--number", type=int, help="run one case again: give --part and --seed")
    parser.add_argument("--jobs", type=int, default=1, help="processes at a time")
    parser.add_argument("--output", type=Path, default=Path("runs") / "fuzz",
                        help="folder for the files of cases that went wrong")  # fmt: skip
    parser.add_argument("--samples", type=Path, help="folder for the right files, kept")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    return parser.parse_args()


def _run_all(options: argparse.Namespace, samples: Path) -> int:
    from tests.fuzz.parts import PARTS
    from tests.fuzz.samples import Samples

    samples.mkdir(parents=True, exist_ok=True)
    Samples(samples).make_all()
    shares = {name: share for name, (_, share) in PARTS.items()
              if not options.part or name in options.part}  # fmt: skip
    total = sum(shares.values())
    chunks = [
        (name, start, min(start + CHUNK, count))
        for name, share in shares.items()
        if (count := round(options.files * share / total))
        for start in range(0, count, CHUNK)
    ]
    counts: Counts = Counter()
    wrong = 0
    began = time.monotonic()
    with ThreadPoolExecutor(options.jobs) as pool:
        jobs = [pool.submit(_run_range, options, *chunk, samples) for chunk in chunks]
        for (name, _, stop), job in zip(chunks, jobs, strict=True):
            found, bad = job.result()
            counts += found
            wrong += bad
            print(f"{name}: {stop} files", file=sys.stderr, flush=True)
    for name in shares:
        kinds = {kind: counts[name, kind] for kind in ("done", "refused", "wrong")}
        print(f"{name:12}", "  ".join(f"{kind} {count}" for kind, count in kinds.items()))
    print(f"{sum(counts.values())} files, {wrong} wrong, {time.monotonic() - began:.0f} s")
    return int(wrong > 0)


def _run_range(
    options: argparse.Namespace, part: str, start: int, stop: int, samples: Path
) -> tuple[Counts, int]:
    """Runs cases in processes of their own, going on after one that a process died of."""
    counts: Counts = Counter()
    while start < stop:
        last, error = start, "the process ended before its time"
        for report in _reports(options, part, start, stop, samples):
            if "died" in report:
                error = report["died"]
            elif "begins" in report:
                last = report["begins"]
            else:
                counts[part, report["kind"]] += 1
                if report["kind"] == "wrong":
                    _tell(options, part, last, report["said"])
                last += 1
        if last < stop:
            counts[part, "wrong"] += 1
            _tell(options, part, last, error)
            last += 1
        start = last
    return counts, counts[part, "wrong"]


def _reports(
    options: argparse.Namespace, part: str, start: int, stop: int, samples: Path
) -> Iterator[dict]:
    words = [sys.executable, "-m", "tests.fuzz", "--child", f"{part}:{start}:{stop}"]
    words += ["--seed", str(options.seed)]
    words += ["--output", str(options.output), "--samples", str(samples)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1",
                   "MPLCONFIGDIR": str(samples / "matplotlib")}  # fmt: skip
    with (
        tempfile.TemporaryFile("w+") as errors,
        subprocess.Popen(words, stdout=subprocess.PIPE, stderr=errors, text=True,
                         env=environment) as child,
    ):  # fmt: skip
        for line in child.stdout or ():
            if line.startswith("@"):
                yield json.loads(line[1:])
        code = child.wait()
        if code:
            errors.seek(0)
            yield {"died": f"the process ended with {code}\n{errors.read()[-4000:]}"}


def _tell(options: argparse.Namespace, part: str, number: int, said: str) -> None:
    again = f"python -m tests.fuzz --part {part} --seed {options.seed} --number {number}"
    folder = options.output / f"{part}-{options.seed}-{number}"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "what.txt").write_text(f"{again}\n{said}\n", encoding="utf-8", errors="replace")
    print(f"WRONG {again}\n{said}\n", flush=True)


def _child(options: argparse.Namespace) -> int:
    import torch

    from tests.fuzz.case import run_case
    from tests.fuzz.guard import WAITING
    from tests.fuzz.parts import PARTS
    from tests.fuzz.samples import Samples

    torch.set_num_threads(1)
    reports = os.fdopen(os.dup(1), "w")  # standard output belongs to the cases
    os.dup2(2, 1)
    name, start, stop = options.child.split(":")
    samples = Samples(options.samples)
    samples.make_all()
    for number in range(int(start), int(stop)):
        print("@" + json.dumps({"begins": number}), file=reports, flush=True)
        keep = options.output.resolve() / f"{name}-{options.seed}-{number}"
        faulthandler.dump_traceback_later(
            2 * WAITING, exit=True
        )  # native code does not handle signals
        outcome = run_case(name, PARTS[name][0], options.seed, number, samples, keep)
        report = {"kind": outcome.kind, "said": outcome.said}
        print("@" + json.dumps(report), file=reports, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
