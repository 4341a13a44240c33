"""Equality with other implementations on targets both understand, and with slow definitions."""

import inspect
import math

import pytest
import torch
from torch.nn import functional as F

from gatlabel.losses import asymmetric_loss, binary_cross_entropy, focal_loss


def example():
    logits = torch.randn(20, 6, dtype=torch.float64) * 3
    return logits, (torch.rand(20, 6) < 0.4).double()


def both(ours, theirs, logits, tolerance=1e-12):
    values, gradients = [], []
    for function in (ours, theirs):
        z = logits.clone().requires_grad_()
        value = function(z)
        value.sum().backward()
        values.append(value.detach())
        gradients.append(z.grad)
    torch.testing.assert_close(*values, atol=tolerance, rtol=tolerance)
    torch.testing.assert_close(*gradients, atol=tolerance, rtol=tolerance)


@pytest.mark.parametrize("weight", [None, torch.tensor([1.0, 2, 3, 0.5, 7, 1])])
def test_bce_is_torchs(weight):
    logits, targets = example()
    both(
        lambda z: binary_cross_entropy(z, targets, pos_weight=weight),
        lambda z: F.binary_cross_entropy_with_logits(z, targets, pos_weight=weight),
        logits,
    )
    soft = torch.rand_like(logits)
    both(
        lambda z: binary_cross_entropy(z, soft, reduction="none"),
        lambda z: F.binary_cross_entropy_with_logits(z, soft, reduction="none"),
        logits,
    )


@pytest.mark.parametrize(("gamma", "alpha"), [(2.0, 0.25), (0.5, None), (0.0, None), (3.0, 0.9)])
def test_focal_is_torchvisions(gamma, alpha):
    from torchvision.ops import sigmoid_focal_loss

    logits, targets = example()
    both(
        lambda z: focal_loss(z, targets, gamma=gamma, alpha=alpha, reduction="none"),
        lambda z: sigmoid_focal_loss(z, targets, -1 if alpha is None else alpha, gamma),
        logits,
    )


def test_focal_without_focus_is_bce():
    logits, _ = example()
    soft = torch.rand_like(logits)
    torch.testing.assert_close(
        focal_loss(logits, soft, gamma=0), binary_cross_entropy(logits, soft)
    )


@pytest.mark.parametrize("detach", [False, True])
@pytest.mark.parametrize(("negative", "positive", "clip"), [(4, 0, 0.05), (4, 1, 0.05), (2, 0, 0)])
def test_asymmetric_is_timms(negative, positive, clip, detach):
    timm_loss = pytest.importorskip("timm.loss")
    logits, targets = example()
    # the default became a mean in 2026; before, there was only the sum
    known = inspect.signature(timm_loss.AsymmetricLossMultiLabel).parameters
    reduction = {"reduction": "sum"} if "reduction" in known else {}
    theirs = timm_loss.AsymmetricLossMultiLabel(
        gamma_neg=negative,
        gamma_pos=positive,
        clip=clip,
        disable_torch_grad_focal_loss=detach,
        **reduction,
    )
    options = {"gamma_negative": negative, "gamma_positive": positive, "clip": clip}
    both(
        lambda z: asymmetric_loss(z, targets, **options, detach_focus=detach, reduction="sum"),
        lambda z: theirs(z, targets).double(),
        logits.float().double(),  # timm computes in float32
        tolerance=2e-4,
    )


def test_positive_at_minus_twenty_gets_its_full_gradient():
    timm_loss = pytest.importorskip("timm.loss")
    logit = torch.tensor([[-20.0]], requires_grad=True)
    asymmetric_loss(logit, torch.ones(1, 1)).backward()
    assert logit.grad.item() == pytest.approx(-1, abs=1e-6)
    theirs = torch.tensor([[-20.0]], requires_grad=True)
    timm_loss.AsymmetricLossMultiLabel(gamma_pos=0)(theirs, torch.ones(1, 1)).backward()
    assert abs(theirs.grad.item()) < 1e-3  # the fault that ours must not have


@pytest.mark.parametrize("z", [-9.0, -3.0, -2.9, 0.0, 2.0, 8.0])
@pytest.mark.parametrize("y", [0.0, 0.3, 1.0])
def test_slow_definitions(z, y):
    p = 1 / (1 + math.exp(-z))
    m = 0.05
    pm = max(p - m, 0.0)
    logit, target = torch.tensor([[z]], dtype=torch.float64), torch.tensor([[y]])
    target = target.double()
    y = target.item()
    expected = -y * (1 - p) * math.log(p) - (1 - y) * pm**4 * math.log(1 - pm)
    result = asymmetric_loss(logit, target, gamma_positive=1, clip=m).item()
    assert result == pytest.approx(expected, rel=1e-11, abs=1e-15)
    expected = -0.3 * y * (1 - p) ** 2 * math.log(p) - 0.7 * (1 - y) * p**2 * math.log(1 - p)
    assert focal_loss(logit, target, alpha=0.3).item() == pytest.approx(
        expected, rel=1e-11, abs=1e-15
    )


def test_negative_below_the_margin_is_given_up():
    logit = torch.tensor([[-4.0]], requires_grad=True)  # p = 0.018
    loss = asymmetric_loss(logit, torch.zeros(1, 1))
    loss.backward()
    assert loss.item() == 0
    assert logit.grad.item() == 0


def test_what_detaching_the_focus_changes():
    sure = torch.full((1, 1), 6.0, dtype=torch.float64)  # a negative that the network is sure of
    gradients = []
    for detach in (False, True):
        z = sure.clone().requires_grad_()
        asymmetric_loss(z, torch.zeros_like(z), clip=0.0, detach_focus=detach).backward()
        gradients.append(z.grad.item())
    p = torch.sigmoid(sure).item()
    assert gradients[1] == pytest.approx(p**5)
    assert gradients[0] == pytest.approx(p**5 - 4 * p**4 * (1 - p) * math.log(1 - p))
