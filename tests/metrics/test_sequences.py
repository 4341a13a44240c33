"""Metrics of label sequences against slow definitions."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gatlabel.errors import InputError
from gatlabel.metrics import edit_distance, sequence_metrics

SEQUENCE = st.lists(st.integers(0, 4), max_size=5, unique=True)


def distance(one: list[int], other: list[int]) -> int:
    """By recursion on the first labels."""
    if not one or not other:
        return len(one) + len(other)
    if one[0] == other[0]:
        return distance(one[1:], other[1:])
    return 1 + min(distance(one[1:], other), distance(one, other[1:]), distance(one[1:], other[1:]))


def padded(rows: list[list[int]], width: int, end: int | None = None) -> torch.Tensor:
    ends = [] if end is None else [end]
    return torch.tensor([[*row, *ends, *[-1] * width][:width] for row in rows])


@given(st.lists(st.tuples(SEQUENCE, SEQUENCE), min_size=1, max_size=4))
def test_distances_are_those_of_the_recursion(pairs: list[tuple[list[int], list[int]]]) -> None:
    ours, theirs = (padded(list(rows), 6) for rows in zip(*pairs, strict=True))
    expected = [distance(*pair) for pair in pairs]
    assert edit_distance(ours, theirs).tolist() == expected


@given(st.lists(st.tuples(SEQUENCE, SEQUENCE, SEQUENCE), min_size=1, max_size=4))
def test_figures_are_those_of_the_definition(rows: list[tuple[list[int], ...]]) -> None:
    ours, theirs, unknown = (list(each) for each in zip(*rows, strict=True))
    marks = torch.tensor([[k in row for k in range(5)] for row in unknown])
    found = sequence_metrics(padded(ours, 5, end=5), padded(theirs, 6, end=5), 5, marks)
    kept = [
        ([k for k in one if k not in without], [k for k in other if k not in without])
        for one, other, without in rows
    ]
    f1 = [
        2 * len({*one} & {*other}) / (len(one) + len(other)) if one or other else 1.0
        for one, other in kept
    ]
    count = len(rows)
    assert found["exact_match"] == pytest.approx(sum(a == b for a, b in kept) / count)
    assert found["exact_set"] == pytest.approx(sum({*a} == {*b} for a, b in kept) / count)
    assert found["set_F1"] == pytest.approx(sum(f1) / count)
    assert found["edit_distance"] == pytest.approx(sum(distance(*pair) for pair in kept) / count)


def test_without_images_nothing_is_defined() -> None:
    none = torch.zeros(0, 3, dtype=torch.int64)
    assert all(math.isnan(value) for value in sequence_metrics(none, none, 4).values())
    with pytest.raises(InputError, match="one row per image"):
        sequence_metrics(none, torch.zeros(2, 3, dtype=torch.int64), 4)
