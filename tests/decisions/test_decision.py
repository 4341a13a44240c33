"""Decisions: what they decide, how they are chosen, and what of them is refused."""

import json
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import f1_score

from gatlabel.decisions import (
    Decision,
    DecisionOptions,
    choose_decision,
    conformal_threshold,
    decision_of,
    f1_thresholds,
    fit_calibration,
)
from gatlabel.decisions.wording import describe
from gatlabel.errors import InputError
from gatlabel.labels import LabelSet

LABELS = LabelSet(["cat", "dog", "yak", 'châ"t'])
AIMS = ["macro-f1", "micro-f1", "precision=0.7", "recall=0.8", "miss-rate=0.2", "fixed=0.3"]


def example(n=400, seed=0):
    """Logits that are too extreme, and targets of which some are unknown."""
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(n, 4, generator=generator) - torch.tensor([0.0, 1.0, 2.0, 1.5])
    targets = (torch.rand(n, 4, generator=generator) < logits.sigmoid()).float()
    targets[torch.rand(n, 4, generator=generator) < 0.1] = -1
    return 2 * logits, targets


def chosen(**options):
    return choose_decision(*example(), LABELS, DecisionOptions(**options), split="val")


@pytest.mark.parametrize("calibrate", ["none", "temperature", "vector"])
@pytest.mark.parametrize("aim", AIMS)
def test_is_the_same_after_saving(aim, calibrate, tmp_path):
    decision = chosen(aim=aim, calibrate=calibrate)
    decision.save(tmp_path / "decisions.json")
    again = decision_of(tmp_path, LABELS)
    assert again == decision
    logits, _ = example(50, seed=1)
    np.testing.assert_array_equal(again.present(logits), decision.present(logits))
    assert list(again.thresholds) == list(LABELS)


def test_thresholds_are_those_of_the_functions():
    logits, targets = example()
    p = logits.double().sigmoid()
    np.testing.assert_allclose(chosen().limits, f1_thresholds(p, targets).numpy())
    np.testing.assert_allclose(
        chosen(aim="miss-rate=0.2").limits, conformal_threshold(p, targets, 0.2)
    )
    assert len(set(chosen(per_label=False).thresholds.values())) == 1
    assert len(set(chosen().thresholds.values())) == 4


def test_calibration_is_that_of_the_function():
    logits, targets = example()
    expected = fit_calibration(logits, targets)(logits.double()).sigmoid().numpy()
    found = chosen(calibrate="vector").probabilities(logits)
    np.testing.assert_allclose(found, expected, atol=1e-12)


def test_macro_f1_is_above_that_of_one_half():
    decision = chosen()
    logits, targets = example(4000, seed=2)
    known, p = targets >= 0, logits.sigmoid()

    def macro(present):
        each = [f1_score(targets[known[:, k], k], present[known[:, k], k]) for k in range(4)]
        return np.mean(each)

    assert macro(decision.present(logits)) > macro((p >= 0.5).numpy()) + 0.05


@pytest.mark.parametrize("per_label", [False, True])
@pytest.mark.parametrize("calibrate", ["none", "temperature", "vector"])
def test_miss_rate_holds_on_new_images(calibrate, per_label):
    """In the mean over draws, with images without labels and unknown entries among them."""
    rates = []
    for seed in range(40):
        logits, targets = example(240, seed)
        decision = choose_decision(
            logits[:120], targets[:120], LABELS,
            DecisionOptions(aim="miss-rate=0.2", calibrate=calibrate, per_label=per_label),
            split="val",
        )  # fmt: skip
        missed = (targets[120:] == 1) & ~torch.from_numpy(decision.present(logits[120:]))
        present = targets[120:] == 1
        over = 0 if per_label else 1
        rate = missed.sum(over) / present.sum(over).clamp(min=1)
        rates.append(float(rate.mean()))
    error = np.std(rates) / math.sqrt(len(rates))
    assert np.mean(rates) <= 0.2 + 2 * error
    assert np.mean(rates) >= 0.1


def test_vector_calibration_and_a_guarantee_share_no_images():
    logits, targets = example()
    decision = chosen(aim="miss-rate=0.2", calibrate="vector")
    rows = np.random.default_rng(0).permutation(len(logits))
    fitted = fit_calibration(logits[rows[:200]], targets[rows[:200]])
    np.testing.assert_allclose([w for w, _ in decision.scaling.values()], fitted.weight)
    p = fitted(logits[rows[200:]].double()).sigmoid()
    expected = conformal_threshold(p, targets[rows[200:]], 0.2)
    np.testing.assert_allclose(decision.limits, expected)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.floats(-1e4, 1e4), min_size=4, max_size=4), st.floats(0, 1))
def test_present_is_probability_at_or_above_the_threshold(row, threshold):
    decision = Decision.fixed(LABELS, threshold)
    p = [1 / (1 + math.exp(-z)) if z > -700 else 0.0 for z in row]
    expected = [value >= threshold for value in p]
    assert decision.present(np.array([row]))[0].tolist() == expected


def test_labels_with_too_few_positives_are_in_every_set():
    logits, targets = example(60)
    targets[:, 3] = targets[:, 3].clamp(max=0)
    options = DecisionOptions(aim="miss-rate=0.05", per_label=True)
    decision = choose_decision(logits, targets, LABELS, options, split="val")
    assert decision.thresholds['châ"t'] == 0
    assert decision.present(logits)[:, 3].all()
    assert "too few positives" in decision.notes[0]
    assert "19 are needed" in decision.notes[0]


def test_words_name_the_split_and_the_guarantee():
    words = describe(chosen(aim="miss-rate=0.1", confidence=0.9))
    assert words["chosen on"] == "val, 400 images"
    assert "10 %" in words["guarantee"]
    assert "confidence of 90 %" in words["guarantee"]
    assert "guarantee" not in describe(chosen())
    assert describe(Decision.fixed(LABELS))["chosen on"] == "no images"


def test_own_thresholds_leave_the_calibration():
    decision = chosen(calibrate="vector")
    own = decision.with_thresholds(0.25)
    assert set(own.thresholds.values()) == {0.25}
    assert own.scaling == decision.scaling
    assert own.aim == ""
    assert chosen().with_thresholds(0.25) == Decision.fixed(LABELS, 0.25)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"aim": "f1"}, "unknown aim 'f1'"),
        ({"aim": "macro-f1=0.5"}, "takes no value"),
        ({"aim": "precision"}, "between 0 and 1"),
        ({"aim": "precision="}, "between 0 and 1"),
        ({"aim": "recall=1"}, "between 0 and 1"),
        ({"aim": "miss-rate=nan"}, "between 0 and 1"),
        ({"aim": "fixed=1.5"}, "from 0 to 1"),
        ({"aim": "micro-f1", "per_label": True}, "one threshold for all labels"),
        ({"aim": "fixed=0.5", "per_label": True}, "one threshold for all labels"),
        ({"confidence": 0.9}, "confidence is for"),
        ({"aim": "recall=0.9", "confidence": 0.9}, "use miss-rate=0.1"),
        ({"aim": "miss-rate=0.1", "confidence": 1.0}, "confidence=1.0"),
        ({"aim": "precision=0.9", "confidence": 0.9, "per_label": True}, "leave out"),
        ({"calibrate": "platt"}, "none or temperature or vector"),
    ],
)
def test_options_that_do_not_go_together(options, message):
    with pytest.raises(InputError, match=message):
        DecisionOptions(**options)


@pytest.mark.parametrize(
    ("value", "message"), [(0, "known to be present"), (1, "known to be absent"), (-1, "present")]
)
def test_nothing_is_chosen_without_both_classes(value, message):
    logits, targets = example(20)
    with pytest.raises(InputError, match=f"{message} in the 20 images of val"):
        choose_decision(logits, torch.full_like(targets, value), LABELS, split="val")


def broken(**changes):
    return {**chosen(calibrate="vector").to_dict(), **changes}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([], "not of the format"),
        (broken(format="x"), "not of the format"),
        (broken(thresholds=None), "thresholds=None"),
        (broken(thresholds={"cat": 0.5}), "missing: 'dog'"),
        (broken(thresholds=dict.fromkeys(LABELS, 2)), "expected a probability"),
        (broken(aim="best"), "unknown aim"),
        (broken(aim=3), "aim=3"),
        (broken(per_label="yes"), "per_label"),
        (broken(confidence=0.9), "confidence is for"),
        (broken(chosen_on={"split": "val", "images": -1}), "images=-1"),
        (broken(calibration={"method": "vector", "labels": {}}), "calibrate='vector'"),
        (broken(calibration={"method": "none", "labels": {"cat": {}}}), "weight=None"),
        (
            broken(calibration={"method": "vector", "labels": {n: {"weight": -1, "bias": 0} for n in LABELS}}),  # noqa: E501
            "must be at least 0",
        ),
        (broken(notes=[1]), "notes"),
    ],
)  # fmt: skip
def test_damaged_files_are_one_error(content, message, tmp_path):
    path = tmp_path / "decisions.json"
    path.write_text(json.dumps(content))
    with pytest.raises(InputError, match=message) as caught:
        Decision.load(path, LABELS)
    assert str(path) in str(caught.value)
    assert "gatlabel decide" in str(caught.value)
    assert "\n" not in str(caught.value)
