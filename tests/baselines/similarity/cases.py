"""Data sets with eight groups of labels, and vectors that identify the group or are random."""

import torch
from torch import Tensor

from gatlabel.baselines.similarity import SimilaritySource, source_from_vectors

LABELS, WIDTH = 32, 60


def grouped(alike: bool = True, images: int = 240, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """Features, targets and label vectors."""
    rng = torch.Generator().manual_seed(seed)
    group = torch.arange(LABELS) % 8
    own = torch.randn(LABELS, WIDTH, generator=rng)
    if alike:
        own = 0.9 * torch.randn(8, WIDTH, generator=rng)[group] + 0.4 * own
    features = torch.randn(images, WIDTH, generator=rng)
    score = features @ own.T / WIDTH**0.5 + 0.7 * torch.randn(images, LABELS, generator=rng)
    targets = (score > score.quantile(0.93, dim=0)).float()
    vectors = torch.randn(8, 20, generator=rng)[group]
    return features, targets, vectors + 0.3 * torch.randn(LABELS, 20, generator=rng)


def names_of(vectors: Tensor) -> list[SimilaritySource]:
    """The vectors as the only source."""
    return [source_from_vectors("names", vectors)]
