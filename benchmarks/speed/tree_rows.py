"""The rows of ``against.py``, measured in the tree that ``PYTHONPATH`` names.

The scripts on speed of that tree make what is timed, so that a row means in each tree what its own
script measures there. Names that 4e401be had are tried where today's are missing.
"""

from __future__ import annotations

import contextlib
import importlib
import logging
import resource
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

Run = Callable[[], object]
PHOTOS = 48
STEPS = 100


def found(*names: str) -> Any:
    """The first of these that the tree has, each as ``module:name``."""
    for name in names:
        module, _, part = name.partition(":")
        with contextlib.suppress(ImportError, AttributeError):
            return getattr(importlib.import_module(module), part)
    raise SystemExit(f"the tree has none of {', '.join(names)}")


def head(name: str, labels: int) -> Run:
    """Forward and backward pass of a head or kernel, at the widths of the script ``attention``."""
    return found("kernels.methods:method", "kernels.contenders:contender")(name, labels)


def forward(labels: int) -> Run:
    """The default head on features, as an unfolded model evaluates it."""
    import torch

    make = found("kernels.methods:default_head", "kernels.contenders:default_head")
    layer, features = make(labels).eval(), torch.randn(16, 2048)

    def run() -> None:
        with torch.inference_mode():
            for _ in range(20):
                layer(features)

    return run


def average_precision(frequency: float) -> Run:
    """Average precision of 40,000 x 80 scores with ties."""
    metrics = importlib.import_module("metrics")
    data = metrics.example(frequency)
    return lambda: metrics.ours(*data)


def pair_counts() -> Run:
    """Pair counts of a million rows and 10,000 labels."""
    counts = importlib.import_module("counts")
    matrix = counts.targets()
    return lambda: counts.Cooccurrence.from_targets(matrix, counts.NAMES)


def ridge(images: int, features: int, labels: int) -> Run:
    """Ridge regression with its penalty by leave-one-out."""
    import torch

    from gatlabel.baselines.ridge import ridge_start

    generator = torch.Generator().manual_seed(0)
    x = torch.randn(images, features, generator=generator)
    y = (x[:, :labels] + torch.randn(images, labels, generator=generator) > 1.5).float()
    return lambda: ridge_start(x, y)


def pipeline(name: str, size: int, train: bool, folder: str) -> Run:
    """One pass over the photographs of a folder by a method of the script ``pipeline``."""
    make = found("pipeline:method", "pipeline:contender")
    images = found("pipeline:images", "pipeline:pictures")
    return make(name, images(Path(folder), PHOTOS), size, train)


def training_loop(average: bool) -> Run:
    """A hundred tiny steps of the run's own Lightning module in Lightning's loop."""
    script = importlib.import_module("training_step")
    module = found("training_step:module_of", "training_step:TrainingModule")
    return lambda: script.lightning(module(script.tiny(), script.CONFIG, STEPS), STEPS, average)


def training_step(backbone: str) -> Run:
    """One training step of a network, with the linear head."""
    from gatlabel import MultiLabelClassifier

    script = importlib.import_module("training_step")
    model = MultiLabelClassifier.create(backbone, "linear", labels=script.NAMES, weights=None)
    return script.stepper(model)[0]


def prediction(folder: str) -> Run:
    """A ``Predictor`` on a list of photographs by a small network."""
    from gatlabel import MultiLabelClassifier, Predictor

    names = [f"label {k}" for k in range(20)]
    options = {"labels": names, "image_size": 64, "stride": 8, "weights": None}
    model = MultiLabelClassifier.create("squeezenet1_1", "linear", **options).eval()
    predictor = Predictor(model, batch_size=32, device="cpu")
    paths = sorted(Path(folder).glob("*.jpg")) * 2
    return lambda: sum(len(found.labels) for found in predictor(paths))


def interpreter(statement: str) -> Run:
    """A fresh interpreter that runs one statement."""
    words = [sys.executable, "-c", statement]
    return lambda: subprocess.run(words, check=True, capture_output=True)


def command(words: str) -> Run:
    """A fresh interpreter that runs one command of gatlabel."""
    return interpreter(f"from gatlabel.cli import main; main({words.split()!r})")


LABELS = (80, 500, 2_000, 10_000)
ROWS: dict[str, Callable[[str], Run]] = {  # each is given the folder of photographs
    **{f"default head, L={n}, step": lambda _, n=n: head("default", n) for n in LABELS},
    **{f"plain head, L={n}, step": lambda _, n=n: head("plain", n) for n in LABELS},
    **{f"linear head, L={n}, step": lambda _, n=n: head("linear", n) for n in LABELS[:3]},
    "default head, L=80, forward x 20": lambda _: forward(80),
    "default head, L=2000, forward x 20": lambda _: forward(2_000),
    "complete graph, L=2000, step": lambda _: head("complete", 2_000),
    "image-conditioned, hidden 1024, step": lambda _: head("conditioned", 80),
    "image-conditioned, hidden 1024, whole head": lambda _: head("conditioned-whole", 80),
    "image-conditioned, hidden 1024, training": lambda _: head("conditioned-training", 80),
    "image-conditioned, hidden 256, step": lambda _: head("conditioned-narrow", 80),
    "image-conditioned, hidden 256, step, L=800": lambda _: head("conditioned-narrow", 800),
    "mAP 40,000 x 80, 3.6 % positives": lambda _: average_precision(0.036),
    "mAP 40,000 x 80, 30 % positives": lambda _: average_precision(0.3),
    "pair counts 1,000,000 x 10,000": lambda _: pair_counts(),
    "ridge, 500 x 1280, 20 labels": lambda _: ridge(500, 1280, 20),
    "ridge, 5,000 x 1280, 80 labels": lambda _: ridge(5_000, 1280, 80),
    **{
        f"{kind} image -> {size}, {name}": lambda folder, name=name, size=size, train=train: (
            pipeline(name, size, train, folder)
        )
        for kind, train in (("training", True), ("evaluation", False))
        for size in (224, 448)
        for name in ("files", "memory cache", "disk cache")
    },
    "batch of 16 images of 224": lambda folder: pipeline("batch", 224, True, folder),
    "batch of 16 images of 448": lambda folder: pipeline("batch", 448, True, folder),
    "colours of 16 images of 224": lambda folder: pipeline("jitter", 224, True, folder),
    "colours of 16 images of 448": lambda folder: pipeline("jitter", 448, True, folder),
    "tiny training step x 100": lambda _: training_loop(average=False),
    "tiny training step with moving average x 100": lambda _: training_loop(average=True),
    "resnet18, training step": lambda _: training_step("resnet18"),
    "efficientnet_lite0, training step": lambda _: training_step("efficientnet_lite0"),
    "Predictor, 96 images": prediction,
    "complete graph, L=100000, step": lambda _: head("complete", 100_000),
    "import gatlabel": lambda _: interpreter("import gatlabel"),
    "from gatlabel.nn import GATHead": lambda _: interpreter("from gatlabel.nn import GATHead"),
    "from gatlabel.losses import BCELoss": lambda _: interpreter(
        "from gatlabel.losses import BCELoss"
    ),
    "from gatlabel.metrics import f1_scores": lambda _: interpreter(
        "from gatlabel.metrics import f1_scores"
    ),
    "from gatlabel.graph import LabelGraph": lambda _: interpreter(
        "from gatlabel.graph import Cooccurrence, LabelGraph"
    ),
    **{
        f"gatlabel {words}": lambda _, words=words: command(words)
        for words in (
            "--help",
            "--version",
            "train --help",
            "evaluate --help",
            "predict --help",
            "export --help",
            "explain --help",
            "graph build --help",
            "benchmark graphs --help",
            "benchmark heads --help",
            "benchmark summary --help",
        )
    },
}


def seconds(run: Run) -> tuple[float, float]:
    """Processor time of this process and of those it waited for, and seconds of the clock."""

    def processor() -> float:
        kinds = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
        return sum(u.ru_utime + u.ru_stime for u in map(resource.getrusage, kinds))

    before, clock = processor(), time.perf_counter()
    run()
    return processor() - before, time.perf_counter() - clock


def main() -> None:
    """Answers each line ``COUNT ROW`` with the times of so many runs, after one to warm up."""
    import torch

    warnings.filterwarnings("ignore")
    torch.set_num_threads(1)
    for logger in ("lightning.pytorch", "pytorch_lightning"):
        logging.getLogger(logger).setLevel(logging.ERROR)
    made, run = "", ROWS["import gatlabel"]("")
    with tempfile.TemporaryFile("w") as nowhere, contextlib.redirect_stdout(nowhere):
        for line in sys.stdin:
            count, _, name = line.strip().partition(" ")
            if name != made:
                torch.manual_seed(0)
                made, run = name, ROWS[name](sys.argv[1])
                run()
            times = seconds(lambda: [run() for _ in range(int(count))])  # noqa: B023
            print(*times, file=sys.__stdout__, flush=True)


if __name__ == "__main__":
    main()
