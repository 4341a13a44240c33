"""What is particular to the class-specific residual attention head."""

import math

import numpy as np
import pytest
import torch

from gatlabel.errors import InputError
from gatlabel.nn import CSRAHead
from gatlabel.nn.heads.csra import TEMPERATURES
from tests.reference import heads as reference

D, L = 7, 4


@pytest.mark.parametrize("heads", TEMPERATURES)
def test_computes_the_formula_of_its_docstring(heads: int) -> None:
    head = CSRAHead(D, L, heads=heads, lam=0.3).double()
    features = torch.randn(2, D, 3, 4, dtype=torch.float64)
    for image, logits in zip(features, head(features), strict=True):
        expected = head.bias.detach().numpy().copy()
        for weight, temperature in zip(head.weight, TEMPERATURES[heads], strict=True):
            parts = image.numpy(), weight.detach().numpy()
            expected += reference.csra(*parts, lam=0.3, temperature=temperature)
        np.testing.assert_allclose(logits.detach().numpy(), expected, rtol=0, atol=1e-12)


def test_no_attended_score_is_a_linear_head_on_averages() -> None:
    head = CSRAHead(D, L, lam=0.0)
    features = torch.randn(2, D, 3, 4)
    expected = features.mean((2, 3)) @ head.weight[0].T + head.bias
    torch.testing.assert_close(head(features), expected)


def test_normalised_scores_do_not_depend_on_the_length_of_a_classifier() -> None:
    head = CSRAHead(D, L, normalize=True, bias=False)
    features = torch.randn(2, D, 3, 4)
    before = head(features)
    with torch.no_grad():
        head.weight *= torch.tensor([0.5, 1.0, 3.0, 10.0])[:, None]
    torch.testing.assert_close(head(features), before)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"heads": 3}, "heads=3: give temperatures"),
        ({"heads": 2, "temperatures": [1.0]}, "expected 2 values above 0"),
        ({"temperatures": [0.0]}, "above 0"),
        ({"lam": -0.1}, "lam=-0.1"),
    ],
)
def test_wrong_options_are_named(options, message: str) -> None:
    with pytest.raises(InputError, match=message):
        CSRAHead(D, L, **options)


def test_user_temperatures() -> None:
    head = CSRAHead(D, L, heads=3, temperatures=[1, 2, "inf"])
    assert head.temperatures == (1.0, 2.0, math.inf)
    assert head.config["temperatures"] == [1.0, 2.0, "inf"]
