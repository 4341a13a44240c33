"""Losses by their printed formulas, entry by entry in Python numbers: slow and easy to check.

Each takes logits and targets as lists of rows and returns what the formula says, before any
reduction of the package: a list of rows, or one number per image.
"""

import math

Rows = list[list[float]]


def sigmoid(z: float) -> float:
    return 1 / (1 + math.exp(-z))


def hill(z: float, y: float, margin: float = 1.0, gamma: float = 2.0, peak: float = 1.5) -> float:
    p, shifted = sigmoid(z), sigmoid(z - margin)
    return -y * (1 - shifted) ** gamma * math.log(shifted) + (1 - y) * (peak - p) * p**2


def splc(z: float, y: float, corrects: bool, threshold: float = 0.6) -> float:
    p, shifted = sigmoid(z), sigmoid(z - 1.0)
    positive = -((1 - shifted) ** 2) * math.log(shifted)
    negative = positive if corrects and p > threshold else -(p**2) * math.log(1 - p)
    return y * positive + (1 - y) * negative


def bce(z: float, y: float) -> float:
    p = sigmoid(z)
    return -y * math.log(p) - (1 - y) * math.log(1 - p)


def large_loss(z: Rows, y: Rows, share: float, corrects: bool) -> Rows:
    """The k absent entries of largest loss count 0, or as present ones."""
    losses = [
        [bce(a, b) if b >= 0 else 0.0 for a, b in zip(*r, strict=True)]
        for r in zip(z, y, strict=True)
    ]
    known = sum(b >= 0 for row in y for b in row)
    absent = [(i, j) for i, row in enumerate(y) for j, b in enumerate(row) if 0 <= b < 0.5]
    absent.sort(key=lambda place: -losses[place[0]][place[1]])
    for i, j in absent[: math.ceil(share * known)]:
        losses[i][j] = bce(z[i][j], 1 - y[i][j]) if corrects else 0.0
    return losses


def gr(z: float, y: float, progress: float, q2: float = 0.01, q3: float = 1.0) -> float:
    p = sigmoid(z)
    slope, mean = 2 * progress, 0.5 + 0.3 * progress
    deviation = 2.0 - 1.5 * progress
    belief = sigmoid(slope * p - 2.0)
    weight = math.exp(-0.5 * ((p - mean) / deviation) ** 2)
    absent = belief * (1 - p**q2) / q2 + (1 - belief) * (1 - (1 - p) ** q3) / q3
    return -y * math.log(p) + (1 - y) * weight * absent


def zlpr(z: list[float], y: list[float]) -> float:
    """Of one image."""
    absent = sum((1 - b) * math.exp(a) for a, b in zip(z, y, strict=True) if b >= 0)
    present = sum(b * math.exp(-a) for a, b in zip(z, y, strict=True) if b >= 0)
    return math.log(1 + absent) + math.log(1 + present)


def two_way(z: Rows, y: Rows, positive: float = 4.0, negative: float = 1.0) -> float:
    def one_way(rows: Rows, targets: Rows) -> float:
        found = []
        for logits, row in zip(rows, targets, strict=True):
            above = sum(
                (1 - b) * math.exp(a / negative) for a, b in zip(logits, row, strict=True) if b >= 0
            )
            below = sum(
                b * math.exp(-a / positive) for a, b in zip(logits, row, strict=True) if b >= 0
            )
            if not below:
                continue  # no label is present
            both = above**negative * below**positive if above else 0.0
            found.append(math.log(1 + both))
        return sum(found) / max(len(found), 1)

    return one_way(z, y) + one_way(list(zip(*z, strict=True)), list(zip(*y, strict=True)))  # type: ignore[arg-type]


def balanced(z: list[float], y: list[float], rates: list[float], gamma: float = 2.0) -> list[float]:
    """Of one image."""
    total = sum(b / f for b, f in zip(y, rates, strict=True) if b > 0)
    found = []
    for a, b, f in zip(z, y, rates, strict=True):
        weight = 0.1 + (sigmoid(10 * (1 / f / total - 0.2)) if total else 1.0)
        bias = 0.05 * math.log(1 / f - 1)
        p, n = sigmoid(a - bias), sigmoid(2 * (a - bias))
        positive = -((1 - p) ** gamma) * math.log(p)
        found.append(weight * (b * positive - (1 - b) * n**gamma * math.log(1 - n) / 2))
    return found


def ce(z: Rows, y: Rows) -> float:
    """As the document prints it: 1/N, no minus sign."""
    entries = [
        (1 - sigmoid(a)) * b * math.log(sigmoid(a))
        for row, targets in zip(z, y, strict=True)
        for a, b in zip(row, targets, strict=True)
        if b >= 0
    ]
    return sum(entries) / len(z)


def ce_well_posed(z: float, y: float) -> float:
    return abs(y - sigmoid(z)) * bce(z, y)


def snll(z: Rows, y: Rows) -> float:
    """As the document prints it: the softmax is over known labels, targets are not used."""
    total = 0.0
    for row, targets in zip(z, y, strict=True):
        known = [a for a, b in zip(row, targets, strict=True) if b >= 0]
        if len(known) < 2:
            continue
        whole = sum(math.exp(a) for a in known)
        for a in known:
            p = math.exp(a) / whole
            total += -sigmoid(a) * (math.log(p) + math.log(1 - p))
    return total
