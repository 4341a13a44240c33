"""Classifiers in closed form, against scikit-learn and a loop that leaves images out."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import Ridge, RidgeCV
from sklearn.metrics import average_precision_score

from gatlabel.baselines import regression
from gatlabel.baselines.ridge import PENALTIES, ridge_start
from gatlabel.errors import InputError
from tests.reference.ridge import similarity_ridge


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
    """The scale of the logits is that of images left out one by one, not of those learned."""
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
    rate = (30 + float(y[:, 2].sum()) + 0.5) / 61  # of any label that is known
    assert start.bias[1] == pytest.approx(np.log(rate / (1 - rate)), rel=1e-5)
    alone = ridge_start(x, y[:, :2])
    torch.testing.assert_close(alone.bias[0], start.bias[0])
    assert alone.weight.abs().max() == 0
    assert np.isnan(alone.penalty)


@pytest.mark.parametrize("n", [2, 3])
def test_a_handful_of_images_gives_finite_classifiers(n: int) -> None:
    x, y = sample(n, 6)
    start = ridge_start(x, y)
    assert start.weight.isfinite().all()
    assert start.bias.isfinite().all()
    flat = ridge_start(torch.ones(n, 6), y)
    assert flat.weight.isfinite().all()
    assert flat.bias.isfinite().all()


def test_few_images_in_a_wide_space_are_ranked_better_than_by_the_difference_of_means() -> None:
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


class TestSharing:
    """Labels whose classifiers are ``C V``."""

    SHARING = torch.tensor([[1.0, 0.5, 0.0], [0.2, 1.0, 0.0], [0.0, 0.3, 1.0]]).double()

    @pytest.mark.parametrize(("n", "width"), [(40, 6), (20, 30)], ids=["long", "wide"])
    @pytest.mark.parametrize("hidden", [0.0, 0.3])
    def test_it_is_the_posterior_of_that_prior(self, n: int, width: int, hidden: float) -> None:
        """Against one system of equations over all weights of all labels."""
        x, y = sample(n, width, seed=1)
        mask = torch.rand(y.shape, generator=torch.Generator().manual_seed(0)) < hidden
        y = torch.where(mask, -1.0, y)
        start = ridge_start(x, y, self.SHARING)
        expected = similarity_ridge(x.numpy(), y.numpy(), self.SHARING.numpy(), start.penalty)
        # up to the one scale of all logits, which calibration chooses
        found = start.weight.double().numpy()
        scale = float((found * expected).sum() / np.square(expected).sum())
        assert scale > 0
        np.testing.assert_allclose(found, scale * expected, rtol=1e-4, atol=1e-6 * scale)

    def test_the_penalty_is_that_of_leaving_images_out_one_by_one(self) -> None:
        x, y = sample(24, 40, seed=2)
        start = ridge_start(x, y, self.SHARING)
        spread = (y.mean(0) * (1 - y.mean(0))).sqrt().numpy()
        unit = float((x - x.mean(0)).square().mean())
        errors = []
        for share in PENALTIES:
            total = 0.0
            for row in range(len(x)):
                rest = [k for k in range(len(x)) if k != row]
                # as in the closed form: the same targets, penalty and mean, a row less
                w = similarity_ridge(
                    x[rest].numpy(), y[rest].numpy(), self.SHARING.numpy(),
                    share * unit * len(x) / len(rest), rate=y.mean(0).numpy(), standardised=True,
                )  # fmt: skip
                guess = w @ (x[row] - x[rest].mean(0)).numpy()
                # the mean of the others' targets, which are centred on that of all
                guess = guess + ((y[rest].mean(0) - y.mean(0)).numpy() / spread)
                total += float(np.square((y[row] - y.mean(0)).numpy() / spread - guess).sum())
            errors.append(total)
        assert start.penalty == pytest.approx(PENALTIES[int(np.argmin(errors))] * unit)

    def test_on_their_own_labels_are_as_without(self) -> None:
        x, y = sample(50, 8, seed=3)
        alone, shared = ridge_start(x, y), ridge_start(x, y, torch.eye(3))
        torch.testing.assert_close(shared.weight, alone.weight)
        torch.testing.assert_close(shared.bias, alone.bias)
        assert shared.penalty == alone.penalty

    def test_a_label_without_positives_has_the_classifier_of_similar_labels(self) -> None:
        x, y = sample(60, 8, seed=4)
        truth = y[:, 0].clone()
        y[:, 0] = -1  # never known; label 1 is alike
        y[:, 1] = torch.where(torch.rand(60) < 0.9, truth, 1 - truth)
        sharing = torch.eye(3).double()
        sharing[0, 1] = 0.5
        start = ridge_start(x, y, sharing)
        assert float(cosine(start.weight[:1], start.weight[1:2].double().numpy())) > 0.98
        never = y.clone()
        never[:, 0] = 0  # known to be absent, of every image
        assert float(cosine(ridge_start(x, never, sharing).weight[:1],
                            start.weight[1:2].double().numpy())) > 0.9  # fmt: skip
        assert ridge_start(x, never).weight[0].abs().max() == 0

    @pytest.mark.parametrize("n", [100, 1000])
    @pytest.mark.parametrize("value", [0.0, 1.0, -1.0])
    def test_contributions_of_similar_labels_do_not_change_the_frequency(
        self, n: int, value: float
    ) -> None:
        """Probabilities stay about what is known of how frequent the label is."""
        x, y = sample(n, 8, seed=6)
        y[:, 0] = value
        sharing = torch.eye(3).double()
        sharing[0, 1:] = 0.25
        start = ridge_start(x, y, sharing)
        chance = (x.float() @ start.weight.T + start.bias).sigmoid()[:, 0]
        others = (y[:, 1:].sum() + 0.5 + max(value, 0) * n) / ((2 + (value >= 0)) * n + 1)
        rate = {0.0: 0.5 / (n + 1), 1.0: (n + 0.5) / (n + 1), -1.0: float(others)}[value]
        assert abs(float(chance.mean()) - rate) < 0.05
        assert float(start.weight[0].abs().max()) > 1e-3  # and yet it tells images apart

    def test_blocks_of_images_make_no_difference(self, monkeypatch) -> None:
        x, y = sample(40, 8, seed=7)
        whole = ridge_start(x, y, self.SHARING)
        monkeypatch.setattr(regression, "LABELS_AT_ONCE", 1)  # 13 images of 3 labels
        parts = ridge_start(x, y, self.SHARING)
        assert parts.penalty == whole.penalty
        torch.testing.assert_close(parts.weight, whole.weight)

    def test_labels_in_another_order_have_the_same_classifiers(self) -> None:
        x, y = sample(40, 8, seed=5)
        order = [2, 0, 1]
        one = ridge_start(x, y, self.SHARING)
        other = ridge_start(x, y[:, order], self.SHARING[order][:, order])
        torch.testing.assert_close(other.weight, one.weight[order])
        torch.testing.assert_close(other.bias, one.bias[order])

    def test_sharing_is_equivalent_to_more_images(self) -> None:
        """Where labels are alike and images few, the prior ranks new images better."""
        rng = np.random.default_rng(0)
        common = rng.normal(size=30)
        directions = np.stack([common + 0.3 * rng.normal(size=30) for _ in range(6)])
        sharing = torch.eye(6).double() + 0.1 * (1 - torch.eye(6).double())

        def draw(n: int) -> tuple[torch.Tensor, torch.Tensor]:
            x = rng.normal(size=(n, 30))
            y = (x @ directions.T + rng.normal(0, 3, (n, 6)) > 7).astype(np.float64)
            return torch.from_numpy(x), torch.from_numpy(y)

        x, y = draw(60)
        test, present = draw(3000)
        scores = []
        for how in (None, sharing):
            logits = test @ ridge_start(x, y, how).weight.double().T
            scores.append(
                np.mean([average_precision_score(present[:, k], logits[:, k]) for k in range(6)])
            )
        assert scores[1] > scores[0] + 0.03

    def test_another_shape_is_refused(self) -> None:
        x, y = sample(20, 5)
        with pytest.raises(InputError, match=r"\(2, 2\) for 3 labels"):
            ridge_start(x, y, torch.eye(2))


class TestGroups:
    """Images that are left out together, of groups of unequal sizes."""

    SIZES = (1, 1, 2, 2, 3, 5, 9)

    def drawn(self, width: int = 8) -> tuple[torch.Tensor, torch.Tensor, list[str]]:
        groups = [f"group {k}" for k, size in enumerate(self.SIZES) for _ in range(size)]
        order = np.random.default_rng(5).permutation(len(groups))
        return *sample(len(groups), width, seed=8), [groups[row] for row in order]

    @pytest.mark.parametrize("width", [8, 40], ids=["long", "wide"])
    @pytest.mark.parametrize("share", [0.01, 1.0])
    def test_predictions_are_those_of_fits_without_the_group(
        self, width: int, share: float
    ) -> None:
        x, y, groups = self.drawn(width)
        t = y - y.mean(0)
        fitted = regression.Regression(x, t, groups)
        penalty = share * float(fitted.mean_square)
        found = fitted.held_out(penalty)
        for group in set(groups):
            there = np.array([name == group for name in groups])
            model = Ridge(penalty * len(x)).fit(x[~there], t[~there])
            np.testing.assert_allclose(found[there], model.predict(x[there]), atol=1e-9)
        known = torch.ones_like(y)
        expected = ((t - found).square().mean(0)).sum()
        judged = torch.ones(3, dtype=torch.bool)
        assert fitted.error(penalty, t, known, judged) == pytest.approx(float(expected))

    def test_so_are_those_of_labels_that_share(self) -> None:
        x, y, groups = self.drawn()
        rate, sharing = y.mean(0), TestSharing.SHARING
        spread = (rate * (1 - rate)).sqrt()
        t = (y - rate) / spread
        fitted = regression.SharedRegression(x, t, sharing, groups)
        penalty = 0.3 * float(fitted.mean_square)
        found = fitted.held_out(penalty)
        for group in set(groups):
            there = np.array([name == group for name in groups])
            rest = x[~there].numpy(), y[~there].numpy(), sharing.numpy()
            own = penalty * len(x) / len(rest[0])
            w = similarity_ridge(*rest, own, rate=rate.numpy(), standardised=True)
            guess = (x[there] - x[~there].mean(0)).numpy() @ w.T + t[~there].mean(0).numpy()
            np.testing.assert_allclose(found[there], guess, atol=1e-9)

    @pytest.mark.parametrize("sharing", [None, TestSharing.SHARING])
    def test_images_that_are_there_twice_change_nothing(self, sharing) -> None:
        """Left out one by one, each would be predicted from its own copy."""
        x, y = sample(40, 60, seed=9)
        once = ridge_start(x, y, sharing)
        twice = [torch.cat([part, part]) for part in (x, y)]
        grouped = ridge_start(*twice, sharing, [*range(40), *range(40)])
        assert grouped.penalty == pytest.approx(once.penalty)
        assert grouped.error == pytest.approx(once.error)
        # up to the scale of all logits: its own prior counts images
        assert (cosine(grouped.weight, once.weight.double().numpy()) > 0.99999).all()
        assert ridge_start(*twice, sharing).penalty < once.penalty / 5
        assert ridge_start(*twice, sharing).error < once.error / 2

    def test_groups_of_one_image_or_all_in_one_group_are_as_without(self) -> None:
        x, y = sample(30, 6)
        alone = ridge_start(x, y)
        for groups in ([*range(30)], ["a"] * 30):
            found = ridge_start(x, y, groups=groups)
            assert torch.equal(found.weight, alone.weight)
            assert found.penalty == alone.penalty

    def test_blocks_make_no_difference(self, monkeypatch) -> None:
        x, y, groups = self.drawn()
        whole = [ridge_start(x, y, sharing, groups) for sharing in (None, TestSharing.SHARING)]
        monkeypatch.setattr(regression, "LABELS_AT_ONCE", 1)
        for one, sharing in zip(whole, (None, TestSharing.SHARING), strict=True):
            parts = ridge_start(x, y, sharing, groups)
            assert parts.penalty == one.penalty
            torch.testing.assert_close(parts.weight, one.weight)

    def test_as_many_groups_as_images(self) -> None:
        x, y = sample(30, 6)
        with pytest.raises(InputError, match="29 groups for 30 images"):
            ridge_start(x, y, groups=["a"] * 29)


def test_the_error_of_frequent_labels_is_that_of_labels_with_ten_presences_and_absences() -> None:
    generator = torch.Generator().manual_seed(5)
    x = torch.randn(40, 6, generator=generator)
    y = (torch.rand(40, 4, generator=generator) < torch.tensor([0.5, 0.4, 0.1, 0.9])).float()
    y[:25, 1] = -1  # 15 known targets cannot have ten of both
    start = ridge_start(x, y)
    assert min(int((y[:, 0] == 1).sum()), int((y[:, 0] == 0).sum())) >= 10
    rate = y[:, 0].mean()
    total = 0.0
    for row in range(40):
        rest = [k for k in range(40) if k != row]
        centred = (x[rest] - x[rest].mean(0)).double()
        wanted = (y[rest, 0] - y[rest, 0].mean()).double()
        w = torch.linalg.solve(
            centred.T @ centred + 40 * start.penalty * torch.eye(6), centred.T @ wanted
        )
        guess = y[rest, 0].mean() + (x[row] - x[rest].mean(0)).double() @ w
        total += float((y[row, 0] - guess) ** 2)
    assert start.frequent_error == pytest.approx(total / 40 / float(rate * (1 - rate)), rel=1e-4)
    assert torch.tensor(ridge_start(x[:15], y[:15]).frequent_error).isnan()
