"""The base test of every loss: a new one joins it by a class of one line.

class TestMyLoss(LossTester):
    loss = MyLoss
"""

import math
from collections.abc import Callable
from typing import Any, ClassVar

import pytest
import torch
from torch import nn

from gatlabel.errors import InputError
from gatlabel.losses import REDUCTIONS

Loss = Callable[..., torch.Tensor]


def example(dtype=torch.float64):
    logits = torch.randn(5, 4, dtype=dtype) * 3
    targets = torch.tensor([[1, 0, -1, 0.3]], dtype=dtype).repeat(5, 1)
    targets[4] = -1
    return logits, targets


class _Wrapped(torch.nn.Module):
    def __init__(self, loss):
        super().__init__()
        self.loss = loss

    def forward(self, logits, targets):
        return self.loss(logits, targets)


class LossTester:
    """What every loss must do.

    Attributes:
        loss: The class, which takes ``reduction``.
        options: Its other options.
    """

    loss: ClassVar[type[nn.Module]]
    options: ClassVar[dict[str, Any]] = {}

    @pytest.fixture
    def loss_of(self) -> Loss:
        """The loss as a function of logits, targets and reduction."""
        modules = {name: type(self).loss(**self.options, reduction=name) for name in REDUCTIONS}
        return lambda z, y, reduction="mean": modules[reduction](z, y)

    @pytest.fixture
    def smooth_loss(self, loss_of: Loss) -> Loss:
        """The same, where gradients are those of the value."""
        return loss_of

    def test_reductions_agree_with_one_another(self, loss_of) -> None:
        logits, targets = example()
        each = loss_of(logits, targets, reduction="none")
        assert each.shape == logits.shape
        assert bool((each[targets == -1] == 0).all())
        total = each.sum()
        torch.testing.assert_close(loss_of(logits, targets, reduction="sum"), total)
        torch.testing.assert_close(loss_of(logits, targets, reduction="mean"), total / 12)
        torch.testing.assert_close(loss_of(logits, targets, reduction="batch_mean"), total / 5)
        torch.testing.assert_close(loss_of(logits, targets), total / 12)

    @pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan, 1e30])
    def test_unknown_targets_give_neither_loss_nor_gradient(self, loss_of, value) -> None:
        logits, targets = example()
        expected = logits.clone().requires_grad_()
        loss_of(expected, targets).backward()
        changed = torch.where(targets == -1, value, logits).requires_grad_()
        result = loss_of(changed, targets)
        result.backward()
        torch.testing.assert_close(result, loss_of(logits, targets))
        torch.testing.assert_close(changed.grad, expected.grad)
        assert bool((changed.grad[targets == -1] == 0).all())

    @pytest.mark.parametrize("reduction", REDUCTIONS)
    def test_nothing_known_is_zero_without_gradient(self, loss_of, reduction) -> None:
        logits = torch.randn(3, 2, requires_grad=True)
        result = loss_of(logits, torch.full((3, 2), -1.0), reduction=reduction).sum()
        result.backward()
        assert result.item() == 0
        assert bool((logits.grad == 0).all())

    def test_no_images_is_zero(self, loss_of) -> None:
        logits = torch.zeros(0, 3, requires_grad=True)
        assert loss_of(logits, torch.zeros(0, 3)).item() == 0
        assert loss_of(logits, torch.zeros(0, 3), reduction="batch_mean").item() == 0

    def test_soft_label_mixes_the_two_terms(self, loss_of) -> None:
        logits = torch.linspace(-6, 6, 25, dtype=torch.float64)[:, None]
        ones, zeros = torch.ones_like(logits), torch.zeros_like(logits)
        for share in (0.1, 0.5, 0.8):
            mixed = loss_of(logits, share * ones, reduction="none")
            positive = loss_of(logits, ones, reduction="none")
            negative = loss_of(logits, zeros, reduction="none")
            torch.testing.assert_close(mixed, share * positive + (1 - share) * negative)

    def test_gradcheck(self, smooth_loss) -> None:
        _, targets = example()
        logits = torch.linspace(-7, 7, 20, dtype=torch.float64).view(5, 4).requires_grad_()
        assert torch.autograd.gradcheck(lambda z: smooth_loss(z, targets), (logits,))

    @pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
    def test_sound_at_extreme_logits(self, loss_of, dtype) -> None:
        logits = torch.tensor([-100.0, -50, -20, 0, 20, 50, 100], dtype=dtype)[:, None]
        for target in (0.0, 0.4, 1.0):
            z = logits.clone().requires_grad_()
            value = loss_of(z, torch.full_like(z, target), reduction="sum")
            value.backward()
            assert math.isfinite(value.item())
            assert bool(z.grad.isfinite().all())
            assert value.item() >= 0

    @pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
    def test_half_precision_is_computed_in_float32(self, loss_of, dtype) -> None:
        logits, targets = example(torch.float32)
        half = logits.to(dtype).requires_grad_()
        result = loss_of(half, targets)
        result.backward()
        assert result.dtype == torch.float32
        assert half.grad.dtype == dtype
        torch.testing.assert_close(result, loss_of(half.detach().float(), targets))

    def test_integer_targets_and_other_shapes(self, loss_of) -> None:
        logits = torch.randn(2, 3, 4)
        targets = torch.randint(-1, 2, (2, 3, 4))
        whole = loss_of(logits, targets, reduction="none")
        flat = loss_of(logits.view(6, 4), targets.view(6, 4).float(), reduction="none")
        torch.testing.assert_close(whole.view(6, 4), flat)
        torch.testing.assert_close(
            loss_of(logits, targets, reduction="batch_mean"),
            loss_of(logits.view(6, 4), targets.view(6, 4), reduction="batch_mean"),
        )

    def test_same_as_the_module_of_one_label(self, loss_of) -> None:
        logits, targets = example()
        columns = [loss_of(logits[:, [c]], targets[:, [c]], reduction="none") for c in range(4)]
        torch.testing.assert_close(
            torch.cat(columns, 1), loss_of(logits, targets, reduction="none")
        )

    def test_shapes_must_fit(self, loss_of) -> None:
        with pytest.raises(InputError, match=r"\(2, 3\).*\(2, 1\)"):
            loss_of(torch.zeros(2, 3), torch.zeros(2, 1))
        with pytest.raises(InputError, match="floating point"):
            loss_of(torch.zeros(2, 3, dtype=torch.int64), torch.zeros(2, 3))

    def test_compiles_without_graph_break(self, loss_of) -> None:
        logits, targets = example()
        exported = torch.export.export(_Wrapped(loss_of), (logits, targets))
        torch.testing.assert_close(exported.module()(logits, targets), loss_of(logits, targets))
