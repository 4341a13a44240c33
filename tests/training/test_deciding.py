"""A trained model is never lost because its images cannot choose a decision."""

import pytest
import torch

from gatlabel.decisions.options import DecisionOptions
from gatlabel.labels import LabelSet
from gatlabel.training.deciding import choose

LABELS = LabelSet(["a", "b"])


@pytest.mark.parametrize(
    ("options", "targets", "reason"),
    [
        (DecisionOptions(), torch.empty(0, 2), "val has no images"),
        (DecisionOptions(), torch.zeros(3, 2), "no label is known to be present in the 3 images"),
        (
            # half of the images is for calibration, and one of the halves has no presence
            DecisionOptions(aim="miss-rate=0.1", calibrate="vector"),
            torch.tensor([[1.0, 0.0], [0.0, 0.0], [0.0, 0.0], [0.0, 0.0]]),
            "images of half of val",
        ),
    ],
)
def test_images_that_cannot_choose_leave_thresholds_at_half(
    options: DecisionOptions, targets: torch.Tensor, reason: str
) -> None:
    lines: list[str] = []
    decision = choose(options, LABELS, torch.zeros(targets.shape), targets, "val", lines.append)
    assert decision.thresholds == {"a": 0.5, "b": 0.5}
    (line,) = lines
    assert reason in line
    assert line.endswith(": thresholds stay 0.5")
    assert decision.notes == (line,)
