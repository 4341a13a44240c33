"""Probes use no image for its own prediction, and no unknown label."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge
from sklearn.neighbors import NearestNeighbors

from gatlabel.baselines.ridge import ridge_start
from gatlabel.errors import InputError
from gatlabel.pretraining.probing import left_out_scores, neighbour_scores, probe, spread


@pytest.fixture
def features() -> torch.Tensor:
    return torch.randn(30, 6, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def targets(features: torch.Tensor) -> torch.Tensor:
    return (features[:, :3] > 0.2).float()


def test_neighbours_are_scikit_learn_s(features: torch.Tensor, targets: torch.Tensor) -> None:
    unit = torch.nn.functional.normalize(features.double(), dim=1).numpy()
    search = NearestNeighbors(n_neighbors=5, metric="cosine").fit(unit)
    distances, rows = search.kneighbors()  # without the image itself
    weights = np.exp((1 - distances) / 0.07)
    expected = (weights[:, :, None] * targets.numpy()[rows]).sum(1) / weights.sum(1)[:, None]
    found = neighbour_scores(features, targets, k=5)
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-9)


def test_ridge_leaves_each_image_out(features: torch.Tensor, targets: torch.Tensor) -> None:
    penalty = ridge_start(features, targets).penalty
    found = left_out_scores(features, targets).numpy()
    deviations = targets.numpy() - targets.numpy().mean(0)
    for image in (0, 7, 29):
        rest = np.arange(30) != image
        # one centre and one penalty for all, as leave-one-out in closed form has them
        x = features.numpy().astype(float)
        ridge = Ridge(alpha=penalty * 30).fit(x[rest], deviations[rest])
        np.testing.assert_allclose(ridge.predict(x[[image]])[0], found[image], atol=0.02)


def test_unknown_labels_are_left_out(features: torch.Tensor, targets: torch.Tensor) -> None:
    """The values of unknown entries have no effect."""
    masked = targets.clone()
    masked[::4, 1] = -1
    rows = torch.arange(30) % 4 != 0
    whole = neighbour_scores(features[rows], targets[rows], k=29)[:, 1]
    part = neighbour_scores(features, masked, k=29)[rows][:, 1]
    torch.testing.assert_close(part, whole)
    found = probe(features, masked)
    assert np.isfinite([found.neighbours, found.linear]).all()


def test_good_features_differ_from_noise_and_collapsed_ones(
    features: torch.Tensor, targets: torch.Tensor
) -> None:
    torch.manual_seed(5)
    good, noise = probe(features, targets), probe(torch.randn(30, 6), targets)
    assert good.linear > noise.linear + 0.1
    assert good.neighbours > noise.neighbours + 0.1
    assert spread(torch.randn(500, 64)) == pytest.approx(1, abs=0.05)
    line = torch.ones(30, 6) + 1e-3 * features
    assert probe(line, targets).collapsed
    assert not good.collapsed


def test_too_few_images_are_refused() -> None:
    with pytest.raises(InputError, match="three or more labelled images: 2 features"):
        probe(torch.randn(2, 4), torch.ones(2, 3))
