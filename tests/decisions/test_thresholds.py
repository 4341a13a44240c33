"""Thresholds for F1, precision and recall."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from gatlabel.decisions import (
    DecisionOptions,
    choose_decision,
    f1_thresholds,
    precision_thresholds,
    recall_thresholds,
)
from gatlabel.errors import InputError
from gatlabel.labels import LabelSet
from tests.reference import decisions as slow

PROBABILITIES = arrays(np.float32, (9, 2), elements=st.sampled_from([0.0, 0.1, 0.25, 0.5, 1.0]))
TARGETS = arrays(np.int8, (9, 2), elements=st.sampled_from([-1, 0, 1]))


def draw(images: int, labels: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Targets drawn from the probabilities themselves."""
    generator = torch.Generator().manual_seed(seed)
    p = torch.rand(images, labels, generator=generator) ** 2
    return p, (torch.rand(images, labels, generator=generator) < p).float()


@settings(max_examples=60, deadline=None)
@given(PROBABILITIES, TARGETS)
def test_observed_f1_is_the_best_there_is(p: np.ndarray, y: np.ndarray) -> None:
    found = f1_thresholds(p, y, pseudo=0)
    for label in range(2):
        known = y[:, label] >= 0
        if not (y[:, label] == 1).any():
            continue
        own = p[known, label], y[known, label]
        assert slow.f1_at(*own, float(found[label])) == pytest.approx(slow.best_f1(*own))


@settings(max_examples=40, deadline=None)
@given(PROBABILITIES, TARGETS)
def test_micro_f1_is_the_best_there_is(p: np.ndarray, y: np.ndarray) -> None:
    found = f1_thresholds(p, y, average="micro")
    assert (found == found[0]).all()
    own = p[y >= 0], y[y >= 0]
    assert slow.f1_at(*own, float(found[0])) == pytest.approx(slow.best_f1(*own))


def test_calibrated_probabilities_with_few_positives_get_half_of_the_best_f1() -> None:
    p, y = draw(20_000, 1)
    best = slow.best_f1(p[:, 0].numpy(), y[:, 0].numpy())
    few = torch.full_like(y, -1)
    few[:200] = y[:200]
    # Lipton et al. 2014: the optimal threshold of calibrated probabilities is F*/2
    assert abs(float(f1_thresholds(p, few, pseudo=1e9)) - best / 2) < 0.03


def test_labels_with_few_positives_do_better_on_other_images_than_by_their_own_best() -> None:
    gains = []
    for seed in range(10):
        p = draw(2_000, 30, seed)[0] ** 4
        generator = torch.Generator().manual_seed(seed + 100)
        rare = (torch.rand(p.shape, generator=generator) < p).float()
        scores = []
        for pseudo in (50.0, 0.0):
            t = f1_thresholds(p[:60], rare[:60], pseudo=pseudo)
            chosen, present = p[60:] >= t, rare[60:] == 1
            hits = (chosen & present).sum(0)
            scores.append(float((2 * hits / (chosen.sum(0) + present.sum(0))).mean()))
        gains.append(scores[0] - scores[1])
    assert np.mean(gains) > 3 * np.std(gains) / np.sqrt(len(gains))


def test_a_label_without_known_targets_uses_the_others() -> None:
    p, y = draw(500, 3)
    y[:, 2] = -1
    found = f1_thresholds(p, y)
    assert abs(float(found[2] - found[:2].mean())) < 0.1


def test_one_threshold_for_all() -> None:
    p, y = draw(800, 5)
    p[:, 1] /= 4
    shared = f1_thresholds(p, y, shared=True, pseudo=0)
    assert (shared == shared[0]).all()

    def macro(threshold: float) -> float:
        return float(
            np.mean([slow.f1_at(p[:, k].numpy(), y[:, k].numpy(), threshold) for k in range(5)])
        )

    assert macro(float(shared[0])) > max(macro(t) for t in np.linspace(0, 1, 200)) - 0.01


@settings(max_examples=40, deadline=None)
@given(PROBABILITIES, TARGETS, st.sampled_from([0.3, 0.5, 0.9]))
def test_precision_and_recall_are_reached(p: np.ndarray, y: np.ndarray, least: float) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        precise = precision_thresholds(p, y, least, pseudo=0)
    complete = recall_thresholds(p, y, least, pseudo=0)
    for label in range(2):
        known = y[:, label] >= 0
        values, present = p[known, label], y[known, label] == 1

        def precision(t: float, values=values, present=present) -> float:
            return present[values >= t].mean() if (values >= t).any() else 0.0

        def recall(t: float, values=values, present=present) -> float:
            return (values[present] >= t).mean()

        reached = [t for t in {*values.tolist()} if precision(t) >= least - 1e-9]
        if reached:
            at = float(precise[label])
            assert precision(at) >= least - 1e-6
            assert (values >= at).sum() == (values >= min(reached)).sum()
        elif known.any():
            assert precise[label] == 1
        if present.any():
            at = float(complete[label])
            assert recall(at) >= least - 1e-6
            above = [t for t in {*values.tolist()} if (values >= t).sum() < (values >= at).sum()]
            assert all(recall(t) < least for t in above)


def test_an_unreachable_precision_is_reported() -> None:
    p = torch.tensor([[0.9], [0.8], [0.1]])
    with pytest.warns(UserWarning, match="for 1 labels"):
        assert precision_thresholds(p, torch.tensor([[0], [0], [1]]), 0.9, pseudo=0) == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"probabilities": torch.tensor([[2.0]])}, "2 is not a probability"),
        ({"targets": torch.tensor([[0.5]])}, "row 0"),
        ({"probabilities": torch.zeros(0, 1), "targets": torch.zeros(0, 1)}, "no images"),
        ({"average": "weighted"}, "average"),
        ({"pseudo": -1}, "pseudo"),
        ({"pseudo": float("nan")}, "pseudo"),
    ],
)
def test_invalid_arguments_are_refused(change: dict, message: str) -> None:
    given_ = {"probabilities": torch.tensor([[0.5]]), "targets": torch.tensor([[1.0]]), **change}
    with pytest.raises(InputError, match=message):
        f1_thresholds(**given_)


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64])
def test_adjacent_probabilities_are_distinguished(dtype: torch.dtype) -> None:
    above = torch.nextafter(torch.tensor(0.5, dtype=torch.float32), torch.tensor(1.0))
    p = torch.tensor([[above], [0.5]]).to(dtype)
    if p[0] == p[1]:
        p[0] = 0.6
    t = f1_thresholds(p, torch.tensor([[1], [0]]), pseudo=0)
    assert (p.float() >= t).flatten().tolist() == [True, False]


@pytest.mark.parametrize(
    ("p", "y", "expected"),
    [
        ([0.9, 0.8, 0.95], [1, 1, 1], 0.5),
        ([0.9, 0.2, 0.95], [1, 1, 1], 0.2),  # every known presence is found
        ([0.9, 0.2, 0.95], [1, -1, 1], 0.5),
    ],
)
def test_a_label_that_is_never_absent_is_not_predicted_everywhere(
    p: list[float], y: list[int], expected: float
) -> None:
    """Any threshold up to the lowest presence is as good; 0 would predict it on every new image."""
    values, targets = torch.tensor(p)[:, None], torch.tensor(y)[:, None]
    assert f1_thresholds(values, targets).item() == pytest.approx(expected)
    assert precision_thresholds(values, targets, 0.9).item() == pytest.approx(expected)


@pytest.mark.parametrize("aim", ["macro-f1", "precision=0.9"])
def test_a_note_names_labels_that_are_never_absent(aim: str) -> None:
    logits = torch.tensor([[2.0, 1.0], [1.0, -1.0], [3.0, 2.0]])
    targets = torch.tensor([[1, 1], [1, 0], [1, 1]])
    labels = LabelSet(["car", "dog"])
    found = choose_decision(logits, targets, labels, DecisionOptions(aim=aim), split="val")
    assert found.thresholds["car"] == 0.5
    note = "never known to be absent in val, so the threshold is 0.5 or less: car"
    assert note in found.notes


def test_a_label_that_is_never_present_and_never_learned_is_predicted_nowhere() -> None:
    """As one without presences in training: its classifier gives all images one probability."""
    p, y = draw(400, 3)
    p[:, 0], y[:, 0] = 0.0067, 0
    p[:, 1], y[:, 1] = 0.0067, -1  # nothing is known: as before
    found = f1_thresholds(p, y)
    assert found[0] == 1
    assert found[1] == 0
    assert 0 < found[2] < 1
    y[7, 0] = 1  # where it is known to be present, predicting it everywhere is best
    assert f1_thresholds(p, y)[0] == 0
    p[:, 0] = torch.linspace(0.001, 0.01, 400)  # probabilities that order images are evidence
    y[7, 0] = 0
    assert f1_thresholds(p, y)[0] < 1
