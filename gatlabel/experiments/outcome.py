"""The outcome of one run: logits on the reported images, and the metrics computed from them."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gatlabel.experiments.methods import Method
from gatlabel.metrics import evaluate_scores
from gatlabel.nn import Foldable, Head
from gatlabel.nn.heads.fitted.base import FittedHead

METRICS = ("mAP", "CF1", "OF1", "top3_CF1", "top3_OF1")
THIRDS = ("mAP_head", "mAP_middle", "mAP_tail")
#: Pairs: labels, and the similarity chosen for them with its reason.
Reasons = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Condition:
    """A condition in which methods are compared.

    Attributes:
        fraction: Share of the training images.
        masked: Share of the training targets that is masked, or ``"single"``.
    """

    fraction: float = 1.0
    masked: float | str = 0.0

    @property
    def title(self) -> str:
        """Its description, empty for all images and all targets."""
        parts = [] if self.fraction == 1 else [f"{self.fraction:.0%} of the images"]
        if self.masked == "single":
            parts.append("one known label per image")
        elif self.masked:
            parts.append(f"{float(self.masked):.0%} of the targets masked")
        return ", ".join(parts)

    @property
    def key(self) -> str:
        """Its name in files."""
        return f"{self.fraction:g}~{self.masked if self.masked == 'single' else f'{self.masked:g}'}"


@dataclass(frozen=True)
class Outcome:
    """One method's run with one seed.

    Attributes:
        method: The method.
        logits: float32 ``(N, L)`` on the reported images.
        parameters: Number of learned parameters of the head, before folding.
        train_seconds: Training time in seconds.
        inference_us: Microseconds per image from features to logits, folded if possible.
        similarity: For the graph ``similarity``: what was chosen and why.
    """

    method: Method
    logits: NDArray[np.float32]
    parameters: int
    train_seconds: float
    inference_us: float
    similarity: Reasons = ()


class Backend(Protocol):
    """The implementation of runs: on frozen features, or end to end."""

    def tune(
        self, method: Method, condition: Condition, options: dict[str, float], seed: int
    ) -> float:
        """Trains once and returns the mAP on the tuning split."""

    def run(
        self,
        method: Method,
        condition: Condition,
        options: dict[str, float],
        seed: int,
        ablate: bool,
    ) -> list[Outcome]:
        """Trains once and scores the reported split; with ``ablate`` also without edges."""


def run_metrics(
    logits: NDArray[np.float32],
    targets: NDArray[np.float32],
    names: Sequence[str],
    thirds: Sequence[NDArray[np.int64]],
) -> dict[str, float]:
    """Computes the metrics of a run.

    Args:
        logits: ``(N, L)``.
        targets: ``(N, L)``.
        names: The L labels.
        thirds: Positions of frequent, medium and rare labels.

    Returns:
        The metrics by name; NaN for a third without positives.
    """
    report = evaluate_scores(logits, targets, names)
    found = {name: report.metrics[name] for name in METRICS}
    for name, labels in zip(THIRDS, thirds, strict=True):
        ap = report.ap[torch.from_numpy(labels)]
        found[name] = float(ap.nanmean())
    return found


def parameter_count(head: Head) -> int:
    """Counts the learned parameters of a head; for a fitted method, all stored numbers."""
    if isinstance(head, FittedHead):
        return sum(b.numel() for b in head.buffers())
    return sum(p.numel() for p in head.parameters() if p.requires_grad)


@torch.inference_mode()
def inference_microseconds(head: Head, features: Tensor, repeats: int = 5) -> float:
    """Measures a forward pass over a batch of features, folded if possible; returns the median.

    Args:
        head: The head, in evaluation mode.
        features: ``(B, …)``.
        repeats: Number of measurements.

    Returns:
        Microseconds per image.
    """
    ready: Callable[[Tensor], Tensor] = head
    if isinstance(head, Foldable):
        ready = head.fold()
    ready(features)
    times = []
    for _ in range(repeats):
        _wait_for(features.device)
        began = time.perf_counter()
        ready(features)
        _wait_for(features.device)
        times.append(time.perf_counter() - began)
    return 1e6 * statistics.median(times) / len(features)


def _wait_for(device: torch.device) -> None:
    if device.type == "cuda":  # CUDA calls return before they are complete
        torch.cuda.synchronize(device)
