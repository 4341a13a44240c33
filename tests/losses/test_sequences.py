"""The loss of label sequences: against all permutations, unknown labels, wrong shapes."""

import itertools

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from gatlabel.errors import InputError
from gatlabel.losses import SequenceLoss
from gatlabel.losses.sequences import aligned

L, S = 5, 4


def example(seed: int) -> tuple[Tensor, Tensor]:
    """Logits, and targets of 0 to S labels of which some rows have no end."""
    generator = torch.Generator().manual_seed(seed)
    logits = 3 * torch.randn(6, S, L + 1, generator=generator, dtype=torch.float64)
    targets = torch.full((6, S), -1)
    for row in range(6):
        count = int(torch.randint(0, S + 1, (), generator=generator))
        labels = torch.randperm(L, generator=generator)[:count].tolist()
        labels += [L] * (row % 3 > 0 and count < S)
        targets[row, : len(labels)] = torch.tensor(labels, dtype=torch.int64)
    return logits, targets


def cost(log_p: Tensor, labels: tuple[int, ...]) -> float:
    return -sum(float(log_p[step, label]) for step, label in enumerate(labels))


@pytest.mark.parametrize("alignment", ["predicted", "minimal"])
@pytest.mark.parametrize("seed", range(8))
def test_the_loss_is_the_least_of_all_permutations(alignment: str, seed: int) -> None:
    logits, targets = example(seed)
    log_p, predicted = logits.log_softmax(-1), logits[..., :L].argmax(-1)
    total, count = 0.0, 0
    for row in range(len(targets)):
        labels = [k for k in targets[row].tolist() if 0 <= k < L]
        allowed = itertools.permutations(labels)
        if alignment == "predicted":
            first: dict[int, int] = {}
            for step in range(len(labels)):
                first.setdefault(int(predicted[row, step]), step)
            kept = {label: step for label, step in first.items() if label in labels}
            allowed = [p for p in allowed if all(p[kept[label]] == label for label in kept)]
        total += min(cost(log_p[row], order) for order in allowed)
        count += len(labels)
        if L in targets[row].tolist():
            total -= float(log_p[row, len(labels), L])
            count += 1
    assert SequenceLoss(alignment)(logits, targets).item() == pytest.approx(total / max(count, 1))


def test_without_alignment_it_is_cross_entropy() -> None:
    logits, targets = example(0)
    known = targets != -1
    expected = F.cross_entropy(logits[known], targets[known])
    torch.testing.assert_close(SequenceLoss()(logits, targets), expected)


@pytest.mark.parametrize("alignment", [None, "predicted", "minimal"])
def test_unknown_labels_are_as_if_they_were_not_there(alignment: str | None) -> None:
    """Value and gradient are those of logits without the column of the unknown label."""
    logits, targets = example(3)
    targets = targets.where(targets < L, L)
    rows = ~(targets == 4).any(1)
    logits, targets = logits[rows].requires_grad_(), targets[rows]
    unknown = torch.full((len(targets), L), -1)
    unknown[:, 0] = -2 - 4
    value = SequenceLoss(alignment)(logits, torch.cat([targets, unknown], 1))
    (slope,) = torch.autograd.grad(value, logits)
    fewer = logits[..., [0, 1, 2, 3, 5]].detach().requires_grad_()
    expected = SequenceLoss(alignment)(fewer, targets.where(targets != L, L - 1))
    torch.testing.assert_close(value, expected)
    assert not slope[..., 4].any()
    torch.testing.assert_close(slope[..., [0, 1, 2, 3, 5]], torch.autograd.grad(expected, fewer)[0])


@pytest.mark.parametrize("alignment", [None, "predicted", "minimal"])
def test_gradients_and_extremes(alignment: str | None) -> None:
    logits, targets = example(1)
    assert torch.autograd.gradcheck(
        lambda z: SequenceLoss(alignment)(z, targets), logits.requires_grad_()
    )
    for dtype in (torch.float16, torch.bfloat16, torch.float32):
        z = (100 * logits.detach().sign()).to(dtype).requires_grad_()
        value = SequenceLoss(alignment)(z, targets)
        value.backward()
        assert value.isfinite()
        assert z.grad.isfinite().all()
    spoilt = logits.detach().clone()
    spoilt[0] = torch.nan
    nothing = targets.clone()
    nothing[0] = -1
    spoilt.requires_grad_()
    value = SequenceLoss(alignment)(spoilt, nothing)
    value.backward()
    assert value.isfinite()
    assert not spoilt.grad[0].any()
    empty = SequenceLoss(alignment)(spoilt, torch.full_like(targets, -1))
    assert empty.item() == 0


def test_labels_alone_change_places() -> None:
    logits, targets = example(2)
    found = aligned(logits, targets)
    is_label = (targets >= 0) & (targets < L)
    assert torch.equal(found[~is_label], targets[~is_label])
    assert torch.equal(found.sort(1).values, targets.sort(1).values)


def test_nonsense_is_refused() -> None:
    with pytest.raises(InputError, match="did you mean 'minimal'"):
        SequenceLoss("minimum")  # type: ignore[arg-type]
    for shape in ((2, 2), (3, 4), (2, 3, 1)):
        with pytest.raises(InputError, match="do not fit"):
            SequenceLoss()(torch.zeros(2, 3, 5), torch.zeros(shape, dtype=torch.int64))
    with pytest.raises(InputError, match="give integers"):
        SequenceLoss()(torch.zeros(2, 3, 5), torch.zeros(2, 3))
