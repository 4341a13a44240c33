"""CPU time of `from gatlabel.nn import GATHead` against `import torch`, in fresh interpreters.

    python benchmarks/speed/import_time.py [--quick]

The two alternate; the figure is the median of the ratios. Target: at most 1.25. Writes
benchmarks/results/import-time.json.
"""

from __future__ import annotations

import os
import platform
import resource
import statistics
import subprocess
import sys
from pathlib import Path

import torch

from gatlabel.files import write_json

RESULTS = Path(__file__).parent.parent / "results" / "import-time.json"
PAIRS = 11


def cpu_seconds(statement: str) -> float:
    """User and system time of a fresh interpreter that runs one statement."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-c", statement], check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def main() -> None:
    quick = "--quick" in sys.argv[1:]
    for statement in ("import torch", "from gatlabel.nn import GATHead"):
        cpu_seconds(statement)  # fills the file cache
    pairs = [
        (cpu_seconds("import torch"), cpu_seconds("from gatlabel.nn import GATHead"))
        for _ in range(3 if quick else PAIRS)
    ]
    ratios = sorted(ours / theirs for theirs, ours in pairs)
    content = {
        "ratio": {
            "median": statistics.median(ratios),
            "min": ratios[0],
            "max": ratios[-1],
            "target": 1.25,
        },
        "pairs": [{"torch": theirs, "gatlabel": ours} for theirs, ours in pairs],
        "machine": f"{os.cpu_count()} cores, {platform.machine()}",
        "versions": {"python": platform.python_version(), "torch": torch.__version__},
    }
    if not quick:
        write_json(RESULTS, content)
    print(f"import ratio {content['ratio']}")


if __name__ == "__main__":
    main()
