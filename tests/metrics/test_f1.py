import math

import numpy as np
import pytest
import torch

from gatlabel.errors import InputError
from gatlabel.metrics import f1_scores
from tests.reference import metrics as reference


def example(seed=0, n=40, labels=6, unknown=0.2):
    rng = np.random.default_rng(seed)
    probabilities = rng.random((n, labels)).round(2)  # rounded: ties, and some at the threshold
    targets = (rng.random((n, labels)) < 0.4).astype(int)
    targets[rng.random((n, labels)) < unknown] = -1
    return probabilities, targets


@pytest.mark.parametrize(("k", "rule"), [(None, "thresholded"), (3, "thresholded"), (3, "plain")])
@pytest.mark.parametrize("seed", range(3))
def test_equals_the_slow_definition(k, rule, seed):
    scores, targets = example(seed)
    targets[:, 1] = np.minimum(targets[:, 1], 0)  # a label without positives
    expected = reference.f1(scores, targets, 0.6, k, rule == "plain")
    result = f1_scores(scores, targets, 0.6, k=k, top_k=rule).as_dict()
    assert result == pytest.approx(expected, abs=1e-12)


def test_equals_scikit_learn():
    sklearn = pytest.importorskip("sklearn.metrics")
    scores, targets = example(unknown=0)
    chosen = scores >= 0.5
    result = f1_scores(scores, targets)
    for average, values in (
        ("macro", (result.cp, result.cr, result.macro_f1)),
        ("micro", (result.op, result.orec, result.of1)),
    ):
        expected = sklearn.precision_recall_fscore_support(
            targets, chosen, average=average, zero_division=0
        )[:3]
        assert values == pytest.approx(expected, abs=1e-12)
    per_label = sklearn.precision_recall_fscore_support(targets, chosen, average=None)[:3]
    for ours, theirs in zip((result.precision, result.recall, result.f1), per_label, strict=True):
        np.testing.assert_allclose(ours.numpy(), theirs, atol=1e-12)


def test_cf1_is_not_the_mean_of_f1():
    # label 0: precision 1, recall 1/2; label 1: precision 1/2, recall 1
    scores = np.array([[1, 1], [0, 1]])
    targets = np.array([[1, 1], [1, 0]])
    result = f1_scores(scores, targets)
    assert (result.cp, result.cr, result.cf1) == (0.75, 0.75, 0.75)
    assert result.macro_f1 == pytest.approx(2 / 3)


def test_logits_and_probabilities_give_the_same_decisions():
    scores, targets = example()
    probabilities = torch.from_numpy(scores).clamp(0.005, 0.995)
    for threshold in (0.3, 0.5, torch.linspace(0.1, 0.9, 6)):
        a = f1_scores(probabilities, targets, threshold)
        b = f1_scores(probabilities.logit(), targets, threshold, logits=True)
        # at p == threshold exactly, rounding of the logit may decide either way
        close = (probabilities - torch.as_tensor(threshold)).abs() < 1e-9
        if not close.any():
            assert a.as_dict() == b.as_dict()
    zero = f1_scores(torch.zeros(1, 1), torch.ones(1, 1), logits=True)
    assert zero.of1 == 1  # logit 0 is p = 0.5, and >= counts


def test_sure_logits_meet_sure_thresholds():
    logits = torch.tensor([[20.0], [30.0]])  # float32 sigmoid: both 1.0
    targets = torch.tensor([[0], [1]])
    threshold = 1 - 1e-11
    assert f1_scores(logits, targets, threshold, logits=True).of1 == 1


def test_threshold_of_each_label():
    scores = np.array([[0.3, 0.3]])
    targets = np.array([[1, 1]])
    assert f1_scores(scores, targets, torch.tensor([0.2, 0.4])).recall.tolist() == [1, 0]


def test_unknown_takes_no_place_among_the_best():
    scores = torch.tensor([[0.9, 0.8, 0.7]])
    targets = torch.tensor([[-1, 1, 0]])
    assert f1_scores(scores, targets, k=1, top_k="plain").of1 == 1


def test_top_k_conventions_differ_below_the_threshold():
    scores = torch.tensor([[0.4, 0.3, 0.1]])
    targets = torch.tensor([[1, 1, 0]])
    assert f1_scores(scores, targets, k=2, top_k="thresholded").orec == 0
    assert f1_scores(scores, targets, k=2, top_k="plain").orec == 1


def test_k_above_the_number_of_labels_takes_all():
    scores, targets = example()
    assert f1_scores(scores, targets, k=99).as_dict() == f1_scores(scores, targets).as_dict()


def test_label_never_predicted_counts_with_precision_zero():
    result = f1_scores(np.array([[1, 0], [1, 0]]), np.array([[1, 1], [1, 0]]))
    assert result.cp == 0.5
    assert math.isnan(result.precision[1])


def test_false_alarms_for_a_label_without_positives_count_pooled():
    result = f1_scores(np.array([[1, 1]]), np.array([[1, 0]]))
    assert (result.cp, result.op) == (1.0, 0.5)
    assert math.isnan(result.f1[1])


def test_nothing_positive_is_nan():
    result = f1_scores(np.zeros((2, 2)), np.zeros((2, 2)))
    assert all(math.isnan(value) for value in result.as_dict().values())


def test_rule_in_words():
    scores, targets = example()
    assert f1_scores(scores, targets, k=3).rule == "top 3 and p >= 0.5"
    assert f1_scores(scores, targets, k=3, top_k="plain").rule == "top 3"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"threshold": 1.5}, "must be a probability"),
        ({"threshold": math.nan}, "must be a probability"),
        ({"threshold": torch.zeros(3)}, "expected one value or 2"),
        ({"k": 0}, "at least 1"),
        ({"k": 1, "top_k": "thresholdet"}, "did you mean 'thresholded'"),
    ],
)
def test_bad_options_are_refused(options, message):
    with pytest.raises(InputError, match=message):
        f1_scores(torch.zeros(1, 2), torch.ones(1, 2), **options)


def test_logits_without_saying_so_are_refused():
    with pytest.raises(InputError, match="logits=True"):
        f1_scores(torch.tensor([[2.0, -1.0]]), torch.ones(1, 2))
