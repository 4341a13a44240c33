"""Losses at logits and targets that no sound training has, and that one going wrong has first."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from gatlabel.errors import InputError
from gatlabel.losses import (
    BCELoss,
    FocalLoss,
    asymmetric_loss,
    binary_cross_entropy,
    focal_loss,
)
from tests.losses.test_losses import LOSSES as USUAL

Loss = Callable[..., Tensor]

LOSSES: dict[str, Loss] = {
    **USUAL,
    "focal without focus": lambda *a, **k: focal_loss(*a, gamma=0.0, **k),
    "focal of a root": lambda *a, **k: focal_loss(*a, gamma=0.5, **k),
    "focal positives only": lambda *a, **k: focal_loss(*a, alpha=1.0, **k),
    "focal negatives only": lambda *a, **k: focal_loss(*a, alpha=0.0, **k),
    "asymmetric of roots": lambda *a, **k: asymmetric_loss(
        *a, gamma_negative=0.5, gamma_positive=0.5, **k
    ),
    "asymmetric without focus": lambda *a, **k: asymmetric_loss(
        *a, gamma_negative=0.0, clip=0.0, **k
    ),
}
every_loss = pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES.keys())
# At a logit of infinite size on the wrong side: 0 where such positives or negatives are given up.
GIVEN_UP = {
    ("focal positives only", 0.0),
    ("focal negatives only", 1.0),
    *((name, 0.0) for name in LOSSES if name.startswith("asymmetric")),
} - {("asymmetric unclipped", 0.0), ("asymmetric without focus", 0.0)}


def derivatives(loss: Loss, logit: float, target: float, dtype: torch.dtype) -> list[Tensor]:
    """Value, first and second derivative at a single logit."""
    z = torch.tensor([[logit]], dtype=torch.float64).to(dtype).requires_grad_()
    value = loss(z, torch.tensor([[target]]), reduction="sum")
    first = torch.autograd.grad(value, z, create_graph=True)[0]
    second = torch.zeros_like(first)
    if first.requires_grad:
        found = torch.autograd.grad(first.sum(), z, allow_unused=True)[0]
        second = second if found is None else found
    return [value.detach(), first.detach(), second.detach()]


@every_loss
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_no_logit_makes_a_gradient_nan(loss: Loss, dtype: torch.dtype) -> None:
    largest = torch.finfo(dtype).max
    margin = math.log(0.05 / 0.95)
    for size in (0.0, margin, 50.0, 200.0, 1e4, 1e30, largest, math.inf):
        for logit in (size, -size):
            for target in (0.0, 0.3, 1.0):
                value, first, second = derivatives(loss, logit, target, dtype)
                assert value >= 0, (logit, target)
                assert first.isfinite().all(), (logit, target)
                assert second.isfinite().all(), (logit, target)


@pytest.mark.parametrize("name", LOSSES)
def test_infinite_logits_are_the_limit_of_large_ones(name: str) -> None:
    for target, wrong in ((0.0, math.inf), (1.0, -math.inf)):
        value, first, _ = derivatives(LOSSES[name], wrong, target, torch.float64)
        _, near, _ = derivatives(LOSSES[name], math.copysign(1e3, wrong), target, torch.float64)
        if (name, target) not in GIVEN_UP:
            assert value == math.inf
        torch.testing.assert_close(first, near)
        value, first, _ = derivatives(LOSSES[name], -wrong, target, torch.float64)
        assert value == 0
        assert first == 0


@every_loss
def test_an_infinite_logit_touches_no_other_entry(loss: Loss) -> None:
    torch.manual_seed(0)
    logits = torch.randn(4, 3)
    targets = torch.tensor([[1.0, 0.0, 0.4]]).repeat(4, 1)
    alone = logits.clone().requires_grad_()
    loss(alone, targets, reduction="sum").backward()
    z = logits.clone()
    z[1] = torch.tensor([-math.inf, math.inf, math.inf])
    z.requires_grad_()
    loss(z, targets, reduction="sum").backward()
    assert z.grad.isfinite().all()
    others = [0, 2, 3]
    torch.testing.assert_close(z.grad[others], alone.grad[others], rtol=0, atol=0)


@every_loss
def test_nan_stays_nan_where_it_is_known(loss: Loss) -> None:
    logits = torch.tensor([[math.nan, 1.0, math.nan]], requires_grad=True)
    targets = torch.tensor([[1.0, 1.0, -1.0]])
    each = loss(logits, targets, reduction="none")
    assert each.isnan().tolist() == [[True, False, False]]
    assert loss(logits, targets).isnan()


@every_loss
@pytest.mark.parametrize("wrong", [2.0, -0.5, -2.0, math.nan, math.inf])
def test_a_target_outside_the_convention_gives_nan(loss: Loss, wrong: float) -> None:
    targets = torch.tensor([[1.0, wrong, 0.0]])
    each = loss(torch.zeros(1, 3), targets, reduction="none")
    assert each.isnan().tolist() == [[False, True, False]]
    rounded = loss(torch.zeros(1, 1), torch.tensor([[1.0 + 1e-6]]))
    torch.testing.assert_close(rounded, loss(torch.zeros(1, 1), torch.ones(1, 1)))


@every_loss
@pytest.mark.parametrize(
    "dtype", [torch.bool, torch.uint8, torch.int8, torch.int64, torch.float16, torch.float64]
)
def test_targets_of_any_type(loss: Loss, dtype: torch.dtype) -> None:
    logits = torch.linspace(-3, 3, 6).view(2, 3)
    targets = torch.tensor([[1, 0, 1], [0, 0, 1]])
    expected = loss(logits, targets.float())
    found = loss(logits, targets.to(dtype))
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, expected, rtol=0, atol=0)


@pytest.mark.parametrize("name", [name for name in LOSSES if "detached" not in name])
def test_second_gradients(name: str) -> None:
    logits = torch.linspace(-6, 6.5, 12, dtype=torch.float64).view(3, 4).requires_grad_()
    targets = torch.tensor([[1, 0, -1, 0.3]], dtype=torch.float64).repeat(3, 1)
    assert torch.autograd.gradgradcheck(lambda z: LOSSES[name](z, targets), (logits,))


@every_loss
@pytest.mark.parametrize(
    ("logits", "targets"),
    [((4, 3), (4, 1)), ((4, 3), (3,)), ((4, 3), (3, 4)), ((1, 3), (4, 3)), ((4, 1), (4,))],
)
def test_shapes_are_not_broadcast(loss: Loss, logits: tuple[int, ...], targets: tuple[int, ...]):
    with pytest.raises(InputError, match="must have one shape"):
        loss(torch.zeros(logits), torch.zeros(targets))


@pytest.mark.parametrize("shape", [(3,), (4, 1), (4, 2), (1, 2)])
def test_weights_are_one_per_label(shape: tuple[int, ...]) -> None:
    logits, targets = torch.zeros(4, 2), torch.ones(4, 2)
    with pytest.raises(InputError, match="pos_weight"):
        BCELoss(torch.ones(shape))(logits, targets)
    with pytest.raises(InputError, match=r"pos_weight has the shape \(3,\)"):
        BCELoss([1.0, 2.0, 3.0])(torch.zeros(4, 1), torch.ones(4, 1))
    for one in (2.0, torch.tensor(2.0), torch.tensor([2.0])):
        expected = 2 * binary_cross_entropy(logits, targets)
        torch.testing.assert_close(BCELoss(one)(logits, targets), expected)


@pytest.mark.parametrize("weight", [math.inf, math.nan, [1.0, math.inf], -1.0])
def test_weights_are_finite(weight: float | list[float]) -> None:
    with pytest.raises(InputError, match=r"pos_weight=.*finite and above 0"):
        BCELoss(weight)


def test_options_are_finite() -> None:
    for gamma in (math.inf, math.nan):
        with pytest.raises(InputError, match="gamma"):
            FocalLoss(gamma)
        with pytest.raises(InputError, match="gamma_negative"):
            asymmetric_loss(torch.zeros(1, 1), torch.zeros(1, 1), gamma_negative=gamma)
