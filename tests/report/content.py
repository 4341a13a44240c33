"""A report's content made from nothing, with every part of it replaceable."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gatlabel.decisions import Decision
from gatlabel.labels import LabelSet
from gatlabel.report import Baseline, LabelResult, ReportContent


def ring(names: list[str], degree: int = 2) -> SimpleNamespace:
    """Each label reads the next ``degree`` labels around a ring."""
    L = len(names)
    pairs = [((i + k) % L, i) for i in range(L) for k in range(1, degree + 1) if k % L]
    index = torch.tensor(pairs, dtype=torch.long).reshape(-1, 2).T
    weight = torch.linspace(0.1, 0.9, index.shape[1])
    return SimpleNamespace(names=tuple(names), edge_index=index, edge_weight=weight)


def thumbnail(index: int) -> Tensor:
    image = torch.zeros(3, 200, 320, dtype=torch.uint8)
    image[0] = 220  # red
    image[2, :, :160] = index % 100
    return image


def make(L: int = 5, N: int = 30, names: list[str] | None = None, **changes: Any) -> ReportContent:
    rng = np.random.default_rng(0)
    names = names or [f"label {k}" for k in range(L)]
    targets = rng.choice([0.0, 1.0, -1.0], size=(N, L), p=[0.6, 0.3, 0.1])
    graph = ring(names)
    E = graph.edge_index.shape[1]
    content: dict[str, Any] = {
        "title": "a run",
        "data_name": "scenes",
        "labels": LabelSet(names),
        "protocol": {"AP": "uninterpolated", "device": "cpu"},
        "metrics": {"val": {"mAP": 0.5432, "OF1": 0.4}, "test": {"mAP": float("nan")}},
        "logits": rng.normal(0, 2, (N, L)),
        "targets": targets,
        "ids": [f"{k:03d}.jpg" for k in range(N)],
        "thumbnail": thumbnail,
        "curves": [
            {"epoch": e, "train_loss": 1 / (e + 1), "val_mAP": 0.1 * e, "lr": 1e-3}
            for e in range(5)
        ],
        "per_label": [LabelResult(name, 0.1 + k / 1000, 3, 0.5) for k, name in enumerate(names)],
        "graph": graph,
        "attention": torch.full((E, 2), 0.5),
        "baselines": [Baseline("linear head", 0.51)],
        "decision": Decision.fixed(LabelSet(names), 0.3),
        "notes": ["a split was made"],
    }
    return ReportContent(**{**content, **changes})
