"""The paired bootstrap as a loop over resamples, with the pictures really repeated."""

import numpy as np
from sklearn.metrics import average_precision_score


def mean_ap(scores, targets):
    """Mean over the labels with a positive; -1 is left out."""
    found = []
    for s, t in zip(scores.T, targets.T, strict=True):
        known = t != -1
        if (t[known] == 1).any():
            found.append(average_precision_score(t[known], s[known]))
    return np.mean(found)


def resampled_differences(ours, theirs, targets, pictures, seeds):
    """Differences of mAP, one a resample.

    ours, theirs: (S, N, L) scores; pictures: a list of row lists; seeds: a list of seed lists.
    """
    result = []
    for rows, runs in zip(pictures, seeds, strict=True):
        inner = [
            mean_ap(ours[run][rows], targets[rows]) - mean_ap(theirs[run][rows], targets[rows])
            for run in runs
        ]
        result.append(np.mean(inner))
    return np.array(result)


def holm(p_values):
    """Step-down: reject while p_(k) <= alpha / (m - k + 1); the least alpha that rejects each."""
    m = len(p_values)
    order = np.argsort(p_values, kind="stable")
    result = [0.0] * m
    for k in range(m):
        result[order[k]] = max(min(1.0, (m - j) * p_values[order[j]]) for j in range(k + 1))
    return result
