import json
import math
import subprocess
import sys

import numpy as np
import pytest
import torch

from gatlabel.errors import InputError
from gatlabel.metrics import average_precision, evaluate_scores, f1_scores, harden

LABELS = ["cat", "dog", "sofa", "yak"]


def example(n=50):
    rng = np.random.default_rng(0)
    logits = torch.from_numpy(rng.normal(size=(n, 4)))
    targets = torch.from_numpy((rng.random((n, 4)) < 0.4).astype(np.float32))
    targets[torch.from_numpy(rng.random((n, 4)) < 0.2)] = -1
    targets[:, 3] = targets[:, 3].clamp(max=0)
    return logits, targets


def test_numbers_are_those_of_the_functions():
    logits, targets = example()
    report = evaluate_scores(logits, targets, LABELS)
    for name, key in (("uninterpolated", "mAP"), ("voc2007", "mAP_voc2007")):
        expected = float(average_precision(logits, targets, name).nanmean())
        assert report.metrics[key] == pytest.approx(expected, abs=1e-12)
    assert report.metrics["OF1"] == f1_scores(logits, targets, logits=True).of1
    top = f1_scores(logits, targets, logits=True, k=3, top_k="plain")
    assert report.metrics["top3_plain_CF1"] == top.cf1


def test_frequency_and_labels_left_out():
    logits, targets = example()
    report = evaluate_scores(logits, targets, LABELS)
    assert report.left_out == ("yak",)
    known = targets[:, 0] != -1
    assert float(report.frequency[0]) == pytest.approx(float(targets[known, 0].mean()))
    assert report.metrics["mean_frequency"] == pytest.approx(float(report.frequency[:3].mean()))
    assert any("yak" in line for line in report.protocol)


def test_subset_accuracy_and_hamming_loss_by_hand():
    logits = torch.tensor([[1.0, -1], [1, 1], [-1, 1], [1, 1]])
    targets = torch.tensor([[1, 0], [1, 0], [-1, 1], [-1, -1]])
    metrics = evaluate_scores(logits, targets, ["a", "b"]).metrics
    assert metrics["subset_accuracy"] == pytest.approx(2 / 3)  # the last image has no target
    assert metrics["hamming_loss"] == pytest.approx(1 / 5)


def test_labels_that_are_never_absent_are_in_no_figure_but_are_listed():
    logits, targets = example()
    expected = evaluate_scores(logits[:, 1:], targets[:, 1:], LABELS[1:], k=4)
    targets[:, 0] = torch.where(targets[:, 0] == 1, 1.0, -1.0)  # presences, and no absence
    report = evaluate_scores(logits, targets, LABELS, k=4)
    assert report.never_absent == ("cat",)
    assert report.left_out == ("yak",)
    assert all(report.rows()[0][name] is None for name in ("ap", "f1", "frequency"))
    assert report.rows()[0]["positives"] == report.rows()[0]["known"] > 0
    for name in (
        "mAP",
        "mAP_voc2007",
        "CF1",
        "OP",
        "OF1",
        "macro_F1",
        "top4_CF1",
        "mean_frequency",
    ):
        assert report.metrics[name] == pytest.approx(expected.metrics[name], abs=1e-12), name
    assert report.to_dict()["never_absent"] == ["cat"]
    assert any("never known to be absent" in line and "cat" in line for line in report.protocol)


def test_without_known_absences_there_is_no_value():
    """Targets of 1 and -1 once reported mAP 1, F1 1, and no wrong decision."""
    report = evaluate_scores(torch.ones(4, 2), torch.tensor([[1.0, -1], [-1, 1]] * 2), ["a", "b"])
    assert all(math.isnan(value) for value in report.metrics.values())
    assert report.never_absent == ("a", "b")


def test_decisions_are_evaluated_in_addition_to_the_threshold():
    logits, targets = example()
    decisions = logits > 0.3
    report = evaluate_scores(logits, targets, LABELS, decisions=decisions, decided_by="by hand")
    limit = float(torch.sigmoid(torch.tensor(0.3, dtype=torch.float64)))
    expected = f1_scores(logits, targets, limit, logits=True)
    plain = evaluate_scores(logits, targets, LABELS)
    assert report.metrics["decision_CF1"] == pytest.approx(expected.cf1)
    assert report.metrics["decision_macro_F1"] == pytest.approx(expected.macro_f1)
    for name in ("precision", "recall", "f1"):
        torch.testing.assert_close(
            getattr(report, name)[:3], getattr(expected, name)[:3], equal_nan=True
        )
    known, present = targets != -1, targets == 1
    missed = [
        float((present[i] & ~decisions[i]).sum()) / max(int(present[i].sum()), 1)
        for i in range(len(logits))
        if known[i].any()
    ]
    assert report.metrics["decision_miss_rate"] == pytest.approx(np.mean(missed))
    assert any("by hand" in line for line in report.protocol)
    for name, value in plain.metrics.items():  # at the threshold as without
        assert report.metrics[name] == pytest.approx(value, nan_ok=True)
    with pytest.raises(InputError, match="decisions"):
        evaluate_scores(logits, targets, LABELS, decisions=decisions[:, :2])


def test_soft_targets_are_binarised_and_reported():
    logits = torch.tensor([[1.0], [-1.0], [0.0]])
    report = evaluate_scores(logits, torch.tensor([[0.7], [0.2], [-1.0]]), ["a"])
    assert report.metrics["mAP"] == 1
    assert any("2 soft targets" in line for line in report.protocol)
    assert harden(torch.tensor([[0.5, 0.49, -1.0, 1.0]])).tolist() == [[1, 0, -1, 1]]


def test_is_json_even_with_nothing_to_measure():
    report = evaluate_scores(torch.zeros(2, 2), torch.full((2, 2), -1.0), ["a", "b"])
    text = json.dumps(report.to_dict(), allow_nan=False)
    content = json.loads(text)
    assert content["metrics"]["mAP"] is None
    assert content["labels"][1]["label"] == "b"
    assert math.isnan(report.metrics["hamming_loss"])


def test_names_must_fit():
    with pytest.raises(InputError, match="3 label names"):
        evaluate_scores(torch.zeros(1, 2), torch.zeros(1, 2), ["a", "b", "c"])


def test_functions_do_not_load_torchmetrics():
    code = (
        "import sys, gatlabel.metrics, gatlabel.losses;"
        "bad = {'torchmetrics', 'torchvision', 'torch_geometric', 'lightning'} & set(sys.modules);"
        "assert not bad, bad;"
        "gatlabel.metrics.F1Scores; assert 'torchmetrics' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("value", [2.0, -0.5, math.nan])
def test_targets_outside_the_convention_are_refused(value):
    with pytest.raises(InputError, match=r"target at \(0, 1\)"):
        evaluate_scores(torch.zeros(1, 2), torch.tensor([[0.0, value]]), ["a", "b"])
