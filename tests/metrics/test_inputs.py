"""Inputs of metrics: any precision and memory layout, and values that are not numbers."""

import numpy as np
import pytest
import torch

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
from gatlabel.metrics.inputs import harden

NAMES = ["a", "b", "c"]
FLOATS = [torch.float16, torch.bfloat16, torch.float32, torch.float64]
TENTHS = [k / 10 for k in range(1, 10)]


def example(n: int = 30) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.random((n, 3)).round(2), rng.integers(-1, 2, (n, 3))


@pytest.mark.parametrize("dtype", FLOATS)
def test_a_score_at_the_threshold_reaches_it_in_every_precision(dtype: torch.dtype) -> None:
    """0.1 is below 0.1 in float16, 0.7 in bfloat16: the threshold is rounded as the score is."""
    for tenth in TENTHS:
        score = torch.tensor([[tenth], [0.0]], dtype=torch.float64).to(dtype)
        one = torch.tensor([[1.0], [0.0]])  # a label that is never absent has no figures
        assert f1_scores(score, one, tenth).orec == 1, tenth
        assert f1_scores(score, one, torch.tensor([tenth], dtype=torch.float64)).orec == 1
        logit = torch.tensor([[tenth], [1e-9]], dtype=torch.float64).logit().to(dtype)
        assert f1_scores(logit, one, tenth, logits=True).orec == 1, tenth
        assert evaluate_scores(logit, one, ["a"], threshold=tenth).metrics["OR"] == 1
        assert evaluate_scores(logit, one, ["a"], threshold=tenth).metrics["hamming_loss"] == 0
        metric = F1Scores(1, tenth)
        metric.update(logit, one)
        assert metric.result().orec == 1
        report = MultiLabelReport(["a"], tenth)
        report.update(logit, one)
        assert report.report().metrics["OR"] == 1


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_decides_as_the_comparison_of_torch(dtype: torch.dtype) -> None:
    scores = torch.linspace(0, 1, 2001).to(dtype)[:, None]
    for tenth in TENTHS:
        found = f1_scores(scores, torch.ones_like(scores), tenth).orec * len(scores)
        assert round(found) == int((scores >= tenth).sum())


@pytest.mark.parametrize("dtype", FLOATS)
def test_half_precision_is_ranked_by_its_exact_values(dtype: torch.dtype) -> None:
    scores, targets = example()
    given = torch.from_numpy(scores).to(dtype)
    expected = average_precision(given.double(), targets)
    torch.testing.assert_close(average_precision(given, targets), expected, rtol=0, atol=0)
    metric = AveragePrecision(3)
    metric.update(given, torch.from_numpy(targets))
    torch.testing.assert_close(metric.compute(), expected, rtol=0, atol=0)


LAYOUTS = {
    "reversed": lambda x: x[::-1].copy()[::-1],
    "byte-swapped": lambda x: x.astype(x.dtype.newbyteorder(">")),
    "by columns": np.asfortranarray,
    "every second": lambda x: np.repeat(x, 2, axis=0)[::2],
    "lists": lambda x: x.tolist(),
    "requires a gradient": lambda x: (
        torch.from_numpy(x).requires_grad_() if x.dtype.kind == "f" else torch.from_numpy(x)
    ),
    "float16": lambda x: x.astype(np.float16) if x.dtype.kind == "f" else x,
}


def read_only(x: np.ndarray) -> np.ndarray:
    x = x.copy()
    x.flags.writeable = False
    return x


@pytest.mark.parametrize("layout", [*LAYOUTS.values(), read_only], ids=[*LAYOUTS, "read-only"])
def test_any_layout_of_memory(layout) -> None:
    scores, targets = example()
    scores = scores.astype(np.float16).astype(np.float64)
    before = scores.copy()
    given = layout(scores), layout(targets)
    expected = average_precision(scores.copy(), targets.copy())
    torch.testing.assert_close(average_precision(*given), expected, rtol=0, atol=0)
    for logits in (True, False):
        ours = f1_scores(*given, 0.437, logits=logits).as_dict()
        assert ours == f1_scores(scores, targets, 0.437, logits=logits).as_dict()
    assert np.array_equal(scores, before)
    limits = np.array([0.237, 0.437, 0.637])
    assert (
        f1_scores(*given, LAYOUTS["reversed"](limits)).as_dict()
        == f1_scores(scores, targets, limits).as_dict()
    )


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.uint32, np.uint64, np.int8, bool])
def test_whole_numbers_of_any_type(dtype) -> None:
    scores = np.array([[3, 0], [1, 1], [2, 0], [0, 1]])
    targets = np.array([[1, 0], [0, 1], [1, 0], [0, 0]])
    expected = average_precision(scores.astype(dtype).astype(float), targets)
    torch.testing.assert_close(average_precision(scores.astype(dtype), targets), expected)
    expected = average_precision(scores, targets)
    torch.testing.assert_close(average_precision(scores, targets.astype(dtype)), expected)


@pytest.mark.parametrize(
    ("scores", "message"),
    [
        (np.ones((2, 1), complex), "scores have dtype complex128"),
        (np.ones((2, 1), object), "scores have dtype object"),
        (np.array([["0.3"], ["0.4"]]), "scores have dtype <U3"),
        (np.ones((2, 1), np.longdouble), "scores have dtype"),
        (
            torch.ones(2, 1, dtype=torch.complex64),
            "complex64: expected dense real numbers",
        ),
        (torch.ones(2, 1).to_sparse(), "scores are sparse_coo: expected dense real numbers"),
        ([[1.0], [2.0, 3.0]], "scores are not an array of real numbers"),
        (torch.tensor([[2**53], [2**53 + 1]]), "not exact"),
        (torch.ones(2), r"must both be \(N, L\)"),
    ],
)
@pytest.mark.filterwarnings("ignore:Sparse")
def test_what_cannot_be_ranked(scores, message: str) -> None:
    for metric in (average_precision, f1_scores):
        with pytest.raises(InputError, match=message):
            metric(scores, np.ones((2, 1)))


def test_bytes_of_minus_one_are_not_unknown() -> None:
    bytes_ = np.array([[255], [1]], np.uint8)
    with pytest.raises(InputError, match=r"target at \(0, 0\) is 255"):
        harden(bytes_)
    with pytest.raises(InputError, match=r"row 0, label 0 is 255"):
        average_precision(np.ones((2, 1)), bytes_)
    with pytest.raises(InputError, match="255"):
        harden(torch.from_numpy(bytes_))


@pytest.mark.parametrize(
    "metric", [F1Scores(3), MeanAveragePrecision(3), AveragePrecision(3), MultiLabelReport(NAMES)]
)
@pytest.mark.parametrize(
    ("scores", "targets"), [((4, 1), (4, 1)), ((4, 4), (4, 4)), ((3,), (3,)), ((4, 3), (4, 1))]
)
def test_batches_have_the_labels_of_the_metric(metric, scores, targets) -> None:
    """The counts of one label were added to those of all."""
    with pytest.raises(InputError, match=r"must both be \(B, 3\)"):
        metric.update(torch.zeros(scores), torch.ones(targets))


def test_a_known_label_of_infinitely_low_score_comes_before_unknown_ones() -> None:
    scores = torch.tensor([[5.0, -torch.inf]])
    targets = torch.tensor([[-1, 1]])
    assert f1_scores(scores, targets, logits=True, k=1, top_k="plain").orec == 1
    scores, targets = torch.full((1, 4), -torch.inf), torch.tensor([[-1, 0, -1, 1]])
    assert f1_scores(scores, targets, logits=True, k=1, top_k="plain").orec == 0
    assert f1_scores(scores, targets, logits=True, k=2, top_k="plain").orec == 1


@pytest.mark.parametrize("threshold", [0.3, np.float32(0.3), np.float64(0.3), torch.tensor(0.3)])
def test_one_threshold_of_any_type_is_named(threshold) -> None:
    assert f1_scores(*example(), threshold).rule == "p >= 0.3"
    trained = torch.tensor(0.3, requires_grad=True)
    assert f1_scores(*example(), trained).rule == "p >= 0.3"


@pytest.mark.parametrize("value", [np.inf, -np.inf])
def test_infinite_scores_have_a_rank(value: float) -> None:
    scores, targets = example()
    scores = np.where(scores > 0.7, value, scores)
    finite = np.where(np.isinf(scores), np.sign(value) * 1e9, scores)
    expected = average_precision(finite, targets)
    torch.testing.assert_close(average_precision(scores, targets), expected, rtol=0, atol=0)


@pytest.mark.parametrize("shape", [(0, 3), (3, 0), (1, 1)])
def test_hardly_anything_to_measure(shape: tuple[int, int]) -> None:
    scores, targets = np.zeros(shape), np.zeros(shape, int)
    assert average_precision(scores, targets).isnan().all()
    assert np.isnan(mean_average_precision(scores, targets).value)
    assert np.isnan(f1_scores(scores, targets, k=1).of1)
