"""How long it takes to add a label to a trained run, after loading.

    python benchmarks/speed/extending.py --root ../shared/data

A run on voc2007-part (EfficientNet-Lite0, 160 pixels, closed form) without one label, ``cat``.
``extend_run`` adds it by similar labels, by five images, and by both, each several times into a new
folder; what is timed is the whole call in a process that has imported it, model and run being read
anew in each. Images are decoded and passed through the encoder. Seconds of the clock and of the
processor. Writes benchmarks/results/extending.json.
"""

from __future__ import annotations

import argparse
import csv
import os
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import torch

from gatlabel.experiments.environment import environment
from gatlabel.fewshot import extend_run
from gatlabel.files import write_json
from gatlabel.training import TrainConfig, train

LABEL, LIKE, SHOTS, ROUNDS = "cat", {"dog": 2.0, "sheep": 1.0}, 5, 7


def without_label(root: Path, folder: Path) -> list[Path]:
    """Writes a csv file without the label; returns images that show it."""
    showing = []
    with (root / "labels.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    folder.mkdir()
    (folder / "images").symlink_to((root / "images").absolute())
    with (folder / "labels.csv").open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["image", "split", "labels"])
        for row in rows:
            labels = [name for name in row["labels"].split("|") if name]
            if LABEL in labels and row["split"] == "train":
                showing.append(root / row["image"])
            writer.writerow([row["image"], row["split"], "|".join(n for n in labels if n != LABEL)])
    return showing[:SHOTS]


def main() -> None:
    """Measures, prints and writes."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--root", type=Path, default=Path("..") / "shared" / "data")
    parser.add_argument("--cache", type=Path, default=Path("runs") / "features")
    given = parser.parse_args()
    torch.set_num_threads(1)
    results: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        images = without_label(given.root / "voc2007-part", folder / "data")
        options = {
            "data": "csv", "data.root": folder / "data", "encoder.backbone": "efficientnet_lite0",
            "encoder.weights": "default", "encoder.freeze": "encoder", "images.size": 160,
            "images.cache_folder": given.cache, "head": "linear", "head.start": "ridge",
            "run.epochs": 0,
            "run.output": folder / "run", "run.progress": False,
        }  # fmt: skip
        train(TrainConfig().with_options(options), log=lambda line: None)
        cases: dict[str, dict[str, Any]] = {
            "similar labels": {"like": LIKE},
            f"{SHOTS} images": {"images": images},
            "both": {"like": LIKE, "images": images},
        }
        for name, case in cases.items():
            clock, processor = [], []
            for number in range(ROUNDS):
                began = time.perf_counter(), time.process_time()
                output = folder / f"{name.replace(' ', '-')}-{number}"
                extend_run(folder / "run", LABEL, output, log=lambda line: None, **case)
                clock.append(time.perf_counter() - began[0])
                processor.append(time.process_time() - began[1])
            results[name] = {
                "seconds": round(statistics.median(clock), 3),
                "seconds of the processor": round(statistics.median(processor), 3),
                "largest": round(max(clock), 3),
            }
            print(name, results[name], flush=True)
    load = [round(value, 1) for value in os.getloadavg()]
    content = {"cases": results, "rounds": ROUNDS, "load": load, "machine": environment(1)}
    write_json(Path(__file__).parent.parent / "results" / "extending.json", content)


if __name__ == "__main__":
    main()
