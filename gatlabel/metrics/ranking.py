"""Average precision per label and its mean, in the three protocols used in papers."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from gatlabel.errors import unknown_choice
from gatlabel.metrics.counting_above import counts_at_least
from gatlabel.metrics.inputs import Array, check_scores, without_absence

# (C, P) precision at each positive, ascending by score; (C, P) positives ranked at or above it;
# (C, P) which cells are positives; the others are padding in front
Curve = Callable[[Tensor, Tensor, Tensor], Tensor]
_CELLS = 1 << 22  # scores sorted at once: 32 MB in float64
_LONG_ROW = 4096  # for rows of at least this many scores, sorting row by row is faster


def _uninterpolated(precision: Tensor, hits: Tensor, valid: Tensor) -> Tensor:
    return (precision * valid).sum(1) / valid.sum(1)


def _voc2010(precision: Tensor, hits: Tensor, valid: Tensor) -> Tensor:
    # ascending scores are descending recall: the running maximum is the best precision at this
    # recall or any higher one
    return _uninterpolated((precision * valid).cummax(1).values, hits, valid)


def _voc2007(precision: Tensor, hits: Tensor, valid: Tensor) -> Tensor:
    positives = valid.sum(1, keepdim=True)
    total = torch.zeros_like(precision[:, :1])
    for tenth in range(11):
        # recall >= tenth / 10, in integers, as 3 / 10 must reach 0.3
        reached = valid & (10 * hits >= tenth * positives)
        total += (precision * reached).amax(1, keepdim=True)
    return (total / 11 / (positives > 0)).squeeze(1)  # 0 / 0: NaN without positives


AP_PROTOCOLS: dict[str, Curve] = {
    "uninterpolated": _uninterpolated,
    "voc2007": _voc2007,
    "voc2010": _voc2010,
}


def average_precision(
    scores: Array,
    targets: Array,
    protocol: str = "uninterpolated",
    *,
    labels: Sequence[str] | None = None,
) -> Tensor:
    r"""Computes the average precision of each label.

    With :math:`P(s)` and :math:`R(s)` the precision and recall of "score ≥ s". Tied scores share
    one threshold, as in scikit-learn, since any order among them would be arbitrary.

    - ``uninterpolated``: the mean of :math:`P` at each positive, :math:`\sum_s (R_s - R_{s-1})
      P_s`, as in scikit-learn and nearly all multi-label papers;
    - ``voc2010``: the area under the envelope :math:`\max_{R(s') \ge R} P(s')`, as in the devkits
      of PASCAL VOC 2010 to 2012;
    - ``voc2007``: the mean of that envelope at the recalls 0, 0.1, …, 1, as in the devkits up to
      2009 (Everingham et al., IJCV 2010, equations 1 and 2).

    Args:
        scores: ``(N, L)``; only their order within a label matters. Pass logits, as float32
            probabilities of confident predictions tie at 1.
        targets: ``(N, L)`` of 1, 0, and -1 for unknown, which is ignored.
        protocol: ``"uninterpolated"``, ``"voc2007"`` or ``"voc2010"``.
        labels: The L names, for error messages.

    Returns:
        float64 ``(L,)`` in (0, 1]; NaN for labels without positives, whose AP is undefined. It is 1
        for labels without a known absence, whatever the scores: see
        :func:`mean_average_precision`.

    Raises:
        InputError: If shapes differ, a score is NaN, a target is not 1, 0 or -1, or there is
            no such protocol.

    Example:
        >>> scores = torch.tensor([[0.9, 2.0], [0.8, 1.0], [0.1, 0.0]])
        >>> targets = torch.tensor([[1, 0], [0, 0], [1, -1]])
        >>> average_precision(scores, targets)
        tensor([0.8333,    nan], dtype=torch.float64)
    """
    if protocol not in AP_PROTOCOLS:
        raise unknown_choice("AP protocol", protocol, AP_PROTOCOLS)
    score, target = check_scores(scores, targets, labels)
    images, label_count = score.shape
    result = torch.full((label_count,), math.nan, dtype=torch.float64, device=score.device)
    step = max(1, _CELLS // max(images, 1))
    for start in range(0, label_count, step):
        chunk = slice(start, start + step)
        # copies that make a label's cells contiguous, the order in which every step reads them
        rows = score[:, chunk].T.clone(memory_format=torch.contiguous_format)
        marks = target[:, chunk].T.contiguous()
        for alike in _alike((marks == 1).sum(1)):
            curve = _precision_at_positives(rows[alike], marks[alike])
            result[start + alike] = AP_PROTOCOLS[protocol](*curve)
    return result


def _alike(count: Tensor) -> list[Tensor]:
    """Groups rows with similar numbers of positives, as rows are padded to the largest number."""
    groups: list[list[int]] = []
    most = -1
    values = count.tolist()
    for row in sorted(range(len(values)), key=values.__getitem__):
        if values[row] > most:
            groups.append([])
            most = 2 * values[row] + 64
        groups[-1].append(row)
    return [torch.tensor(group, device=count.device) for group in groups]


def _precision_at_positives(score: Tensor, target: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Computes precision and hits at the threshold of each positive, ascending by score.

    Args:
        score: ``(C, N)``, one row per label; overwritten.
        target: ``(C, N)`` of 1, 0, -1.

    Returns:
        Precision float64 ``(C, P)``, hits int64 ``(C, P)``, validity bool ``(C, P)``, with P the
        largest number of positives of a label; rows with fewer are padded in front.
    """
    known = target != -1
    positive = target == 1
    count = positive.count_nonzero(1)  # (C,)
    width = max(1, int(count.max()))  # at least one column, possibly padding
    positives = _positives(score, positive, count, width)
    ranked = _ranked(score, known, positives, count)
    index = torch.arange(width, device=score.device)
    # a positive's hits include all positives that tie with it; padding ties with -inf
    first = torch.where(positives[:, 1:] != positives[:, :-1], index[1:], 0).cummax(1).values
    hits = width - torch.cat([first.new_zeros(len(first), 1), first], 1)
    hits = torch.minimum(hits, count[:, None])
    valid = index >= width - count[:, None]
    precision = hits.double() / ranked.clamp(min=1)
    return precision, hits, valid


def _positives(score: Tensor, positive: Tensor, count: Tensor, width: int) -> Tensor:
    """Returns the scores of positives, ascending, padded with -inf in front, ``(C, width)``."""
    found = score.new_full((len(score), width), -math.inf)
    if score.device.type == "cpu" and score.shape[1] >= _LONG_ROW:
        for label, have in enumerate(count.tolist()):
            own = score[label].numpy()[positive[label].numpy()]
            own.sort()
            found[label, width - have :] = torch.from_numpy(own)
        return found
    row, column = positive.nonzero(as_tuple=True)  # sorted by row
    offset = count.cumsum(0) - count
    place = torch.arange(len(row), device=score.device) - offset[row]
    found[row, width - 1 - place] = score[row, column]
    return _sorted(found)  # padding is lowest, so it stays in front


def _ranked(score: Tensor, known: Tensor, positives: Tensor, count: Tensor) -> Tensor:
    """Counts, for each positive, the known cells of its label that score at least as much.

    Args:
        score: ``(C, N)``; overwritten.
        known: bool ``(C, N)``.
        positives: ``(C, P)``, ascending, padded in front.
        count: int64 ``(C,)``: number of entries per row of ``positives`` that are not padding.

    Returns:
        int64 ``(C, P)``; undefined at the padding.
    """
    every_known = known.count_nonzero(1)  # (C,)
    width = positives.shape[1]
    ranked = torch.zeros(positives.shape, dtype=torch.int64, device=score.device)
    left = list(range(len(score)))  # rows that need the sort
    if score.device.type == "cpu":
        left = []
        for row, (have, of) in enumerate(zip(count.tolist(), every_known.tolist(), strict=True)):
            cells = score[row] if of == score.shape[1] else score[row, known[row]]
            counted = counts_at_least(cells.numpy(), positives[row, width - have :].numpy())
            if counted is not None:
                ranked[row, width - have :] = torch.from_numpy(counted)
            elif have:
                left.append(row)
    if left:
        rows = score if len(left) == len(score) else score[left]
        everything = _sorted(rows.masked_fill_(~known[left], -math.inf))
        reached = score.shape[1] - torch.searchsorted(everything, positives[left])
        # -inf counts unknown cells too, hence the bound
        ranked[left] = torch.minimum(reached, every_known[left, None])
    return ranked


def _sorted(rows: Tensor) -> Tensor:
    """Sorts each row, ascending; positions are not needed."""
    if rows.device.type == "cpu":
        # torch also sorts positions; NumPy sorts values only, vectorised, in a third of the time
        rows.numpy().sort(axis=1)
        return rows
    return rows.sort(1).values.contiguous()


@dataclass(frozen=True)
class MeanAPResult:
    """Mean average precision, and which labels it averages.

    Attributes:
        value: The mean over labels with a positive and a known absence, 0 to 1; NaN if there is no
            such label.
        per_label: float64 ``(L,)``, NaN for excluded labels.
        left_out: Labels without positives, excluded from the mean: names, or positions as text if
            no names were given.
        protocol: ``"uninterpolated"``, ``"voc2007"`` or ``"voc2010"``.
        never_absent: Labels with a positive and without a known absence, excluded as well.
    """

    value: float
    per_label: Tensor
    left_out: tuple[str, ...]
    protocol: str
    never_absent: tuple[str, ...] = ()

    def __str__(self) -> str:
        scored = len(self.per_label) - len(self.left_out) - len(self.never_absent)
        text = f"mAP {self.value:.4f} ({self.protocol}, mean over {scored} labels"
        if self.left_out:
            text += f"; without positives: {', '.join(self.left_out)}"
        if self.never_absent:
            text += f"; without a known absence: {', '.join(self.never_absent)}"
        return f"{text})"


def mean_average_precision(
    scores: Array,
    targets: Array,
    protocol: str = "uninterpolated",
    *,
    labels: Sequence[str] | None = None,
) -> MeanAPResult:
    """Averages :func:`average_precision` over the labels with positives.

    Labels that are never known to be absent are excluded too: their average precision is 1 for all
    scores.

    Args:
        scores: ``(N, L)``, preferably logits.
        targets: ``(N, L)`` of 1, 0, -1.
        protocol: ``"uninterpolated"``, ``"voc2007"`` or ``"voc2010"``.
        labels: The L names, to list excluded labels by name.

    Raises:
        InputError: As :func:`average_precision`.

    Example:
        >>> targets = torch.tensor([[1, 0], [0, 0], [1, 0]])
        >>> print(mean_average_precision(torch.eye(3)[:, :2], targets, labels=["cat", "yak"]))
        mAP 0.8333 (uninterpolated, mean over 1 labels; without positives: yak)
    """
    per_label = average_precision(scores, targets, protocol, labels=labels)
    one_sided = without_absence(check_scores(scores, targets, labels)[1])
    never = per_label.isnan()
    per_label = per_label.masked_fill(one_sided, math.nan)
    names = [str(k) for k in range(len(per_label))] if labels is None else list(labels)
    left_out, never_absent = (
        tuple(name for name, chosen in zip(names, which.tolist(), strict=True) if chosen)
        for which in (never, one_sided)
    )
    value = float(per_label[~per_label.isnan()].mean())
    return MeanAPResult(value, per_label, left_out, protocol, never_absent)
