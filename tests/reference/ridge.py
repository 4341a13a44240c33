"""Ridge regression of labels that share classifiers, as one system of linear equations."""

import numpy as np


def similarity_ridge(
    x: np.ndarray,
    y: np.ndarray,
    sharing: np.ndarray,
    penalty: float,
    rate: np.ndarray | None = None,
    standardised: bool = False,
) -> np.ndarray:
    """``argmin over V of mean_n |t_n - C V x_n|² + penalty |V|²``, and of that ``C V``.

    Targets t are ``(y - rate) / spread``, divided by the share that is known, 0 where unknown; the
    result is divided by the spread, as log-odds are, unless it is to stay standardised.
    """
    known = y >= 0
    if rate is None:
        rate = np.where(known, y, 0).sum(0) / known.sum(0)
    spread = np.sqrt(rate * (1 - rate))
    t = np.where(known, (y - rate) / spread, 0) / known.mean(0)
    centred = x - x.mean(0)
    n, width = x.shape
    labels = y.shape[1]
    # vec by rows: the logits of image n are kron(C, x_n) vec(V)
    design = np.concatenate([np.kron(sharing, row[None]) for row in centred])
    system = design.T @ design / n + penalty * np.eye(labels * width)
    v = np.linalg.solve(system, design.T @ t.reshape(-1) / n).reshape(labels, width)
    w = sharing @ v
    return w if standardised else w / spread[:, None]
