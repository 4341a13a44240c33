"""Classifiers in closed form, against scikit-learn and a loop that leaves pictures out."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import Ridge, RidgeCV
from sklearn.metrics import average_precision_score

from gatlabel.training.ridge import PENALTIES, ridge_start


def sample(n: int, width: int, labels: int = 3, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    rng = np.random.default_rng(seed)
    y = (rng.random((n, labels)) < 0.3).astype(np.float64)
    y[0], y[1] = 0, 1  # every label is there and is not
    x = y @ rng.normal(size=(labels, width)) + rng.normal(0, 2, (n, width)) + 5
    return torch.from_numpy(x), torch.from_numpy(y)


def cosine(a: torch.Tensor, b: np.ndarray) -> torch.Tensor:
    return torch.nn.functional.cosine_similarity(a.double(), torch.from_numpy(b), dim=1)


@pytest.mark.parametrize(("n", "width"), [(60, 8), (30, 50)], ids=["long", "wide"])
def test_it_is_ridge_regression_with_the_penalty_of_leave_one_out(n: int, width: int) -> None:
    x, y = sample(n, width)
    start = ridge_start(x, y)
    centred = (x - x.mean(0)).numpy()
    unit = float(np.square(centred).mean())
    variance = (y.mean(0) * (1 - y.mean(0))).sqrt().numpy()
    # one penalty for all labels: that of the targets in units of their own spread
    theirs = RidgeCV([p * unit * n for p in PENALTIES], scoring=None).fit(x, y.numpy() / variance)
    assert start.penalty == pytest.approx(theirs.alpha_ / n)
    expected = Ridge(start.penalty * n).fit(x, y.numpy()).coef_
    torch.testing.assert_close(cosine(start.weight, expected), torch.ones(3).double())


def test_what_is_held_out_was_not_learned_from() -> None:
    """The scale of the logits is that of pictures left out one by one, not of those learned."""
    x, y = sample(40, 60, labels=1)
    start = ridge_start(x, y)
    left_out = []
    for row in range(len(x)):
        rest = [k for k in range(len(x)) if k != row]
        model = Ridge(start.penalty * len(x)).fit(x[rest], y[rest, 0])
        left_out.append(model.predict(x[row : row + 1])[0] - float(y[:, 0].mean()))
    fitted = Ridge(start.penalty * len(x)).fit(x, y[:, 0])
    # logit = a ŷ / variance + b, with a from a two-parameter logistic fit to those left out
    score = torch.tensor(left_out).double()[:, None] / float(y.mean() * (1 - y.mean()))
    scale = (
        start.weight.double()[0] @ torch.from_numpy(fitted.coef_) / np.square(fitted.coef_).sum()
    )
    a = float(scale * y.mean() * (1 - y.mean()))

    def loss(value: float) -> float:
        best = np.inf
        for b in np.linspace(-4, 2, 121):
            best = min(best, float(torch.nn.functional.binary_cross_entropy_with_logits(
                value * score + b, y)))  # fmt: skip
        return best

    assert loss(a) <= min(loss(0.8 * a), loss(1.25 * a))
    learned = ((x - x.mean(0)) @ start.weight.double().T).abs().mean()
    assert learned > 1.2 * (a * score).abs().mean()  # what is learned from looks surer


def test_with_little_penalty_it_is_fishers_discriminant() -> None:
    x, y = sample(4000, 5, labels=1, seed=3)
    start = ridge_start(x, y)
    theirs = LinearDiscriminantAnalysis().fit(x, y[:, 0])
    assert float(cosine(start.weight, theirs.coef_)) > 0.9999
    ours = x.float() @ start.weight.T + start.bias
    torch.testing.assert_close(
        ours.sigmoid()[:, 0].double(),
        torch.from_numpy(theirs.predict_proba(x)[:, 1]),
        atol=0.03,
        rtol=0,
    )


@given(st.integers(0, 2**31), st.floats(0.01, 100), st.floats(-50, 50))
@settings(max_examples=20, deadline=None)
def test_the_logits_do_not_depend_on_scale_and_origin_of_the_features(seed, scale, shift) -> None:
    x, y = sample(25, 6, seed=seed)
    one, other = ridge_start(x, y), ridge_start(scale * x + shift, y)
    torch.testing.assert_close(
        x @ one.weight.double().T + one.bias,
        (scale * x + shift) @ other.weight.double().T + other.bias,
        atol=2e-2,
        rtol=2e-3,
    )


def test_unknown_targets_are_left_out() -> None:
    x, y = sample(3000, 6)
    hidden = torch.where(
        torch.rand(y.shape, generator=torch.Generator().manual_seed(0)) < 0.5, -1, y
    )
    whole, half = ridge_start(x, y), ridge_start(x, hidden)
    assert (cosine(half.weight, whole.weight.double().numpy()) > 0.98).all()
    one, other = (x.float() @ s.weight.T + s.bias for s in (half, whole))
    assert (one - other).abs().mean() < 0.1 * other.abs().mean()


def test_labels_of_which_nothing_is_known_get_a_bias_only() -> None:
    x, y = sample(30, 6)
    y[:, 0], y[:, 1] = 1, -1
    start = ridge_start(x, y)
    assert start.weight[:2].abs().max() == 0
    assert start.weight[2].abs().max() > 0
    assert start.bias[0] == pytest.approx(np.log(30.5 / 0.5), rel=1e-5)
    assert start.bias[1] == 0
    alone = ridge_start(x, y[:, :2])
    torch.testing.assert_close(alone.bias, start.bias[:2])
    assert alone.weight.abs().max() == 0
    assert np.isnan(alone.penalty)


@pytest.mark.parametrize("n", [2, 3])
def test_a_handful_of_pictures_gives_finite_classifiers(n: int) -> None:
    x, y = sample(n, 6)
    start = ridge_start(x, y)
    assert start.weight.isfinite().all()
    assert start.bias.isfinite().all()
    flat = ridge_start(torch.ones(n, 6), y)
    assert flat.weight.isfinite().all()
    assert flat.bias.isfinite().all()


def test_few_pictures_in_a_wide_space_are_ranked_better_than_by_the_difference_of_means() -> None:
    rng = np.random.default_rng(0)
    mixing = rng.normal(size=(40, 40)) * np.geomspace(5, 0.1, 40)
    truth = rng.normal(size=(40, 1))

    def draw(n: int) -> tuple[np.ndarray, np.ndarray]:
        x = rng.normal(size=(n, 40)) @ mixing
        y = x @ np.linalg.solve(mixing, truth) + rng.normal(0, 2, (n, 1)) > 3
        return x, y.astype(np.float64)

    x, y = draw(200)
    test, present = draw(2000)
    start = ridge_start(torch.from_numpy(x), torch.from_numpy(y))
    ours = average_precision_score(present[:, 0], test @ start.weight.numpy()[0])
    means = x[y[:, 0] == 1].mean(0) - x[y[:, 0] == 0].mean(0)
    assert ours > average_precision_score(present[:, 0], test @ means) + 0.05
