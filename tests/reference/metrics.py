"""Slow, literal definitions of the metrics, one Python loop a concept."""

import numpy as np


def curve(scores, targets):
    """Precision and recall at every distinct score among the known, best score first."""
    known = [(float(s), int(t)) for s, t in zip(scores, targets, strict=True) if t != -1]
    positives = sum(t for _, t in known)
    points = []
    for threshold in sorted({s for s, _ in known}, reverse=True):
        chosen = [t for s, t in known if s >= threshold]
        points.append((sum(chosen) / len(chosen), sum(chosen), positives))
    return points


def uninterpolated(scores, targets):
    points = curve(scores, targets)
    if not points or points[0][2] == 0:
        return float("nan")
    total, last = 0.0, 0
    for precision, hits, positives in points:
        total += (hits - last) / positives * precision
        last = hits
    return total


def voc2010(scores, targets):
    """The devkit's VOCap.m: sentinels at both ends, envelope from the right, area of the steps."""
    points = curve(scores, targets)
    if not points or points[0][2] == 0:
        return float("nan")
    recall = [0.0] + [hits / positives for _, hits, positives in points] + [1.0]
    precision = [0.0] + [p for p, _, _ in points] + [0.0]
    for i in range(len(precision) - 2, -1, -1):
        precision[i] = max(precision[i], precision[i + 1])
    steps = range(1, len(recall))
    return sum((recall[i] - recall[i - 1]) * precision[i] for i in steps)


def voc2007(scores, targets):
    """The devkit's VOCevalcls.m: the best precision at recall >= 0, 0.1, ..., 1, averaged."""
    points = curve(scores, targets)
    if not points or points[0][2] == 0:
        return float("nan")
    total = 0.0
    for tenth in range(11):
        reached = [p for p, hits, positives in points if 10 * hits >= tenth * positives]
        total += max(reached, default=0.0) / 11
    return total


AP = {"uninterpolated": uninterpolated, "voc2007": voc2007, "voc2010": voc2010}


def average_precision(scores, targets, protocol):
    columns = range(scores.shape[1])
    return np.array([AP[protocol](scores[:, c], targets[:, c]) for c in columns])


def decisions(scores, targets, threshold, k=None, plain=False):
    """What is decided, cell by cell: a set of (row, label)."""
    chosen = set()
    for row in range(scores.shape[0]):
        known = [c for c in range(scores.shape[1]) if targets[row, c] != -1]
        if k is not None:
            known = sorted(known, key=lambda c: (-scores[row, c], c))[:k]
        chosen |= {(row, c) for c in known if plain or scores[row, c] >= threshold}
    return chosen


def f1(scores, targets, threshold, k=None, plain=False):
    """CP, CR, CF1, OP, OR, OF1 from their definitions."""
    chosen = decisions(scores, targets, threshold, k, plain)
    precisions, recalls = [], []
    hits = alarms = misses = 0
    for c in range(targets.shape[1]):
        rows = range(targets.shape[0])
        tp = sum((r, c) in chosen and targets[r, c] == 1 for r in rows)
        fp = sum((r, c) in chosen and targets[r, c] == 0 for r in rows)
        fn = sum((r, c) not in chosen and targets[r, c] == 1 for r in rows)
        hits, alarms, misses = hits + tp, alarms + fp, misses + fn
        if tp + fn:
            precisions.append(tp / (tp + fp) if tp + fp else 0.0)
            recalls.append(tp / (tp + fn))
    cp, cr = np.mean(precisions), np.mean(recalls)
    op = hits / (hits + alarms) if hits + alarms else 0.0
    orec = hits / (hits + misses)
    harmonic = [0.0 if a + b == 0 else 2 * a * b / (a + b) for a, b in ((cp, cr), (op, orec))]
    return {"CP": cp, "CR": cr, "CF1": harmonic[0], "OP": op, "OR": orec, "OF1": harmonic[1]}
