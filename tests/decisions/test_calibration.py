"""Calibration against scikit-learn, and reliability."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from gatlabel.decisions import fit_calibration, reliability
from gatlabel.decisions.calibration import _fit
from gatlabel.errors import InputError


def draw(images: int, labels: int, weight: float = 1.0, bias: float = 0.0) -> tuple:
    generator = torch.Generator().manual_seed(0)
    logits = 2 * torch.randn(images, labels, generator=generator).double()
    p = torch.sigmoid(weight * logits + bias)
    return logits, (torch.rand(images, labels, generator=generator) < p).double()


def test_each_label_is_a_logistic_regression_with_the_prior() -> None:
    z, y = draw(300, 3, 0.7, -1)
    weight, bias, _ = _fit(z, y, torch.ones_like(y), (0.5, 0.2), 2.0)
    for k in range(3):
        # scikit-learn penalises the constant column's weight like any other, around 0: shift it
        x = np.stack([z[:, k].numpy(), np.ones(300)], 1)
        w = np.array([float(weight[k]), float(bias[k])])
        p = 1 / (1 + np.exp(-x @ w))
        gradient = x.T @ (p - y[:, k].numpy()) + 2.0 * (w - [0.5, 0.2])
        assert np.abs(gradient).max() < 1e-6
    zero_weight, zero_bias, _ = _fit(z, y, torch.ones_like(y), (0.0, 0.0), 2.0)
    theirs = LogisticRegression(C=0.5, fit_intercept=False, tol=1e-10)
    theirs.fit(np.stack([z[:, 0].numpy(), np.ones(300)], 1), y[:, 0].numpy())
    assert [float(zero_weight[0]), float(zero_bias[0])] == pytest.approx(
        theirs.coef_[0].tolist(), abs=1e-5
    )


def test_what_shifted_the_logits_is_found() -> None:
    logits, y = draw(5_000, 4, 0.5, -2.0)
    found = fit_calibration(logits, y)
    assert torch.allclose(found.weight, torch.full((4,), 0.5).double(), atol=0.06)
    assert torch.allclose(found.bias, torch.full((4,), -2.0).double(), atol=0.15)
    before = reliability(torch.sigmoid(logits), y)
    after = reliability(torch.sigmoid(found(logits)), y)
    assert before.error > 0.2
    assert after.error < 0.01
    assert after.brier_skill > before.brier_skill


def test_temperature_has_no_bias_and_is_found() -> None:
    logits, y = draw(5_000, 4, 0.5)
    found = fit_calibration(logits, y, "temperature")
    assert found.bias.tolist() == [0.0] * 4
    assert found.weight.unique().tolist() == pytest.approx([0.5], abs=0.02)


def test_a_label_without_positives_is_nearly_that_of_the_others() -> None:
    logits, y = draw(400, 6, 0.6, -0.5)
    y[:, 5] = -1
    found = fit_calibration(logits, y)
    assert abs(float(found.weight[5] - found.weight[:5].mean())) < 0.1
    assert abs(float(found.bias[5] - found.bias[:5].mean())) < 0.15


def test_ranks_are_never_reversed() -> None:
    logits, y = draw(300, 3)
    y[:, 1] = 1 - y[:, 1]
    found = fit_calibration(logits, y)
    assert float(found.weight.min()) >= 0
    assert float(found.weight[1]) == 0


def test_unknown_targets_and_separable_labels_do_no_harm() -> None:
    logits, y = draw(200, 3)
    y[::2] = -1
    half = fit_calibration(logits, y)
    other = fit_calibration(logits[1::2], y[1::2])
    assert torch.allclose(half.weight, other.weight)
    assert torch.allclose(half.bias, other.bias)
    separable = fit_calibration(torch.tensor([[5.0], [-5.0], [float("inf")]]), [[1], [0], [1]])
    assert bool(torch.isfinite(separable.weight).all())


def test_bins_hold_equally_many_and_ties_stay_together() -> None:
    p = torch.cat([torch.full((50,), 0.2), torch.linspace(0.3, 0.9, 50)])[:, None]
    found = reliability(p, (p > 0.5).int(), bins=10)
    assert int(found.count.sum()) == 100
    assert found.count.tolist()[0] == 50
    assert set(found.count.tolist()[1:]) == {10}
    assert found.predicted.tolist() == sorted(found.predicted.tolist())
    constant = reliability(torch.full((10, 1), 0.3), torch.tensor([[1], [0]] * 5))
    assert constant.error == pytest.approx(0.2)
    assert constant.brier_skill < 0


def test_the_frequency_itself_has_no_skill() -> None:
    y = torch.tensor([[1], [0], [0], [0]])
    found = reliability(torch.full((4, 1), 0.25), y)
    assert found.error == pytest.approx(0)
    assert found.brier_skill == pytest.approx(0)
    assert np.isnan(reliability(torch.full((2, 1), 0.3), torch.ones(2, 1)).brier_skill)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: fit_calibration([[0.0]], [[-1]]), "all targets are unknown"),
        (lambda: fit_calibration([[0.0]], [[1]], "isotonic"), "calibration"),
        (lambda: reliability([[0.3]], [[-1]]), "no target is known"),
        (lambda: reliability([[0.3]], [[1]], label=1), "label=1"),
        (lambda: reliability([[0.3]], [[1]], bins=0), "bins=0"),
    ],
)
def test_invalid_arguments_are_refused(call, message: str) -> None:
    with pytest.raises(InputError, match=message):
        call()
