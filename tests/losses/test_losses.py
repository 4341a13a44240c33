"""What holds for every loss, checked for every loss."""

import math

import pytest
import torch

from gatlabel.errors import InputError
from gatlabel.losses import (
    REDUCTIONS,
    AsymmetricLoss,
    BCELoss,
    FocalLoss,
    asymmetric_loss,
    binary_cross_entropy,
    focal_loss,
)

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
every_loss = pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES.keys())


def example(dtype=torch.float64):
    logits = torch.randn(5, 4, dtype=dtype) * 3
    targets = torch.tensor([[1, 0, -1, 0.3]], dtype=dtype).repeat(5, 1)
    targets[4] = -1
    return logits, targets


@every_loss
def test_reductions_agree_with_one_another(loss):
    logits, targets = example()
    each = loss(logits, targets, reduction="none")
    assert each.shape == logits.shape
    assert bool((each[targets == -1] == 0).all())
    total = each.sum()
    torch.testing.assert_close(loss(logits, targets, reduction="sum"), total)
    torch.testing.assert_close(loss(logits, targets, reduction="mean"), total / 12)
    torch.testing.assert_close(loss(logits, targets, reduction="batch_mean"), total / 5)
    torch.testing.assert_close(loss(logits, targets), total / 12)


@every_loss
@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan, 1e30])
def test_unknown_targets_give_neither_loss_nor_gradient(loss, value):
    logits, targets = example()
    expected = logits.clone().requires_grad_()
    loss(expected, targets).backward()
    changed = torch.where(targets == -1, value, logits).requires_grad_()
    result = loss(changed, targets)
    result.backward()
    torch.testing.assert_close(result, loss(logits, targets))
    torch.testing.assert_close(changed.grad, expected.grad)
    assert bool((changed.grad[targets == -1] == 0).all())


@every_loss
@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_nothing_known_is_zero_without_gradient(loss, reduction):
    logits = torch.randn(3, 2, requires_grad=True)
    result = loss(logits, torch.full((3, 2), -1.0), reduction=reduction).sum()
    result.backward()
    assert result.item() == 0
    assert bool((logits.grad == 0).all())


@every_loss
def test_no_pictures_is_zero(loss):
    logits = torch.zeros(0, 3, requires_grad=True)
    assert loss(logits, torch.zeros(0, 3)).item() == 0
    assert loss(logits, torch.zeros(0, 3), reduction="batch_mean").item() == 0


@every_loss
def test_soft_label_mixes_the_two_terms(loss):
    logits = torch.linspace(-6, 6, 25, dtype=torch.float64)[:, None]
    ones, zeros = torch.ones_like(logits), torch.zeros_like(logits)
    for share in (0.1, 0.5, 0.8):
        mixed = loss(logits, share * ones, reduction="none")
        positive = loss(logits, ones, reduction="none")
        negative = loss(logits, zeros, reduction="none")
        torch.testing.assert_close(mixed, share * positive + (1 - share) * negative)


@pytest.mark.parametrize("name", [name for name in LOSSES if "detached" not in name])
def test_gradcheck(name):
    _, targets = example()
    logits = torch.linspace(-7, 7, 20, dtype=torch.float64).view(5, 4).requires_grad_()
    assert torch.autograd.gradcheck(lambda z: LOSSES[name](z, targets), (logits,))


@every_loss
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_sound_at_extreme_logits(loss, dtype):
    logits = torch.tensor([-100.0, -50, -20, 0, 20, 50, 100], dtype=dtype)[:, None]
    for target in (0.0, 0.4, 1.0):
        z = logits.clone().requires_grad_()
        value = loss(z, torch.full_like(z, target), reduction="sum")
        value.backward()
        assert math.isfinite(value.item())
        assert bool(z.grad.isfinite().all())
        assert value.item() >= 0


@every_loss
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_computed_in_float32(loss, dtype):
    logits, targets = example(torch.float32)
    half = logits.to(dtype).requires_grad_()
    result = loss(half, targets)
    result.backward()
    assert result.dtype == torch.float32
    assert half.grad.dtype == dtype
    torch.testing.assert_close(result, loss(half.detach().float(), targets))


@every_loss
def test_integer_targets_and_other_shapes(loss):
    logits = torch.randn(2, 3, 4)
    targets = torch.randint(-1, 2, (2, 3, 4))
    whole = loss(logits, targets, reduction="none")
    flat = loss(logits.view(6, 4), targets.view(6, 4).float(), reduction="none")
    torch.testing.assert_close(whole.view(6, 4), flat)
    torch.testing.assert_close(
        loss(logits, targets, reduction="batch_mean"),
        loss(logits.view(6, 4), targets.view(6, 4), reduction="batch_mean"),
    )


@every_loss
def test_same_as_the_module_of_one_label(loss):
    logits, targets = example()
    columns = [loss(logits[:, [c]], targets[:, [c]], reduction="none") for c in range(4)]
    torch.testing.assert_close(torch.cat(columns, 1), loss(logits, targets, reduction="none"))


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


@every_loss
def test_shapes_must_fit(loss):
    with pytest.raises(InputError, match=r"\(2, 3\).*\(2, 1\)"):
        loss(torch.zeros(2, 3), torch.zeros(2, 1))
    with pytest.raises(InputError, match="floating point"):
        loss(torch.zeros(2, 3, dtype=torch.int64), torch.zeros(2, 3))


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
        (lambda: BCELoss(pos_weight=[]), r"pos_weight=\[\]: give a number, or one a label"),
        (lambda: BCELoss(pos_weight=[[1.0, 2.0]]), "give a number, or one a label"),
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


@every_loss
def test_compiles_without_graph_break(loss):
    logits, targets = example()
    exported = torch.export.export(_Wrapped(loss), (logits, targets))
    torch.testing.assert_close(exported.module()(logits, targets), loss(logits, targets))


class _Wrapped(torch.nn.Module):
    def __init__(self, loss):
        super().__init__()
        self.loss = loss

    def forward(self, logits, targets):
        return self.loss(logits, targets)
