"""Contributions of images and intervals as loops over images, labels and weights."""

import numpy as np
from scipy.stats import t as student


def weighted_ap(scores, targets, weights):
    """Mean over positives, by weight, of the share of positives among those scored as high."""
    known = targets != -1
    s, t, w = scores[known], targets[known] == 1, weights[known]
    total = 0.0
    for k in np.flatnonzero(t & (w > 0)):
        above = s >= s[k]
        total += w[k] * w[above & t].sum() / w[above].sum()
    return total / w[t].sum()


def counted(targets):
    """Labels with a positive and a negative."""
    return [k for k, t in enumerate(targets.T) if (t == 1).any() and (t == 0).any()]


def mean_ap(scores, targets):
    """Over the counted labels."""
    ones = np.ones(len(scores))
    return np.mean([weighted_ap(scores[:, k], targets[:, k], ones) for k in counted(targets)])


def contributions(scores, targets, step):
    """One image of one label after the other; labels with one positive at the end."""
    total, ones = np.zeros(len(scores)), np.ones(len(scores))
    ap = {k: weighted_ap(scores[:, k], targets[:, k], ones) for k in counted(targets)}
    only = [k for k in ap if (targets[:, k] == 1).sum() == 1]
    for k in ap:
        for kind in (0, 1):
            stratum = np.flatnonzero(targets[:, k] == kind)
            n = len(stratum)
            if n == 1:
                continue
            moved = []
            for i in stratum:
                less = ones.copy()
                less[i] -= step
                moved.append(weighted_ap(scores[:, k], targets[:, k], less))
            for i, value in zip(stratum, moved, strict=True):
                total[i] += (n - step) / np.sqrt(n * (n - 1)) * (np.mean(moved) - value) / step
    middle = np.mean([ap[k] for k in (only if len(only) > 1 else ap)]) if ap else 0
    for k in only:
        scale = np.sqrt(len(only) / (len(only) - 1)) if len(only) > 1 else 1
        total[np.flatnonzero(targets[:, k] == 1)[0]] += scale * (ap[k] - middle)
    return total / len(ap)


def interval(values, images, level=0.95):
    """Estimate, ends and p-value from differences by seed (S,) and contributions (S, N)."""
    seeds = len(values)
    middle = images.mean(0)
    v = sum(c**2 for c in middle)
    spread = sum(c**4 for c in middle)
    if seeds > 1:
        of_seeds = sum((d - values.mean()) ** 2 for d in values) / (seeds - 1) / seeds
        shared = sum(np.var(column, ddof=1) for column in images.T) / seeds
        v += max(0, of_seeds - shared)
        spread += 2 * of_seeds**2 / (seeds - 1)
    df, d = 2 * v**2 / spread, values.mean()
    half = student.ppf(0.5 + level / 2, df) * np.sqrt(v)
    return d, d - half, d + half, 2 * student.sf(abs(d) / np.sqrt(v), df)


def holm(p_values):
    """Step-down: reject while p_(k) <= alpha / (m - k + 1); the least alpha that rejects each."""
    m = len(p_values)
    order = np.argsort(p_values, kind="stable")
    result = [0.0] * m
    for k in range(m):
        result[order[k]] = max(min(1.0, (m - j) * p_values[order[j]]) for j in range(k + 1))
    return result
