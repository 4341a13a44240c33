"""Closed-form classifiers from labelled and unlabelled images, against slow definitions."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from torch import Tensor

from gatlabel.baselines.ridge import ridge_start
from gatlabel.baselines.similarity import similarity_start
from gatlabel.baselines.similarity.assembly import Used, assembled
from gatlabel.baselines.similarity.start import shared_start
from gatlabel.metrics import mean_average_precision
from gatlabel.missing import Ignore, Pseudo
from gatlabel.missing.starting import (
    ROWS,
    completed_start,
    neighbour_means,
    neighbour_start,
)


def clusters(
    images: int, labelled: int, seed: int = 0, width: int = 60, noise: float = 1.2
) -> tuple[Tensor, Tensor, Tensor]:
    """Features of images in eight clusters, partly known targets, and the truth."""
    rng = torch.Generator().manual_seed(seed)
    member = torch.randint(8, (images,), generator=rng)
    centres = torch.randn(8, width, generator=rng)
    features = centres[member] + noise * torch.randn(images, width, generator=rng)
    truth = torch.eye(8)[member] + torch.eye(8)[(member + 1) % 8]
    targets = truth.clone()
    targets[labelled:] = -1
    return features, targets, truth


@pytest.mark.parametrize("k", [1, 5, 100])
def test_means_of_neighbours_are_those_of_a_loop(k: int) -> None:
    x = clusters(30, 10)[0]
    rows = torch.tensor([4, 0, 17])
    centred = (x - x.mean(0)).double()
    expected = []
    for row in rows.tolist():
        others = [n for n in range(30) if n != row]
        cosine = [
            float(torch.cosine_similarity(centred[row], centred[n], dim=0).item()) for n in others
        ]
        order = sorted(range(29), key=lambda place: -cosine[place])[:k]
        expected.append(torch.stack([x[others[place]] for place in order]).mean(0))
    torch.testing.assert_close(neighbour_means(x, rows, k), torch.stack(expected))


def test_means_of_neighbours_are_found_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    x = clusters(30, 10)[0]
    whole = neighbour_means(x, torch.arange(30))
    assert ROWS > 30
    monkeypatch.setattr("gatlabel.missing.starting.ROWS", 7)
    torch.testing.assert_close(neighbour_means(x, torch.arange(30)), whole)


@pytest.mark.parametrize("grouped", [False, True])
def test_labelled_images_count_twice_and_are_left_out_with_their_group(grouped: bool) -> None:
    x, targets, _ = clusters(40, 16)
    order = torch.randperm(40, generator=torch.Generator().manual_seed(1))
    x, targets = x[order], targets[order]
    groups = [f"group {n // 3}" for n in range(40)] if grouped else None
    images, wanted, names = [], [], []
    for moving in (0.0, 24 / 40):
        for n in range(40):
            if (targets[n] >= 0).any():
                near = neighbour_means(x, torch.tensor([n]))[0]
                images.append(x[n] + moving * (near - x[n]))
                wanted.append(targets[n])
                names.append(f"group {n // 3}" if grouped else n)
    expected = ridge_start(torch.stack(images), torch.stack(wanted), None, names)
    found = neighbour_start(x, targets, groups=groups)
    torch.testing.assert_close(found.weight, expected.weight, rtol=1e-3, atol=1e-5)
    assert found.penalty == pytest.approx(expected.penalty)
    assert found.error == pytest.approx(expected.error, rel=1e-5)
    alone = ridge_start(torch.stack(images), torch.stack(wanted))  # sees the other copy
    assert found.error > alone.error * 1.05


def test_with_all_images_labelled_copies_change_nothing() -> None:
    """The copies are the images themselves, and leave-one-out leaves out both."""
    x, targets, _ = clusters(30, 30)
    targets[::2, 0] = -1
    plain, found = ridge_start(x, targets), neighbour_start(x, targets)
    size = float(found.weight.norm() / plain.weight.norm())
    assert size == pytest.approx(1, abs=0.02)  # the prior of the scale has the weight of one image
    torch.testing.assert_close(found.weight / size, plain.weight, rtol=1e-3, atol=1e-5)
    assert found.error == pytest.approx(plain.error, rel=1e-5)


def test_estimates_weigh_less_the_more_images_have_no_label() -> None:
    x, targets, _ = clusters(60, 15)
    targets[:5, 2] = -1
    first = neighbour_start(x, targets)
    known = targets >= 0
    estimates = torch.where(known, targets, torch.sigmoid(x @ first.weight.T + first.bias))
    second = ridge_start(x, estimates)
    weight = torch.tensor([(1 - n / 60) * 15 / 60 for n in known.sum(0).tolist()]).sqrt()
    expected = first.weight + weight[:, None] * (second.weight - first.weight)
    found = completed_start(partial(ridge_start, x), Pseudo(targets), x)
    torch.testing.assert_close(found.weight, expected, rtol=1e-3, atol=1e-5)
    assert found.error == first.error


def test_without_any_label_nothing_is_learned() -> None:
    x = clusters(20, 5)[0]
    found = completed_start(partial(ridge_start, x), Ignore(torch.full((20, 3), -1.0)), x)
    assert not found.weight.any()


def test_unlabelled_images_help() -> None:
    gains = []
    for seed in range(5):
        x, targets, truth = clusters(600, 24, seed, width=200, noise=3.0)
        plain = ridge_start(x[:24], targets[:24])
        found = completed_start(partial(ridge_start, x[:400]), Pseudo(targets[:400]), x[:400])
        one, other = (
            mean_average_precision(x[400:] @ each.weight.T + each.bias, truth[400:]).value
            for each in (found, plain)
        )
        gains.append(one - other)
    assert min(gains) > 0.04, gains


def test_a_chosen_similarity_is_the_prior_of_both_fits() -> None:
    """With a label without known positives, whose classifier comes from similar labels."""
    x, targets, _ = clusters(80, 80)
    targets[:30, 1] = -1
    targets[:, 2] = torch.where(torch.arange(80) % 2 == 0, -1.0, 0.0)
    similar = torch.ones(8, 8, dtype=torch.float64).fill_diagonal_(0)
    choice = assembled(targets, Used("names", 0.4, similar), Used("names", 0.6, similar))
    first = similarity_start(x, targets, choice)
    known = targets >= 0
    estimates = torch.where(known, targets, torch.sigmoid(x @ first.weight.T + first.bias))
    second = similarity_start(x, estimates, choice)
    share = (~known).float().mean(0).sqrt()
    expected = first.weight + share[:, None] * (second.weight - first.weight)
    found = completed_start(partial(shared_start, x), Pseudo(targets), x, choice)
    torch.testing.assert_close(found.weight, expected)
    assert found.weight[2].any()
    alone = completed_start(partial(shared_start, x), Pseudo(targets), x)
    assert not torch.allclose(found.weight, alone.weight, rtol=0.1)
    none = completed_start(partial(shared_start, x), Pseudo(targets), x, assembled(targets))
    assert torch.equal(none.weight, alone.weight)
    independent = ridge_start(x, estimates)  # the mean logit stays that of independent classifiers
    for start in (second, independent):
        mean = (x @ start.weight[2] + start.bias[2]).mean()
        torch.testing.assert_close(mean, (x @ independent.weight[2] + independent.bias[2]).mean())


@pytest.mark.parametrize("unlabelled", [0, 20])
def test_images_without_labels_do_not_switch_the_similarity_off(unlabelled: int) -> None:
    x, targets, _ = clusters(80, 80 - unlabelled)
    targets[:10, 1] = -1
    similar = torch.ones(8, 8, dtype=torch.float64).fill_diagonal_(0)
    choice = assembled(targets, Used("names", 0.9, similar))
    found = completed_start(partial(shared_start, x), Pseudo(targets), x, choice)
    alone = completed_start(partial(shared_start, x), Pseudo(targets), x)
    assert not torch.allclose(found.weight, alone.weight, rtol=1e-3)
