"""Slow definitions of what the choice of similarity computes at once."""

import torch
from torch import Tensor

from gatlabel.baselines.regression import SharedRegression


def profile_cosine(targets: Tensor, i: int, j: int) -> float:
    """Cosine of the conditional frequencies of i and j over all labels but these two."""
    labels = [k for k in range(targets.shape[1]) if k not in (i, j)]
    rows = []
    for label in (i, j):
        row = []
        for k in labels:
            known = [y for y in targets.tolist() if y[k] >= 0]
            with_label = [y for y in known if y[label] == 1]
            rate = sum(y[k] for y in known) / len(known)
            given = sum(y[k] for y in with_label) / len(with_label)
            row.append((given - rate) / rate**0.5)
        rows.append(row)
    one, other = torch.tensor(rows, dtype=torch.float64)
    return float(one @ other / (one.norm() * other.norm()))


def mean_difference(scores: Tensor, targets: Tensor, i: int, j: int) -> float:
    """Mean score of j over images with i less that over images without, those with j left out."""
    of_i, of_j, score = targets[:, i].tolist(), targets[:, j].tolist(), scores[:, j].tolist()
    there = [s for s, a, b in zip(score, of_i, of_j, strict=True) if b != 1 and a == 1]
    rest = [s for s, a, b in zip(score, of_i, of_j, strict=True) if b != 1 and a == 0]
    return sum(there) / len(there) - sum(rest) / len(rest)


def shared_scores(
    x: Tensor, t: Tensor, penalty: float, covariance: Tensor, groups: list[int] | None = None
) -> Tensor:
    """Scores of images left out, under a covariance between labels."""
    return SharedRegression(x, t, torch.linalg.cholesky(covariance), groups).held_out(penalty)
