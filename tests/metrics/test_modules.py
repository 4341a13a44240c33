import copy
import pickle

import pytest
import torch

import gatlabel.metrics
from gatlabel.errors import InputError
from gatlabel.metrics import (
    AveragePrecision,
    F1Scores,
    MeanAveragePrecision,
    MultiLabelReport,
    average_precision,
    evaluate_scores,
    f1_scores,
    mean_average_precision,
)

LOGITS = torch.randn(40, 5, generator=torch.Generator().manual_seed(1))
TARGETS = torch.randint(-1, 2, (40, 5), generator=torch.Generator().manual_seed(2))


def fed(metric):
    for logits, targets in zip(LOGITS.split(9), TARGETS.split(9), strict=True):
        metric.update(logits, targets)
    return metric.compute()


@pytest.mark.parametrize("protocol", ["uninterpolated", "voc2007", "voc2010"])
def test_average_precision_of_batches_is_that_of_all(protocol):
    expected = average_precision(LOGITS, TARGETS, protocol)
    torch.testing.assert_close(fed(AveragePrecision(5, protocol)), expected, atol=0, rtol=0)
    mean = mean_average_precision(LOGITS, TARGETS, protocol).value
    assert fed(MeanAveragePrecision(5, protocol)).item() == mean


@pytest.mark.parametrize("options", [{}, {"k": 2}, {"k": 2, "top_k": "plain"}, {"threshold": 0.7}])
def test_f1_of_batches_is_that_of_all(options):
    metric = F1Scores(5, **options)
    values = fed(metric)
    expected = f1_scores(LOGITS, TARGETS, logits=True, **options)
    assert {name: value.item() for name, value in values.items()} == expected.as_dict()
    assert metric.result().rule == expected.rule
    torch.testing.assert_close(metric.result().f1, expected.f1)


def test_report_of_batches_is_that_of_all():
    labels = list("abcde")
    expected = evaluate_scores(LOGITS, TARGETS, labels)
    metric = MultiLabelReport(labels)
    assert {name: value.item() for name, value in fed(metric).items()} == expected.metrics
    assert metric.report().protocol == expected.protocol


def test_a_batch_inside_0_to_1_changes_nothing():
    # torchmetrics' own class decides batch by batch whether to apply a sigmoid
    logits = torch.cat([LOGITS[:9].sigmoid(), LOGITS[9:]])
    metric = MeanAveragePrecision(5)
    metric.update(logits[:9], TARGETS[:9])
    metric.update(logits[9:], TARGETS[9:])
    assert metric.compute().item() == mean_average_precision(logits, TARGETS).value


def test_reset_forgets():
    for metric in (MeanAveragePrecision(5), F1Scores(5)):
        fed(metric)
        metric.reset()
        with pytest.warns(UserWarning, match="before the ``update``"):
            value = metric.compute()
        number = value["OF1"] if isinstance(value, dict) else value
        assert number.isnan()


def test_copies_and_pickles():
    metric = F1Scores(5)
    fed(metric)
    for twin in (copy.deepcopy(metric), pickle.loads(pickle.dumps(metric))):
        assert twin.compute() == metric.compute()


def test_states_merge_as_across_processes():
    states = []
    for part in (slice(0, 15), slice(15, 40)):
        metric = F1Scores(5)
        metric.update(LOGITS[part], TARGETS[part])
        states.append(metric.counts)
    whole = F1Scores(5)
    whole.update(LOGITS, TARGETS)
    torch.testing.assert_close(sum(states), whole.counts)


def test_unknown_protocol_is_refused_at_once():
    with pytest.raises(InputError, match="unknown AP protocol"):
        MeanAveragePrecision(5, "coco")


def test_unknown_attribute():
    with pytest.raises(AttributeError, match="no attribute 'Accuracy'"):
        gatlabel.metrics.Accuracy  # noqa: B018
