"""ML-kNN as its paper has it, one image and one label at a time."""

import math


def mlknn(features, targets, queries, k, smoothing=1.0):
    """Probabilities of labels; -1 is unknown, and an image of which a label is unknown is no
    neighbour for it."""
    labels = len(targets[0])
    return [
        [_probability(features, targets, query, label, k, smoothing) for label in range(labels)]
        for query in queries
    ]


def _probability(features, targets, query, label, k, smoothing):
    known = [n for n in range(len(features)) if targets[n][label] != -1]
    having = [n for n in known if targets[n][label] == 1]
    prior = (smoothing + len(having)) / (2 * smoothing + len(known))
    with_label, without = [0] * (k + 1), [0] * (k + 1)
    for n in known:
        others = [m for m in known if m != n]
        count = _having(features, targets, features[n], others, label, k)
        (with_label if targets[n][label] == 1 else without)[count] += 1
    count = _having(features, targets, query, known, label, k)
    on = (smoothing + with_label[count]) / (smoothing * (k + 1) + sum(with_label))
    off = (smoothing + without[count]) / (smoothing * (k + 1) + sum(without))
    return prior * on / (prior * on + (1 - prior) * off)


def _having(features, targets, query, images, label, k):
    nearest = sorted(images, key=lambda n: math.dist(query, features[n]))[:k]
    return sum(targets[n][label] == 1 for n in nearest)
