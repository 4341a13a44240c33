"""What it is worth on a CPU that the process keeps the memory that it frees.

    python benchmarks/speed/memory.py    # a few minutes

Each workload in a process of its own, with and without :func:`gatlabel.memory.keep_freed_memory`,
in turn; processor seconds of one thread (system time included) an image, and the most memory that
the process had. Writes benchmarks/results/memory.json.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent.parent / "results" / "memory.json"
ROUNDS = 3
#: Encoder, side in pixels, images in a batch, batches.
FORWARD = [
    ("efficientnet_lite0", 160, 64, 3),
    ("efficientnet_lite0", 288, 64, 1),
    ("resnet18", 224, 64, 2),
    ("resnet50", 224, 32, 1),
]
TRAINING = [
    ("efficientnet_lite0", 160, 32, 2),
    ("resnet18", 224, 32, 1),
    ("resnet50", 224, 16, 1),
]


def work(kind: str, name: str, side: int, size: int, batches: int) -> None:
    """Runs one workload in this process and prints seconds an image and MiB."""
    import resource

    import torch

    from gatlabel.encoders import create_encoder

    torch.set_num_threads(1)
    encoder = create_encoder(name, None).train(kind == "training")
    images = torch.randint(0, 255, (size, 3, side, side), dtype=torch.uint8)

    def run() -> None:
        pixels = encoder.normalize(images).contiguous(memory_format=torch.channels_last)
        maps = encoder(pixels)
        if kind == "training":
            maps.mean().backward()

    with torch.inference_mode(kind == "forward"):
        run()  # what is prepared once
        before = os.times()
        for _ in range(batches):
            run()
    after = os.times()
    seconds = (after.user - before.user + after.system - before.system) / (size * batches)
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps([seconds, most]))


def measured(keeps: bool, words: list[str]) -> tuple[float, float]:
    """Runs a workload in a process of its own."""
    set_up = "from gatlabel.memory import keep_freed_memory; keep_freed_memory(); " if keeps else ""
    code = f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r}); {set_up}"
    kind, name, side, size, batches = words
    code += f"from memory import work; work({kind!r}, {name!r}, {side}, {size}, {batches})"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout
    seconds, most = json.loads(done)
    return seconds, most


def main() -> None:
    """Measures all workloads."""
    rows: list[dict[str, Any]] = []
    cases = [("forward", *case) for case in FORWARD] + [("training", *case) for case in TRAINING]
    for case in cases:
        words = [str(part) for part in case]
        found: dict[bool, list[tuple[float, float]]] = {False: [], True: []}
        for _ in range(ROUNDS):
            for keeps in (False, True):
                found[keeps].append(measured(keeps, words))
        usual, kept = (statistics.median(s for s, _ in found[keeps]) for keeps in (False, True))
        row = {
            **dict(zip(("workload", "encoder", "side", "batch"), case, strict=False)),
            "usual ms": round(1000 * usual, 2),
            "kept ms": round(1000 * kept, 2),
            "ratio": round(usual / kept, 2),
            "usual MiB": round(max(most for _, most in found[False])),
            "kept MiB": round(max(most for _, most in found[True])),
        }
        rows.append(row)
        print(row, flush=True)
    RESULTS.write_text(json.dumps({"rounds": ROUNDS, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
