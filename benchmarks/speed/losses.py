"""Forward and backward of every loss against torch's binary cross-entropy, and against our own.

    python benchmarks/speed/losses.py [--quick]

Batches of 64 images x 80 labels and 256 x 1000, 3 % present, float32, all known. ``torch`` is
``torch.nn.BCEWithLogitsLoss``, which does not treat unknown labels; ``bce`` is ours, which does.
Losses that change during training are taken in its sixth epoch, halfway. Processor time of one
thread, in turn. Writes benchmarks/results/losses.json: the ratio of each loss's time to both.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from measuring import Row, arguments, finish, limited, timed
from torch import Tensor, nn

from gatlabel.losses import LOSSES, set_progress

SIZES = ((64, 80, 50), (256, 1000, 3))  # images, labels, repetitions in a run
LIMIT = 1.3  # times our own binary cross-entropy, for losses of the same kind


def example(images: int, labels: int) -> tuple[Tensor, Tensor]:
    """Logits and targets ``(images, labels)``."""
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(images, labels, generator=generator) * 2 - 2
    targets = (torch.rand(images, labels, generator=generator) < 0.03).float()
    return logits.requires_grad_(), targets


def losses() -> dict[str, nn.Module]:
    """All losses by name, and torch's."""
    found: dict[str, nn.Module] = {"torch": nn.BCEWithLogitsLoss()}
    for name, kind in LOSSES.items():
        options = {"rates": 0.03} if name == "db" else {}
        well_posed = {"form": "well_posed"} if name in ("ce", "snll") else {}
        found[name] = kind(**options, **well_posed)
        set_progress(found[name], 0.5, 5)
    return found


def repeated(loss: nn.Module, logits: Tensor, targets: Tensor, times: int) -> Callable[[], None]:
    def run() -> None:
        for _ in range(times):
            logits.grad = None
            loss(logits, targets).backward()

    return run


def main() -> None:
    torch.set_num_threads(1)
    asked = arguments(__doc__)
    rows: list[Row] = []
    for images, labels, times in SIZES:
        logits, targets = example(images, labels)
        runs = {
            name: repeated(loss, logits, targets, 1 if asked.quick else times)
            for name, loss in losses().items()
        }
        found = timed(runs, 3 if asked.quick else 15)
        for name, own in found.items():
            if name == "torch":
                continue
            for base in ("torch", "bce"):
                if name == base:
                    continue
                ratios = [a / b for a, b in zip(own.runs, found[base].runs, strict=True)]
                rows.append(
                    limited(
                        f"loss {name}: {images} x {labels}, times {base}",
                        ratios,
                        "x",
                        None,
                        microseconds=1e6 * own.median / (1 if asked.quick else times),
                    )
                )
    finish("losses", rows, asked.quick)


if __name__ == "__main__":
    main()
