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


def resample_weights(pictures, resamples, seed):
    """How often each picture is in each resample, (N, R): one draw after the other."""
    rng = np.random.default_rng(seed)
    drawn = [rng.integers(0, pictures, pictures) for _ in range(resamples)]
    return np.stack([np.bincount(rows, minlength=pictures) for rows in drawn], axis=1)


def weighted_ap(scores, targets, w):
    """AP of one label when pictures count w times, all resamples and thresholds in one table."""
    known = np.flatnonzero(targets != -1)
    order = known[np.argsort(-scores[known], kind="stable")]
    positive = targets[order] == 1
    if not positive.any():
        return np.full(w.shape[1], np.nan)
    ranked = -scores[order]
    ends = np.unique(np.searchsorted(ranked, ranked[positive], side="right"))
    seen = np.cumsum(w[order], axis=0)[ends - 1]
    found = np.cumsum(w[order] * positive[:, None], axis=0)[ends - 1]
    hits = np.diff(found, axis=0, prepend=0)
    with np.errstate(invalid="ignore"):
        return (hits * (found / np.maximum(seen, 1))).sum(axis=0) / found[-1]


def resampled_map(scores, targets, w):
    """Mean over the labels with a positive and a known absence, for every resample."""
    ap = np.stack([weighted_ap(s, t, w) for s, t in zip(scores.T, targets.T, strict=True)])
    there = ~np.isnan(ap) & (((targets == 0).T.astype(int) @ w) > 0)
    with np.errstate(invalid="ignore"):
        return np.where(there, ap, 0).sum(axis=0) / there.sum(axis=0)


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
