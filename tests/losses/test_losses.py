"""The losses of the package under the base test, and what is particular to them."""

import math

import pytest
import torch

from gatlabel.errors import InputError
from gatlabel.losses import (
    AsymmetricLoss,
    BCELoss,
    FocalLoss,
    asymmetric_loss,
    binary_cross_entropy,
    focal_loss,
)
from tests.losses.tester import Loss, LossTester, example

LOSSES = {
    "bce": binary_cross_entropy,
    "bce weighted": lambda *a, **k: binary_cross_entropy(*a, pos_weight=torch.tensor(3.0), **k),
    "focal": focal_loss,
    "focal alpha": lambda *a, **k: focal_loss(*a, gamma=1.5, alpha=0.3, **k),
    "asymmetric": asymmetric_loss,
    "asymmetric both": lambda *a, **k: asymmetric_loss(*a, gamma_positive=1.0, **k),
    "asymmetric unclipped": lambda *a, **k: asymmetric_loss(*a, gamma_negative=2, clip=0.0, **k),
    "asymmetric detached": lambda *a, **k: asymmetric_loss(*a, detach_focus=True, **k),
}


class TestLossesOfThePackage(LossTester):
    @pytest.fixture(params=LOSSES)
    def loss_of(self, request: pytest.FixtureRequest) -> Loss:
        return LOSSES[request.param]

    @pytest.fixture(params=[name for name in LOSSES if "detached" not in name])
    def smooth_loss(self, request: pytest.FixtureRequest) -> Loss:
        return LOSSES[request.param]


@pytest.mark.parametrize(
    ("module", "function"),
    [
        (BCELoss(), binary_cross_entropy),
        (
            BCELoss([1.0, 2.0, 3.0, 4.0], reduction="sum"),
            lambda z, y: binary_cross_entropy(
                z, y, pos_weight=torch.tensor([1.0, 2, 3, 4]), reduction="sum"
            ),
        ),
        (FocalLoss(1.0, 0.25), lambda z, y: focal_loss(z, y, gamma=1.0, alpha=0.25)),
        (
            AsymmetricLoss(3, 1, 0.1, True, "batch_mean"),
            lambda z, y: asymmetric_loss(
                z,
                y,
                gamma_negative=3,
                gamma_positive=1,
                clip=0.1,
                detach_focus=True,
                reduction="batch_mean",
            ),
        ),
    ],
)
def test_modules_pass_every_option_on(module, function):
    logits, targets = example()
    a, b = logits.clone().requires_grad_(), logits.clone().requires_grad_()
    first, second = module(a, targets), function(b, targets)
    torch.testing.assert_close(first, second)
    first.backward()
    second.backward()
    torch.testing.assert_close(a.grad, b.grad)
    assert not module.state_dict()
    assert module.reduction in repr(module)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: BCELoss(reduction="batchmean"), "did you mean 'batch_mean'"),
        (lambda: FocalLoss(reduction="avg"), "unknown reduction 'avg'"),
        (lambda: AsymmetricLoss(reduction="avg"), "unknown reduction 'avg'"),
        (lambda: BCELoss(pos_weight=0), "above 0"),
        (lambda: BCELoss(pos_weight=math.inf), "pos_weight=inf: it must be finite and above 0"),
        (lambda: BCELoss(pos_weight=[1.0, math.nan]), "must be finite"),
        (lambda: BCELoss(pos_weight=[1.0, -2.0]), "above 0 for every label"),
        (lambda: BCELoss(pos_weight=[]), r"pos_weight=\[\]: give a number, or one per label"),
        (lambda: BCELoss(pos_weight=[[1.0, 2.0]]), "give a number, or one per label"),
        (lambda: BCELoss(pos_weight="2"), "pos_weight='2': give a number"),
        (lambda: BCELoss(pos_weight=True), "pos_weight=True: give a number"),
        (
            lambda: BCELoss([1.0, 2.0])(torch.zeros(4, 3), torch.zeros(4, 3)),
            r"pos_weight has the shape \(2,\)",
        ),
        (lambda: FocalLoss(gamma=math.inf), "gamma is inf: it must be a number from 0 to 1000"),
        (lambda: FocalLoss(gamma="2"), "gamma is '2': it must be a number"),
        (lambda: FocalLoss(alpha=math.nan), "alpha is nan"),
        (lambda: AsymmetricLoss(gamma_negative=True), "gamma_negative is True"),
        (
            lambda: AsymmetricLoss(clip=math.nan),
            "clip is nan: it must be a number from 0 to below",
        ),
        (lambda: FocalLoss(gamma=-1), "gamma is -1"),
        (lambda: FocalLoss(alpha=2), "alpha is 2"),
        (lambda: AsymmetricLoss(gamma_negative=-1), "gamma_negative is -1"),
        (lambda: AsymmetricLoss(gamma_positive=math.nan), "gamma_positive is nan"),
        (lambda: AsymmetricLoss(clip=1.0), "clip is 1.0"),
    ],
)
def test_bad_options_are_refused_when_made(make, message):
    with pytest.raises(InputError, match=message):
        make()


LOSSES_AS_MODULES = (BCELoss(), FocalLoss(), AsymmetricLoss())
