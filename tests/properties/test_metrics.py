"""Properties of every metric for any values."""

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from gatlabel.metrics import F1Scores, MeanAveragePrecision, average_precision, f1_scores
from tests.reference import metrics as reference

PROTOCOLS = st.sampled_from(["uninterpolated", "voc2007", "voc2010"])


@st.composite
def predictions(draw):
    shape = draw(st.tuples(st.integers(1, 12), st.integers(1, 4)))
    scores = draw(arrays.arrays(np.float64, shape, elements=st.integers(-4, 4).map(float)))
    targets = draw(arrays.arrays(np.int64, shape, elements=st.sampled_from([-1, 0, 1])))
    return scores, targets


def same(a, b):
    torch.testing.assert_close(a, b, atol=1e-12, rtol=0, equal_nan=True)


@settings(max_examples=60, deadline=None)
@given(predictions(), PROTOCOLS)
def test_is_the_slow_definition(data, protocol):
    expected = reference.average_precision(*data, protocol)
    same(average_precision(*data, protocol), torch.from_numpy(expected))


@settings(max_examples=40, deadline=None)
@given(predictions(), PROTOCOLS)
def test_monotone_maps_change_nothing(data, protocol):
    scores, targets = data
    expected = average_precision(scores, targets, protocol)
    same(average_precision(np.exp(scores) - 7, targets, protocol), expected)
    same(average_precision(scores * 1e6 + 3, targets, protocol), expected)


@settings(max_examples=40, deadline=None)
@given(predictions(), PROTOCOLS, st.randoms(use_true_random=False))
def test_order_of_images_and_labels_changes_nothing(data, protocol, random):
    scores, targets = data
    rows, columns = list(range(scores.shape[0])), list(range(scores.shape[1]))
    random.shuffle(rows)
    random.shuffle(columns)
    moved = scores[rows][:, columns], targets[rows][:, columns]
    expected = average_precision(scores, targets, protocol)[columns]
    same(average_precision(*moved, protocol), expected)
    same(f1_scores(*moved, logits=True).f1, f1_scores(*data, logits=True).f1[columns])


@settings(max_examples=40, deadline=None)
@given(predictions(), PROTOCOLS, st.floats(-1e9, 1e9), st.sampled_from([None, 1, 2]))
def test_unknown_entries_change_nothing(data, protocol, other, k):
    scores, targets = data
    changed = np.where(targets == -1, other, scores)
    same(average_precision(changed, targets, protocol), average_precision(*data, protocol))
    same(f1_scores(changed, targets, logits=True, k=k).f1, f1_scores(*data, logits=True, k=k).f1)


@settings(max_examples=25, deadline=None)
@given(predictions(), st.integers(1, 12))
def test_one_batch_is_many_batches(data, size):
    scores, targets = (torch.from_numpy(part) for part in data)
    mean, f1 = MeanAveragePrecision(scores.shape[1]), F1Scores(scores.shape[1])
    for batch in zip(scores.split(size), targets.split(size), strict=True):
        mean.update(*batch)
        f1.update(*batch)
    ap = average_precision(scores, targets)
    same(mean.compute(), ap[(targets == 0).any(0)].nanmean())  # else 1 whatever the scores
    same(f1.result().f1, f1_scores(scores, targets, logits=True).f1)


@settings(max_examples=40, deadline=None)
@given(predictions())
def test_protocols_are_ordered_and_bounded(data):
    raw = average_precision(*data)
    smooth = average_precision(*data, "voc2010")
    valid = ~raw.isnan()
    assert bool((smooth[valid] >= raw[valid] - 1e-12).all())
    assert bool(((raw[valid] > 0) & (smooth[valid] <= 1 + 1e-12)).all())
