"""Temperature scaling of classes against a direct search of the loss, and its file."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar
from sklearn.metrics import log_loss

from gatlabel.decisions import ClassDecision, choose_class_decision, fit_temperature
from gatlabel.errors import InputError
from gatlabel.labels import LabelSet
from gatlabel.tasks import MultiClassTask

NAMES = LabelSet(["sun", "rain", "snow"])


def draw(images: int, classes: int, scale: float, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits that are ``scale`` times those that the classes are drawn from."""
    generator = torch.Generator().manual_seed(seed)
    logits = 2 * torch.randn(images, classes, generator=generator, dtype=torch.float64)
    drawn = torch.multinomial(logits.softmax(1), 1, generator=generator)[:, 0]
    return scale * logits, drawn


@settings(max_examples=30, deadline=None)
@given(st.integers(2, 6), st.sampled_from([0.02, 0.5, 1.0, 7.0, 60.0]), st.integers(0, 9))
def test_it_has_the_least_loss_of_all_temperatures(classes: int, scale: float, seed: int) -> None:
    logits, drawn = draw(300, classes, scale, seed)

    def loss(place: float) -> float:
        p = torch.softmax(logits / math.exp(place), 1).numpy()
        mean = log_loss(drawn.numpy(), p, labels=range(classes))
        return 300 * mean + 5e-4 * place**2

    best = minimize_scalar(loss, bounds=(-6.9, 6.9), method="bounded", options={"xatol": 1e-9})
    found = fit_temperature(logits, drawn)
    assert loss(math.log(found)) <= best.fun + 1e-7
    assert math.log(found) == pytest.approx(best.x, abs=1e-4)


def test_unknown_classes_and_shifts_change_nothing() -> None:
    logits, drawn = draw(200, 3, 3.0, 0)
    best = fit_temperature(logits, drawn)
    more = torch.cat([logits, 100 * torch.randn(50, 3)])
    unknown = torch.cat([drawn, torch.full((50,), -1)])
    assert fit_temperature(more, unknown) == pytest.approx(best, rel=1e-12)
    assert fit_temperature(logits + torch.randn(200, 1), drawn) == pytest.approx(best, rel=1e-6)
    assert fit_temperature(logits.numpy(), drawn.numpy()) == best


@pytest.mark.parametrize("factor", [1.0, 1e-6, 1e6, math.inf])
def test_separable_classes_have_a_finite_temperature(factor: float) -> None:
    drawn = torch.arange(60) % 3
    logits = torch.nn.functional.one_hot(drawn, 3).double().where(drawn[:, None] < 0, 0.0)
    logits[range(60), drawn] = factor
    found = fit_temperature(logits, drawn)
    assert 1e-3 <= found <= 1e3
    decision = ClassDecision(NAMES, found)
    assert decision.probabilities(logits.clamp(max=1e30)).isfinite().all()


def test_the_decision_is_that_of_the_logits_and_survives_its_file() -> None:
    logits, drawn = draw(300, 3, 5.0, 1)
    decision = choose_class_decision(logits, drawn, NAMES, split="val")
    assert (decision.split, decision.images) == ("val", 300)
    assert decision.temperature == pytest.approx(5.0, rel=0.2)
    assert ClassDecision.from_dict(decision.to_dict(), NAMES) == decision
    task = MultiClassTask("weather", NAMES, torch.nn.Identity(), decision=decision)
    plain = MultiClassTask("weather", NAMES, torch.nn.Identity())
    assert torch.equal(task.decide(logits), plain.decide(logits))
    expected = log_loss(drawn.numpy(), task.activation(logits).numpy())
    assert task.metrics(logits, drawn)["log_loss"] == pytest.approx(expected)
    assert expected < plain.metrics(logits, drawn)["log_loss"]


@pytest.mark.parametrize(
    ("logits", "classes", "message"),
    [
        (np.zeros((3, 2)), [0, 1], "expected"),
        (np.zeros((2, 2)), [0, 2], "classes: expected numbers from 0 to 1"),
        (np.zeros((2, 2)), [1, -1], "fewer than two classes are known"),
        (np.full((2, 2), np.nan), [0, 1], "NaN"),
    ],
)
def test_invalid_arguments_are_refused(logits, classes, message: str) -> None:
    with pytest.raises(InputError, match=message):
        fit_temperature(logits, np.array(classes))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": "x"}, "not of the format"),
        ({"classes": ["sun", "rain"]}, "missing: 'snow'"),
        ({"calibration": {"temperature": 0}}, "temperature"),
        ({"calibration": None}, "calibration=None: give values by name"),
        ({"chosen_on": {"split": "val", "images": -1}}, "chosen_on.images"),
    ],
)
def test_damaged_content_is_one_error(change: dict, message: str) -> None:
    content = ClassDecision(NAMES, 2.0, "val", 5).to_dict() | change
    with pytest.raises(InputError, match=message) as error:
        ClassDecision.from_dict(content, NAMES)
    assert "\n" not in str(error.value)
