"""Slow, literal definitions of counts and label graphs, to check the package against."""

import math

import numpy as np


def counts_by_loop(targets: np.ndarray) -> dict[str, np.ndarray]:
    """Counts by their definitions, image by image and pair by pair."""
    N, L = targets.shape
    present, unknown = targets >= 0.5, targets == -1
    pairs = np.zeros((L, L), int)
    known_pairs = np.zeros((L, L), int)
    present_where_known = np.zeros((L, L), int)
    for n in range(N):
        for i in range(L):
            for j in range(L):
                if not unknown[n, i] and not unknown[n, j]:
                    known_pairs[i, j] += 1
                    present_where_known[i, j] += present[n, i]
                    if i != j:
                        pairs[i, j] += present[n, i] and present[n, j]
    return {
        "label_counts": np.diag(present_where_known),
        "pair_counts": pairs,
        "known": np.diag(known_pairs),
        "known_pairs": known_pairs,
        "present_where_known": present_where_known,
    }


def mlgcn_code(nums: np.ndarray, adj: np.ndarray, t: float, p: float) -> np.ndarray:
    """ML-GCN's ``gen_A`` followed by its ``gen_adj``, transcribed to NumPy."""
    adj = adj / nums[:, np.newaxis]
    adj[adj < t] = 0
    adj[adj >= t] = 1
    adj = adj * p / (adj.sum(0, keepdims=True) + 1e-6)
    adj = adj + np.identity(len(nums), int)
    d = np.diag(np.power(adj.sum(1), -0.5))
    return np.matmul(np.matmul(adj, d).T, d)


def mlgcn_paper(nums: np.ndarray, adj: np.ndarray, t: float, p: float) -> np.ndarray:
    """Equations 7 and 8 of ML-GCN's paper, entry by entry."""
    L = len(nums)
    binary = [[adj[i, j] / nums[i] >= t and i != j for j in range(L)] for i in range(L)]
    result = np.zeros((L, L))
    for i in range(L):
        for j in range(L):
            if i == j:
                result[i, j] = 1 - p
            elif binary[i][j]:
                result[i, j] = p / sum(binary[i])
    return result


def npmi(present: np.ndarray, unknown: np.ndarray, i: int, j: int) -> float:
    """Normalised PMI of two columns over the rows in which both are known."""
    rows = ~unknown[:, i] & ~unknown[:, j]
    one, two = present[rows, i], present[rows, j]
    joint = (one & two).mean()
    return math.log(joint / (one.mean() * two.mean())) / -math.log(joint)
