import math

import numpy as np
import pytest
import torch

from gatlabel.errors import InputError
from gatlabel.metrics import average_precision, mean_average_precision
from gatlabel.metrics.ranking import _LONG_ROW
from tests.reference import metrics as reference

PROTOCOLS = ["uninterpolated", "voc2007", "voc2010"]


def example(n=60, labels=7, tied=False, unknown=0.2, seed=0):
    rng = np.random.default_rng(seed)
    scores = rng.integers(-3, 4, (n, labels)) if tied else rng.normal(size=(n, labels))
    targets = (rng.random((n, labels)) < rng.random(labels)).astype(int)
    targets[rng.random((n, labels)) < unknown] = -1
    return scores.astype(float), targets


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("seed", range(4))
def test_equals_the_slow_definition(protocol, tied, seed):
    scores, targets = example(tied=tied, seed=seed)
    expected = reference.average_precision(scores, targets, protocol)
    result = average_precision(scores, targets, protocol)
    assert result.dtype == torch.float64
    np.testing.assert_allclose(result.numpy(), expected, atol=1e-12)


@pytest.mark.parametrize("tied", [False, True])
def test_equals_scikit_learn(tied):
    sklearn = pytest.importorskip("sklearn.metrics")
    scores, targets = example(n=500, labels=20, tied=tied)
    for column, value in enumerate(average_precision(scores, targets)):
        known = targets[:, column] != -1
        if not (targets[:, column] == 1).any():
            continue  # scikit-learn warns and returns 0
        expected = sklearn.average_precision_score(targets[known, column], scores[known, column])
        assert float(value) == pytest.approx(expected, abs=1e-12)


def test_equals_torchmetrics_where_that_is_right():
    from torchmetrics.functional.classification import multilabel_average_precision

    scores, targets = example(n=300, labels=9, unknown=0)
    probabilities = torch.from_numpy(scores).sigmoid()  # in 0..1, no label without positive
    expected = multilabel_average_precision(
        probabilities, torch.from_numpy(targets), num_labels=9, average=None
    )
    torch.testing.assert_close(
        average_precision(probabilities, targets), expected.double(), atol=1e-6, rtol=0
    )


def test_golden_values_by_hand():
    # order: + - + -, so precision 1, 1/2, 2/3, 1/2 at recall 1/2, 1/2, 1, 1
    scores = torch.tensor([[4.0], [3.0], [2.0], [1.0]])
    targets = torch.tensor([[1], [0], [1], [0]])
    assert float(average_precision(scores, targets)) == pytest.approx((1 + 2 / 3) / 2)
    assert float(average_precision(scores, targets, "voc2010")) == pytest.approx((1 + 2 / 3) / 2)
    # recalls 0, .1, …, .5 reach precision 1; .6 to 1 reach 2/3
    assert float(average_precision(scores, targets, "voc2007")) == pytest.approx(
        (6 + 5 * 2 / 3) / 11
    )


def test_all_scores_equal_gives_the_frequency():
    targets = torch.tensor([[1], [0], [0], [1], [0]])
    for protocol in PROTOCOLS:
        value = average_precision(torch.zeros(5, 1), targets, protocol)
        assert float(value) == pytest.approx(0.4)


def test_eleven_points_compare_recall_exactly():
    # 10 positives, the 3rd at rank 3: recall 3/10 must count for the point 0.3
    targets = torch.tensor([1, 1, 1, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1])[:, None]
    scores = -torch.arange(13.0)[:, None]
    expected = (4 * 1.0 + 7 * (10 / 13)) / 11
    assert float(average_precision(scores, targets, "voc2007")) == pytest.approx(expected)


def test_label_without_positive_is_nan_and_listed():
    scores, targets = example(unknown=0)
    targets[:, 2] = 0
    targets[:, 4] = -1
    result = mean_average_precision(scores, targets, labels=list("abcdefg"))
    assert result.left_out == ("c", "e")
    assert math.isnan(result.per_label[2])
    assert math.isnan(result.per_label[4])
    assert result.value == pytest.approx(np.nanmean(result.per_label.numpy()), abs=1e-12)
    assert "uninterpolated" in str(result)
    assert "c, e" in str(result)


def test_no_positive_anywhere_is_nan_in_every_protocol():
    for protocol in PROTOCOLS:
        result = mean_average_precision(torch.zeros(3, 2), torch.zeros(3, 2), protocol)
        assert math.isnan(result.value)
        assert result.left_out == ("0", "1")


def test_no_images_at_all():
    result = mean_average_precision(torch.zeros(0, 2), torch.zeros(0, 2))
    assert math.isnan(result.value)


def test_infinite_scores_rank():
    scores = torch.tensor([[math.inf], [0.0], [-math.inf], [-math.inf], [5.0]])
    targets = torch.tensor([[1], [0], [1], [0], [-1]])
    expected = reference.uninterpolated(scores[:, 0].tolist(), targets[:, 0].tolist())
    assert float(average_precision(scores, targets)) == pytest.approx(expected, abs=1e-12)


def test_large_float32_logits_do_not_tie():
    logits = torch.tensor([[30.0], [25.0], [20.0]])  # all 1.0 after a float32 sigmoid
    assert float(average_precision(logits, torch.tensor([[1], [0], [0]]))) == 1.0
    assert len(logits.sigmoid().unique()) == 1


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.int64])
def test_every_score_type(dtype):
    scores, targets = example(tied=True)
    given = torch.from_numpy(scores).to(dtype)
    torch.testing.assert_close(
        average_precision(given, targets), average_precision(scores, targets), equal_nan=True
    )


def test_chunks_of_labels_change_nothing(monkeypatch):
    scores, targets = example(labels=11, tied=True)
    whole = average_precision(scores, targets, "voc2010")
    monkeypatch.setattr("gatlabel.metrics.ranking._CELLS", 3 * len(scores))
    chunked = average_precision(scores, targets, "voc2010")
    torch.testing.assert_close(chunked, whole, equal_nan=True)


def test_nan_score_is_refused_by_row_and_label():
    scores = torch.zeros(3, 2)
    scores[2, 1] = math.nan
    with pytest.raises(InputError, match="row 2, label 'dog' is NaN"):
        average_precision(scores, torch.ones(3, 2), labels=["cat", "dog"])


@pytest.mark.parametrize(
    ("scores", "targets", "message"),
    [
        (torch.zeros(3, 2), torch.zeros(2, 3), r"scores \(3, 2\) and targets \(2, 3\)"),
        (torch.zeros(3), torch.zeros(3), "must both be"),
        (torch.zeros(1, 2), torch.tensor([[0, 0.5]]), "row 0, label 1 is 0.5"),
        (torch.zeros(1, 1), torch.tensor([[2]]), "row 0, label 0 is 2"),
        (torch.zeros(1, 1), torch.tensor([[math.nan]]), "row 0, label 0 is nan"),
    ],
)
def test_bad_input_is_refused(scores, targets, message):
    with pytest.raises(InputError, match=message):
        average_precision(scores, targets)


def test_unknown_protocol_names_the_nearest():
    with pytest.raises(InputError, match="did you mean 'voc2010'"):
        average_precision(torch.zeros(1, 1), torch.zeros(1, 1), "voc2011")


def test_arguments_are_left_alone():
    scores, targets = example()
    before = scores.copy(), targets.copy()
    average_precision(scores, targets)
    np.testing.assert_array_equal(scores, before[0])
    np.testing.assert_array_equal(targets, before[1])


@pytest.mark.gpu
def test_same_on_cuda():
    scores, targets = example(n=400)
    result = average_precision(torch.from_numpy(scores).cuda(), torch.from_numpy(targets).cuda())
    torch.testing.assert_close(result.cpu(), average_precision(scores, targets), equal_nan=True)


@pytest.mark.parametrize("images", [_LONG_ROW - 1, _LONG_ROW])
def test_long_rows_are_scikit_learns_too(images: int) -> None:
    """Rows are taken one at a time from some length on, with ties, unknowns and empty labels."""
    sklearn = pytest.importorskip("sklearn.metrics")
    generator = torch.Generator().manual_seed(0)
    scores = torch.rand(images, 4, generator=generator).mul(50).round()
    rates = torch.tensor([0.3, 0.02, 0.0, 1.0])
    targets = (torch.rand(images, 4, generator=generator) < rates).int()
    targets[torch.rand(images, 4, generator=generator) < 0.1] = -1
    before = scores.clone()
    found = average_precision(scores, targets)
    assert torch.equal(scores, before)
    for label in (0, 1, 3):
        known = targets[:, label] != -1
        wanted = sklearn.average_precision_score(targets[known, label], scores[known, label])
        assert float(found[label]) == pytest.approx(wanted, abs=1e-12)
    assert found[2].isnan()


def test_labels_that_are_never_absent_are_in_no_mean() -> None:
    scores = torch.tensor([[0.9, 0.1, 0.3], [0.5, 0.2, 0.4], [0.7, 0.3, 0.5]])
    targets = torch.tensor([[1, 1, 0], [0, -1, 0], [1, 1, 0]])
    result = mean_average_precision(scores, targets, labels=["cat", "dog", "yak"])
    assert (result.left_out, result.never_absent) == (("yak",), ("dog",))
    assert result.value == result.per_label[0] == 1
    assert str(result).endswith(
        "mean over 1 labels; without positives: yak; without a known absence: dog)"
    )
    assert result.per_label.isnan().tolist() == [False, True, True]
    assert average_precision(scores, targets)[1] == 1  # by its definition
