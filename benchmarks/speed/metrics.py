"""Average precision of 40,000 images and 80 labels, with ties, against torchmetrics.

    python benchmarks/speed/metrics.py [--quick]

Scores are float32 probabilities in steps of 1/1024, so nearly all tie. Label frequencies are long
tailed, 3.6 % on average, as in COCO; a second row has 30 % positives. Values are compared with
scikit-learn's. Processor time of one thread, in turn. Writes benchmarks/results/metrics.json.
"""

from __future__ import annotations

import numpy as np
import torch
from kernels.timing import print_peak
from measuring import against, arguments, finish, limited, peak_megabytes, timed
from sklearn.metrics import average_precision_score
from torch import Tensor
from torchmetrics.functional.classification import multilabel_average_precision

from gatlabel.metrics import average_precision

IMAGES, LABELS = 40_000, 80


def example(frequency: float) -> tuple[Tensor, Tensor]:
    """Scores and targets ``(N, L)``; a present label scores higher by one standard deviation."""
    rng = np.random.default_rng(0)
    tail = np.arange(1, LABELS + 1) ** -0.8
    rates = np.minimum(tail / tail.mean() * frequency, 0.6)
    targets = rng.random((IMAGES, LABELS)) < rates
    logits = 2 * (rng.normal(size=targets.shape) + targets) - 3
    scores = (1 / (1 + np.exp(-logits)) * 1024).round() / 1024
    return torch.from_numpy(scores).float(), torch.from_numpy(targets).long()


def ours(scores: Tensor, targets: Tensor) -> Tensor:
    return average_precision(scores, targets)


def theirs(scores: Tensor, targets: Tensor) -> Tensor:
    return multilabel_average_precision(scores, targets, num_labels=LABELS, average=None)


def main() -> None:
    torch.set_num_threads(1)
    asked = arguments(__doc__)
    if asked.peak:
        data = example(0.036)
        print_peak(lambda: (ours if asked.peak == "ours" else theirs)(*data))
        return
    rows = []
    for frequency, kind in ((0.036, "3.6 % positives"), (0.3, "30 % positives")):
        scores, targets = example(frequency)
        runs = {"ours": lambda: ours(scores, targets), "peer": lambda: theirs(scores, targets)}  # noqa: B023
        times = timed(runs, 3 if asked.quick else 9)
        name = f"mAP {IMAGES:,} x {LABELS} with ties, {kind}"
        rows.append(against(name, times["ours"], times["peer"], 6, against="torchmetrics"))
        wanted = [
            average_precision_score(targets[:, label].numpy(), scores[:, label].numpy())
            for label in range(LABELS)
        ]
        gap = float((ours(scores, targets) - torch.tensor(wanted, dtype=torch.float64)).abs().max())
        rows.append(limited(f"mAP: off scikit-learn, {kind}", [gap], "", 1e-12))
    for method in ("ours", "peer"):
        peak = peak_megabytes(__file__, method)
        rows.append(limited(f"mAP: peak memory above the input, {method}", [peak], "MB", None))
    finish("metrics", rows, asked.quick)


if __name__ == "__main__":
    main()
