"""The document's cross-entropy as a measure."""

import pytest
import torch

from gatlabel.errors import InputError
from gatlabel.losses import CELoss
from gatlabel.metrics import CEMeasure, ce_loss
from tests.reference import losses as slow


def example() -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(0)
    logits = torch.randn(7, 4, dtype=torch.float64)
    targets = torch.tensor([[1.0, 0, 0.3, -1]]).repeat(7, 1)
    targets[2] = 0
    return logits, targets


@pytest.mark.parametrize("form", ["printed", "well_posed"])
def test_it_is_the_loss_of_logits_and_of_their_probabilities(form: str) -> None:
    logits, targets = example()
    expected = CELoss(form)(logits, targets.double()).item()
    assert ce_loss(logits, targets, form=form, logits=True) == pytest.approx(expected)
    assert ce_loss(logits.sigmoid(), targets, form=form) == pytest.approx(expected)
    assert ce_loss(logits.sigmoid().numpy(), targets.numpy(), form=form) == pytest.approx(expected)
    measure = CEMeasure(4, form)
    measure.update(logits[:3], targets[:3])
    measure.update(logits[3:], targets[3:])
    assert measure.compute().item() == pytest.approx(expected)


def test_the_printed_form_is_the_document_s_formula() -> None:
    logits, targets = example()
    expected = slow.ce(logits.tolist(), targets.tolist())
    assert ce_loss(logits, targets, logits=True) == pytest.approx(expected)
    assert ce_loss(targets.clamp(min=0).round(), targets.round()) == 0  # the best
    assert ce_loss(1 - targets.clamp(min=0).round(), targets.round()) == -float("inf")


def test_invalid_probabilities_are_refused() -> None:
    logits, targets = example()
    with pytest.raises(InputError, match="not probabilities: pass logits=True"):
        ce_loss(logits, targets)
    with pytest.raises(InputError, match="row 0, label 'a' is NaN"):
        ce_loss(torch.full((1, 1), torch.nan), torch.ones(1, 1), labels=["a"])
    with pytest.raises(InputError, match=r"\(7, 4\)"):
        ce_loss(logits.sigmoid(), targets[:2])
