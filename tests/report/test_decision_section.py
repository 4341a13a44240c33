"""The section on decisions: its curves against scikit-learn, and its text."""

import dataclasses

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, precision_recall_curve

from gatlabel.decisions import Decision, DecisionOptions, choose_decision
from gatlabel.labels import LabelSet
from gatlabel.report.curves import precision_recall
from gatlabel.report.decision_section import decision_section
from tests.report.content import make

NAMES = LabelSet([f"label {k}" for k in range(5)])


@pytest.mark.parametrize("decimals", [1, 8])
def test_curve_is_that_of_scikit_learn(decimals):
    rng = np.random.default_rng(0)
    scores, present = rng.normal(size=200).round(decimals), rng.random(200) < 0.3
    recall, precision = precision_recall(scores, present)
    theirs, their_recall, _ = precision_recall_curve(present, scores)
    np.testing.assert_allclose(precision, theirs[:-1][::-1])
    np.testing.assert_allclose(recall, their_recall[:-1][::-1])
    area = float(np.sum(np.diff(recall, prepend=0) * precision))
    assert area == pytest.approx(average_precision_score(present, scores))


def chosen(split="val", **options):
    content = make(N=300)
    return dataclasses.replace(
        content,
        decision=choose_decision(
            content.logits, content.targets, NAMES, DecisionOptions(**options), split=split
        ),
    )


def test_names_what_chose_the_thresholds():
    page = decision_section(chosen("out-of-fold", aim="miss-rate=0.2"))
    assert "out-of-fold predictions for training images, 300 images" in page
    assert "at most 20 % of an image&#x27;s present labels" in page
    assert "expect lower" not in page
    assert "before calibration" not in page
    assert "chosen on them: expect lower values on other images" in decision_section(chosen("val"))


def test_calibration_is_shown_before_and_after():
    page = decision_section(chosen(calibrate="vector"))
    assert page.count("before calibration") >= 2
    assert "shrunk towards shared ones" in page


def test_the_decision_is_a_point_on_the_curve():
    content = chosen(aim="fixed=0.4")
    page = decision_section(content)
    p = 1 / (1 + np.exp(-np.asarray(content.logits)))
    known = np.asarray(content.targets) >= 0
    decided, present = (p >= 0.4) & known, np.asarray(content.targets) == 1
    hits = (decided & present).sum()
    words = f"decision: precision {hits / decided.sum():.3f}, recall {hits / present.sum():.3f}"
    assert words in page


def test_labels_with_few_positives_have_no_curves():
    content = chosen()
    targets = np.array(content.targets)
    targets[:, 2] = 0
    targets[:9, 2] = 1
    page = decision_section(dataclasses.replace(content, targets=targets))
    assert page.count('<figure class="pair">') == 4
    assert "<b>label 2</b>" not in page


def test_nothing_without_a_decision_or_images():
    assert decision_section(make(decision=None)) == ""
    assert decision_section(make(N=0)) == ""
    known = make(decision=Decision.fixed(NAMES, 0.5), targets=np.full((30, 5), -1.0))
    assert "Thresholds of all labels" in decision_section(known)
