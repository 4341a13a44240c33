"""Fast logarithms against torch's in float64, at every kind of logit."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from gatlabel.losses import LLRLoss
from gatlabel.losses.logarithms import expm1, log_sigmoids


def logits() -> Tensor:
    ends = torch.tensor([0.0, -0.0, 1e-30, -1e-30, 1e30, -1e30], dtype=torch.float64)
    small = torch.logspace(-12, 0, 5001, dtype=torch.float64)
    return torch.cat([torch.linspace(-100, 100, 40001, dtype=torch.float64), small, -small, ends])


def error(found: Tensor, true: Tensor) -> float:
    """Largest relative error in units of the last place."""
    relative = ((found.double() - true) / true).abs()
    normal = true.abs() > torch.finfo(found.dtype).tiny
    assert torch.equal(found.double()[true == 0], true[true == 0])
    return float(relative[normal].max()) / torch.finfo(found.dtype).eps


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_values_are_those_of_torch_to_a_few_units(dtype: torch.dtype) -> None:
    z = logits().to(dtype)
    for found, sign in zip(log_sigmoids(z), (1, -1), strict=True):
        assert error(found, F.logsigmoid(sign * z.double())) < 4
    x = -logits().abs().to(dtype)
    assert error(expm1(x), torch.expm1(x.double())) < 4


def test_infinite_and_undefined_logits() -> None:
    z = torch.tensor([torch.inf, -torch.inf, torch.nan], requires_grad=True)
    log_p, log_q = log_sigmoids(z)
    assert log_p[:2].tolist() == [0, -torch.inf]
    assert log_q[:2].tolist() == [-torch.inf, 0]
    assert log_p[2].isnan()
    assert log_q[2].isnan()
    (slope,) = torch.autograd.grad(log_p[:2].sum(), z)
    assert slope[:2].tolist() == [0, 1]
    assert expm1(torch.tensor([-torch.inf, 0.0])).tolist() == [-1, 0]


@pytest.mark.parametrize("function", [log_sigmoids, expm1])
def test_first_and_second_derivatives_are_right(function) -> None:
    z = torch.linspace(-6, 6, 13, dtype=torch.float64, requires_grad=True)  # 0 is among them
    assert torch.autograd.gradcheck(function, z)
    assert torch.autograd.gradgradcheck(function, z)


@pytest.mark.parametrize("share", [0.01, 0.2, 0.5, 1.0])
def test_suspects_are_the_first_of_a_stable_sort(share: float) -> None:
    """Of equal losses the first are taken, as by sorting all of them."""
    generator = torch.Generator().manual_seed(0)
    loss = torch.randint(0, 4, (7, 9), generator=generator).float()  # many are equal
    y = (torch.rand(7, 9, generator=generator) < 0.3).float()
    known = torch.rand(7, 9, generator=generator) < 0.8
    module = LLRLoss(rate=share)
    module.set_progress(0.5, epoch=1)
    absent = (known & (y < 0.5)).flatten()
    order = torch.where(absent, loss.flatten(), -torch.inf).argsort(descending=True, stable=True)
    most = int(torch.tensor(share * int(known.sum()) - 1e-9).ceil())
    expected = torch.zeros(63, dtype=torch.bool)
    expected[order[:most]] = True
    assert torch.equal(module.suspects(loss, y, known).flatten(), expected & absent)
