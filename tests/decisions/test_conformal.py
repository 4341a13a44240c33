"""Sets with a guarantee."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from gatlabel.decisions import InfeasibleWarning, conformal_threshold, precision_guarantee
from gatlabel.errors import InputError
from tests.reference import decisions as slow


def images(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Rounded probabilities, images without labels, unknown targets."""
    rng = np.random.default_rng(seed)
    easy = rng.random((count, 1))
    p = (rng.random((count, 8)) ** 3 * easy).round(2)
    y = (rng.random((count, 8)) < p).astype(np.int8)
    y[rng.random((count, 8)) < 0.1] = -1
    return p.astype(np.float32), y


@settings(max_examples=80, deadline=None)
@given(
    arrays(np.float32, (12, 3), elements=st.sampled_from([0.0, 0.125, 0.25, 0.5, 0.75, 1.0])),
    arrays(np.int8, (12, 3), elements=st.sampled_from([-1, 0, 1])),
    st.sampled_from([0.08, 0.1, 0.2, 0.5, 0.9]),
)
def test_it_is_the_largest_threshold_allowed(p: np.ndarray, y: np.ndarray, alpha: float) -> None:
    if not (y >= 0).any():
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", InfeasibleWarning)
        assert conformal_threshold(p, y, alpha) == slow.conformal(p, y, alpha)


@pytest.mark.parametrize("alpha", [0.05, 0.1, 0.2])
def test_the_mean_loss_on_new_images_is_alpha(alpha: float) -> None:
    p, y = images(2_000, 0)
    p = p + np.random.default_rng(1).random(p.shape).astype(np.float32) * 1e-3  # hardly any ties
    p, n = p.clip(0, 1), 300
    rng = np.random.default_rng(2)
    losses = []
    for _ in range(200):
        rows = rng.permutation(len(p))
        threshold = conformal_threshold(p[rows[:n]], y[rows[:n]], alpha)
        losses.append(slow.missed_share(p[rows[n:]], y[rows[n:]], threshold).mean())
    error = np.std(losses) / np.sqrt(len(losses))
    assert alpha - 2 / (n + 1) - 2 * error <= np.mean(losses) <= alpha + 2 * error


@pytest.mark.parametrize("alpha", [0.1, 0.2])
def test_with_delta_few_draws_exceed_alpha(alpha: float) -> None:
    p, y = images(2_000, 0)
    rng = np.random.default_rng(3)
    losses = []
    for _ in range(100):
        rows = rng.permutation(len(p))
        threshold = conformal_threshold(p[rows[:300]], y[rows[:300]], alpha, delta=0.1)
        losses.append(slow.missed_share(p[rows[300:]], y[rows[300:]], threshold).mean())
    exceeded = sum(loss > alpha for loss in losses)
    assert exceeded <= 0.1 * 100 + 2 * np.sqrt(100 * 0.1 * 0.9)
    assert np.mean(losses) > alpha / 2  # the bound is not met by naming every label


@pytest.mark.parametrize("alpha", [0.3, 0.5])
def test_few_draws_name_too_many_wrong_labels(alpha: float) -> None:
    p, y = images(2_000, 0)

    def wrong(rows: np.ndarray, threshold: float) -> float:
        named = (p[rows] >= threshold) & (y[rows] >= 0)
        return ((named & (y[rows] == 0)).sum(1) / np.maximum(named.sum(1), 1)).mean()

    rng = np.random.default_rng(4)
    exceeded, thresholds = 0, []
    for _ in range(100):
        rows = rng.permutation(len(p))
        thresholds.append(precision_guarantee(p[rows[:400]], y[rows[:400]], alpha, 0.1))
        exceeded += wrong(rows[400:], thresholds[-1]) > alpha
    assert exceeded <= 0.1 * 100 + 2 * np.sqrt(100 * 0.1 * 0.9)
    assert np.median(thresholds) < 0.95  # it names something


def test_a_fixed_threshold_of_the_grid_has_its_p_value() -> None:
    # two images of 40 have one wrong label of one: the sum of losses is 2
    p = np.full((40, 1), 0.9)
    y = np.ones((40, 1), int)
    y[:2] = 0
    assert precision_guarantee(p, y, 0.3, 0.1) < 0.01
    with pytest.warns(InfeasibleWarning):
        assert precision_guarantee(p, y, 0.01, 0.01) >= 0.99


@pytest.mark.parametrize("delta", [None, 0.1])
def test_too_few_images_name_every_label(delta: float | None) -> None:
    p, y = images(5, 0)
    with pytest.warns(InfeasibleWarning, match="5 images are too few for alpha=0.05"):
        assert conformal_threshold(p, y, 0.05, delta=delta) == 0


def test_images_without_labels_count_and_unknown_ones_do_not() -> None:
    p, y = np.array([[0.3], [0.6], [0.9]]), np.array([[1], [1], [1]])
    assert conformal_threshold(p, y, 0.5) == pytest.approx(0.6)  # one of four may be missed
    empty = np.vstack([p, [[0.5]] * 4]), np.vstack([y, [[0]] * 4])
    assert conformal_threshold(*empty, 0.5) == pytest.approx(0.9 + 0.1)  # 3 of 8
    unknown = np.vstack([p, [[0.5]] * 4]), np.vstack([y, [[-1]] * 4])
    assert conformal_threshold(*unknown, 0.5) == pytest.approx(0.6)


def test_no_image_with_labels_misses_nothing() -> None:
    assert conformal_threshold(np.full((30, 2), 0.5), np.zeros((30, 2)), 0.1) == 1.0


@pytest.mark.parametrize(
    ("alpha", "delta"), [(0.0, None), (1.0, None), (True, None), ("a", None), (0.1, 0.0)]
)
def test_numbers_out_of_range_are_refused(alpha: float, delta: float | None) -> None:
    with pytest.raises(InputError, match="between 0 and 1"):
        conformal_threshold(np.full((3, 1), 0.5), np.ones((3, 1)), alpha, delta=delta)


def test_nothing_known_is_refused() -> None:
    for choose in (conformal_threshold, precision_guarantee):
        with pytest.raises(InputError, match="no target is known"):
            choose(np.full((3, 1), 0.5), -np.ones((3, 1)))


def test_it_agrees_with_mapie_where_mapie_can() -> None:
    control = pytest.importorskip("mapie.risk_control").MultiLabelClassificationController
    p, y = images(200, 5)
    y = np.maximum(y, 0)
    kept = y.any(1)  # MAPIE refuses images without a label
    p, y = p[kept].astype(np.float64), y[kept]
    grid = np.unique(np.r_[p.flatten(), 0, 1])
    for alpha in (0.1, 0.2):
        theirs = control(
            lambda rows: p[rows[:, 0].astype(int)],
            risk="recall",
            method="crc",
            target_level=1 - alpha,
            predict_params=grid,
        )
        theirs.calibrate(np.arange(len(p))[:, None], y)
        # theirs are the labels strictly above
        above = p > float(np.ravel(theirs.best_predict_param)[0])
        assert (above == (p >= conformal_threshold(p, y, alpha))).all()


def test_torch_and_numpy_give_the_same() -> None:
    p, y = images(100, 7)
    ours = conformal_threshold(torch.from_numpy(p), torch.from_numpy(y), 0.2)
    assert ours == conformal_threshold(p, y, 0.2)
