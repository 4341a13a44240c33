"""The base test of every loss: a new one joins it by a class of one line.

class TestMyLoss(LossTester):
    loss = MyLoss
"""

import math
from collections.abc import Callable
from typing import Any, ClassVar, Literal

import pytest
import torch
from torch import nn

from gatlabel.errors import InputError
from gatlabel.losses import REDUCTIONS, set_progress

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
        progress: Share of the epochs that are done, and their number, for losses that change.
        per: What has a value: each entry, each image, or only the whole batch.
        mixes: Whether the loss of a soft label is a mixture of those of 0 and 1.
        alone: Whether the loss of an entry is the same without the other labels of the image.
        signed: Whether it may be negative.
    """

    loss: ClassVar[type[nn.Module]]
    options: ClassVar[dict[str, Any]] = {}
    progress: ClassVar[tuple[float, int]] = (0.0, 0)
    per: ClassVar[Literal["entry", "image", "batch"]] = "entry"
    mixes: ClassVar[bool] = True
    alone: ClassVar[bool] = True
    signed: ClassVar[bool] = False

    @pytest.fixture
    def loss_of(self) -> Loss:
        """The loss as a function of logits, targets and reduction."""
        names = REDUCTIONS if self.per != "batch" else ("mean", "sum")
        modules = {name: type(self).loss(**self.options, reduction=name) for name in names}
        for module in modules.values():
            set_progress(module, *self.progress)
        return lambda z, y, reduction="mean": modules[reduction](z, y)

    @pytest.fixture
    def smooth_loss(self, loss_of: Loss) -> Loss:
        """The same, where gradients are those of the value."""
        return loss_of

    def test_reductions_agree_with_one_another(self, loss_of) -> None:
        if self.per == "batch":
            pytest.skip("only the whole batch has a value")
        logits, targets = example()
        each = loss_of(logits, targets, reduction="none")
        known = targets != -1 if self.per == "entry" else (targets != -1).any(-1)
        assert each.shape == known.shape
        assert bool((each[~known] == 0).all())
        total, count = each.sum(), known.sum()
        torch.testing.assert_close(loss_of(logits, targets, reduction="sum"), total)
        torch.testing.assert_close(loss_of(logits, targets, reduction="mean"), total / count)
        torch.testing.assert_close(loss_of(logits, targets, reduction="batch_mean"), total / 5)
        torch.testing.assert_close(loss_of(logits, targets), total / count)

    def test_more_unknown_entries_change_nothing(self, loss_of) -> None:
        logits, targets = example()
        wider = torch.cat([logits, torch.randn(5, 3, dtype=logits.dtype)], -1)
        unknown = torch.cat([targets, torch.full((5, 3), -1.0, dtype=logits.dtype)], -1)
        longer = torch.cat([wider, torch.randn(2, 7, dtype=logits.dtype)])
        more = torch.cat([unknown, torch.full((2, 7), -1.0, dtype=logits.dtype)])
        logits.requires_grad_()
        expected = loss_of(logits, targets)
        (slope,) = torch.autograd.grad(expected, logits)
        for z, y in ((wider, unknown), (longer, more)):
            z.requires_grad_()
            found = loss_of(z, y)
            torch.testing.assert_close(found, expected)
            torch.testing.assert_close(torch.autograd.grad(found, z)[0][:5, :4], slope)

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
        if self.per == "batch" and reduction not in ("mean", "sum"):
            pytest.skip("only the whole batch has a value")
        logits = torch.randn(3, 2, requires_grad=True)
        result = loss_of(logits, torch.full((3, 2), -1.0), reduction=reduction).sum()
        result.backward()
        assert result.item() == 0
        assert bool((logits.grad == 0).all())

    def test_no_images_is_zero(self, loss_of) -> None:
        logits = torch.zeros(0, 3, requires_grad=True)
        assert loss_of(logits, torch.zeros(0, 3)).item() == 0
        if self.per != "batch":
            assert loss_of(logits, torch.zeros(0, 3), reduction="batch_mean").item() == 0

    def test_soft_labels_lie_between_hard_ones(self, loss_of) -> None:
        """The gradient of a label leads up where it is present, down where absent."""
        logits = torch.tensor([[0.3, -0.4, 0.1]], dtype=torch.float64)
        slopes = []
        for share in (0.0, 0.2, 0.5, 0.8, 1.0):
            z = logits.clone().requires_grad_()
            targets = torch.tensor([[1.0, share, 0.0]], dtype=torch.float64)
            loss_of(z, targets, reduction="sum").backward()
            slopes.append(z.grad[0, 1].item())
        if self.signed:
            pytest.skip("the formula is no loss")
        assert slopes[0] > 0 > slopes[-1]
        assert all(math.isfinite(slope) for slope in slopes)

    def test_soft_label_mixes_the_two_terms(self, loss_of) -> None:
        if not self.mixes or self.per != "entry":
            pytest.skip("a soft label is no mixture")
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
            assert self.signed or value.item() >= 0

    def test_large_logits_of_several_labels(self, loss_of) -> None:
        """Value and gradient are finite in float16 and bfloat16 too."""
        for dtype in (torch.float64, torch.float16, torch.bfloat16):
            z = torch.tensor([[100.0, -100.0, 100.0, -100.0, 5.0]], dtype=dtype).requires_grad_()
            for targets in ([1.0, 0, 0, 1, 0.3], [0.0, 1, 0, 1, 1], [1.0, 1, -1, -1, 0]):
                value = loss_of(z, torch.tensor([targets]))
                (slope,) = torch.autograd.grad(value, z)
                assert value.isfinite()
                assert slope.isfinite().all()

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
        if self.per == "batch":
            flat = loss_of(logits.view(6, 4), targets.view(6, 4).float())
            torch.testing.assert_close(loss_of(logits, targets), flat)
            return
        whole = loss_of(logits, targets, reduction="none")
        flat = loss_of(logits.view(6, 4), targets.view(6, 4).float(), reduction="none")
        torch.testing.assert_close(whole.flatten(), flat.flatten())
        torch.testing.assert_close(
            loss_of(logits, targets, reduction="batch_mean"),
            loss_of(logits.view(6, 4), targets.view(6, 4), reduction="batch_mean"),
        )

    def test_same_as_the_module_of_one_label(self, loss_of) -> None:
        if not self.alone or self.per != "entry":
            pytest.skip("labels depend on each other")
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
